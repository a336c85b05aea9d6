//! Two transports over a network in virtual time. Both are ICE-lite, so that the pair makes the checks that
//! a browser would make, with the supplier's STUN.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ::stun::attributes::{
    ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType,
};
use ::stun::fingerprint::FINGERPRINT;
use ::stun::integrity::MessageIntegrity;
use ::stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::shard::{DtlsRole, Fingerprint, IceCredentials, SctpParameters, TransportParameters};
use crate::transport::{
    ChannelLimits, DatagramKind, Identity, Path, Protocol, StunMessage, Transmit, Transport,
    TransportEvent, classify, integrity_key,
};

pub(crate) const LIMITS: ChannelLimits = ChannelLimits {
    max_message_bytes: 65_536,
    max_channels: 8,
    max_buffered_bytes: 262_144,
};

pub(super) fn credentials(name: &str) -> IceCredentials {
    IceCredentials {
        ufrag: format!("uf{name}"),
        pwd: format!("password-of-{name}-long-enough"),
    }
}

pub(super) fn path(remote: &str) -> Path {
    Path {
        protocol: Protocol::Udp,
        remote: remote.parse().unwrap(),
        local: Some(IpAddr::from([192, 0, 2, 1])),
    }
}

/// A connectivity check as a full ICE agent sends it.
pub(crate) struct Check {
    pub(super) local: IceCredentials,
    pub(super) remote_ufrag: String,
    pub(super) priority: u32,
    pub(super) nominate: bool,
    pub(super) extra: Vec<(AttrType, Vec<u8>)>,
}

impl Check {
    /// From the agent with the credentials `from` to the one with the credentials `to`.
    pub(crate) fn new(to: &IceCredentials, from: &IceCredentials) -> Self {
        Self {
            local: to.clone(),
            remote_ufrag: from.ufrag.clone(),
            priority: 1000,
            nominate: true,
            extra: Vec::new(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let provider = ::crypto::default_provider().unwrap();
        let username = format!("{}:{}", self.local.ufrag, self.remote_ufrag);
        let mut message = Message::new();
        let integrity = MessageIntegrity::new_short_term_integrity_with_provider(
            self.local.pwd.clone(),
            provider.crypto(),
        );
        message.set_type(BINDING_REQUEST);
        message.write_header();
        TransactionId::new().add_to(&mut message).unwrap();
        message.add(ATTR_USERNAME, username.as_bytes());
        message.add(ATTR_PRIORITY, &self.priority.to_be_bytes());
        for (kind, value) in &self.extra {
            message.add(*kind, value);
        }
        if self.nominate {
            message.add(ATTR_USE_CANDIDATE, &[]);
        }
        message.add(ATTR_ICE_CONTROLLING, &[7; 8]);
        integrity.add_to(&mut message).unwrap();
        FINGERPRINT.add_to(&mut message).unwrap();
        message.raw
    }
}

/// One end of the pair.
pub(super) struct End {
    pub(super) transport: Transport,
    pub(super) ice: IceCredentials,
    pub(super) fingerprint: Fingerprint,
    pub(super) events: Vec<TransportEvent>,
    /// What it was sent, by due time.
    queue: VecDeque<(Instant, Vec<u8>)>,
    /// The address under which the other end knows it.
    pub(super) address: SocketAddr,
}

pub(super) struct Pair {
    pub(super) now: Instant,
    /// The DTLS client and the server.
    pub(super) ends: [End; 2],
    /// The share of datagrams that get lost.
    pub(super) loss: f64,
    pub(super) rng: StdRng,
    pub(super) delay: Duration,
    next_check: Instant,
    pub(super) checking: bool,
}

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

impl Pair {
    pub(super) fn new(seed: u64) -> Self {
        let now = Instant::now();
        let end = |name: &str, address: &str| {
            let identity = Identity::generate().unwrap();
            let ice = credentials(name);
            End {
                transport: Transport::new(&identity, ice.clone(), LIMITS),
                ice,
                fingerprint: identity.fingerprint(),
                events: Vec::new(),
                queue: VecDeque::new(),
                address: address.parse().unwrap(),
            }
        };
        Self {
            now,
            ends: [
                end("client", "198.51.100.7:4000"),
                end("server", "203.0.113.9:7880"),
            ],
            loss: 0.0,
            rng: StdRng::seed_from_u64(seed),
            delay: Duration::from_millis(10),
            next_check: now,
            checking: true,
        }
    }

    pub(super) fn parameters(&self, of: usize) -> TransportParameters {
        let (end, other) = (&self.ends[of], &self.ends[1 - of]);
        TransportParameters {
            local_ice: end.ice.clone(),
            remote_ice: other.ice.clone(),
            fingerprints: vec![other.fingerprint.clone()],
            role: if of == CLIENT {
                DtlsRole::Client
            } else {
                DtlsRole::Server
            },
            sctp: Some(SctpParameters {
                remote_port: 5000,
                max_message_size: 65_536,
            }),
        }
    }

    pub(super) fn set_parameters(&mut self) {
        for of in [CLIENT, SERVER] {
            let parameters = self.parameters(of);
            self.ends[of]
                .transport
                .set_parameters(self.now, &parameters);
        }
    }

    /// A pair that has shaken hands.
    pub(super) fn connected(seed: u64) -> Self {
        let mut pair = Self::new(seed);
        pair.set_parameters();
        pair.run(Duration::from_secs(2));
        assert!(pair.ends.iter().all(|end| end.transport.is_connected()));
        for end in &mut pair.ends {
            assert!(end.events.contains(&TransportEvent::Connected));
            end.events.clear();
        }
        pair
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.exchange();
            let queued = self.ends.iter().flat_map(|end| end.queue.front());
            let queued = queued.map(|(due, _)| *due);
            let timeouts = self
                .ends
                .iter()
                .filter_map(|end| end.transport.poll_timeout());
            let check = self.checking.then_some(self.next_check);
            let next = queued.chain(timeouts).chain(check).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
        }
    }

    /// Delivers what is due and takes what is sent.
    fn exchange(&mut self) {
        if self.checking && self.next_check <= self.now {
            // Browsers check sooner until they are connected.
            let is_connected = self.ends.iter().all(|end| end.transport.is_connected());
            let pause = if is_connected { 2_500 } else { 250 };
            self.next_check = self.now + Duration::from_millis(pause);
            self.check();
        }
        for at in [CLIENT, SERVER] {
            let from = self.ends[1 - at].address;
            let now = self.now;
            let end = &mut self.ends[at];
            while end.queue.front().is_some_and(|(due, _)| *due <= now) {
                let (_, datagram) = end.queue.pop_front().unwrap();
                let path = Path {
                    protocol: Protocol::Udp,
                    remote: from,
                    local: None,
                };
                assert_eq!(classify(&datagram), Some(DatagramKind::Dtls));
                // A datagram may overtake the check that makes its path valid.
                let _ = end.transport.handle_dtls(now, path, &datagram);
            }
            if end.transport.poll_timeout().is_some_and(|due| due <= now) {
                end.transport.handle_timeout(now);
            }
            self.collect(at);
        }
    }

    pub(super) fn collect(&mut self, at: usize) {
        let due = self.now + self.delay;
        while let Some(Transmit { contents, path }) = self.ends[at].transport.poll_transmit() {
            // Answers to checks go to agents that are not there; checks are answered where the other end is.
            if classify(&contents) == Some(DatagramKind::Stun) {
                let key = integrity_key(&self.ends[1 - at].ice.pwd);
                if let Ok(StunMessage::Request(request)) = StunMessage::parse(&contents)
                    && path.remote == self.ends[1 - at].address
                {
                    assert!(request.is_from_holder_of(&key));
                    let answer = request.success(self.ends[at].address, &key);
                    let end = &mut self.ends[at];
                    end.transport.handle_stun(self.now, path, &answer).unwrap();
                }
                continue;
            }
            assert!(contents.len() <= 1300, "{} bytes", contents.len());
            if !self.rng.random_bool(self.loss) {
                self.ends[1 - at].queue.push_back((due, contents));
            }
        }
        while let Some(event) = self.ends[at].transport.poll_event() {
            self.ends[at].events.push(event);
        }
    }

    /// Both ends are checked by the other's agent.
    pub(super) fn check(&mut self) {
        for at in [CLIENT, SERVER] {
            let check = Check::new(&self.ends[at].ice, &self.ends[1 - at].ice).encode();
            let path = Path {
                protocol: Protocol::Udp,
                remote: self.ends[1 - at].address,
                local: None,
            };
            let end = &mut self.ends[at];
            end.transport.handle_stun(self.now, path, &check).unwrap();
        }
    }

    pub(super) fn events(&mut self, at: usize) -> Vec<TransportEvent> {
        std::mem::take(&mut self.ends[at].events)
    }
}
