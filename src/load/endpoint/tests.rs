//! Two endpoints over a network in virtual time: each is the other's server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::load::media::{ReceiverSetup, SenderSetup, SourcePlan, StreamSetup};
use crate::load::plan::VideoPlan;
use crate::shard::{DtlsRole, Fingerprint};

const DELAY: Duration = Duration::from_millis(10);

struct End {
    endpoint: Endpoint,
    tally: Tally,
    ice: IceCredentials,
    fingerprint: Fingerprint,
    address: SocketAddr,
}

struct Pair {
    now: Instant,
    ends: [End; 2],
    loss: f64,
    random: StdRng,
    order: u64,
    /// By due time: whom it is for, and the datagram.
    flights: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
}

impl Pair {
    fn new(identity: &Identity) -> Self {
        let now = Instant::now();
        let end = |index: u8| {
            let ice = IceCredentials {
                ufrag: format!("user{index}"),
                pwd: format!("password-number-{index}-long-enough"),
            };
            End {
                endpoint: Endpoint::new(identity, ice.clone(), index.into(), 4),
                tally: Tally::new(now),
                ice,
                fingerprint: identity.fingerprint(),
                address: ([192, 0, 2, index], 5_000).into(),
            }
        };
        Self {
            now,
            ends: [end(1), end(2)],
            loss: 0.0,
            random: StdRng::seed_from_u64(5),
            order: 0,
            flights: BTreeMap::new(),
        }
    }

    /// The first controls and is the DTLS client.
    fn set_transport(&mut self) {
        for at in [0, 1] {
            let other = &self.ends[1 - at];
            let setup = TransportSetup {
                remote_ice: other.ice.clone(),
                fingerprints: vec![other.fingerprint.clone()],
                role: [DtlsRole::Client, DtlsRole::Server][at],
                controlling: at == 0,
                // The second learns the first's address from its checks.
                candidates: if at == 0 { vec![other.address] } else { vec![] },
            };
            self.with(at, |endpoint, around| {
                endpoint.set_transport(around, &setup)
            });
        }
    }

    fn with(&mut self, at: usize, work: impl FnOnce(&mut Endpoint, &mut Surroundings<'_>)) {
        let mut out = Outbox::default();
        let End {
            endpoint, tally, ..
        } = &mut self.ends[at];
        let mut around = Surroundings {
            now: self.now,
            tally,
            out: &mut out,
        };
        work(endpoint, &mut around);
        for (to, datagram) in out.iter() {
            assert_eq!(to, self.ends[1 - at].address);
            assert!(datagram.len() <= 1_230, "{} bytes", datagram.len());
            if !self.random.random_bool(self.loss) {
                self.order += 1;
                let due = (self.now + DELAY, self.order);
                self.flights.insert(due, (1 - at, datagram.to_vec()));
            }
        }
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut rounds = 0;
        loop {
            let flight = self.flights.first_key_value().map(|((due, _), _)| *due);
            let timeouts = self
                .ends
                .iter()
                .filter_map(|end| end.endpoint.poll_timeout());
            let next = timeouts.chain(flight).min().filter(|next| *next <= end);
            let Some(next) = next else {
                self.now = end;
                return;
            };
            rounds = if next > self.now { 0 } else { rounds + 1 };
            assert!(rounds < 1_000, "somebody spins");
            self.now = self.now.max(next);
            while let Some(entry) = self.flights.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (to, mut datagram) = entry.remove();
                let from = self.ends[1 - to].address;
                self.with(to, |endpoint, around| {
                    endpoint.handle_datagram(around, from, &mut datagram);
                });
            }
            for at in [0, 1] {
                self.with(at, |endpoint, around| {
                    if endpoint.poll_timeout().is_some_and(|due| due <= around.now) {
                        endpoint.handle_timeout(around);
                    }
                });
            }
        }
    }

    /// The first publishes, the second receives.
    fn set_media(&mut self, source: SourcePlan, layers: usize) {
        let mut extensions = ExtensionMap::default();
        for (id, extension) in [
            (1, Extension::AudioLevel),
            (3, Extension::TransportCc),
            (4, Extension::Mid),
        ] {
            extensions.insert(id, extension);
        }
        let streams: Vec<StreamSetup> = (0..layers as u32)
            .map(|layer| StreamSetup {
                rid: None,
                ssrc: 100 + 10 * layer,
                rtx_ssrc: 101 + 10 * layer,
            })
            .collect();
        let receivers = streams.iter().map(|stream| ReceiverSetup {
            mid: "0".parse().unwrap(),
            kind: source.kind(),
            ssrc: stream.ssrc,
            rtx_ssrc: Some(stream.rtx_ssrc),
            nack: true,
            pli: true,
        });
        let receiving = MediaSetup {
            extensions,
            senders: Vec::new(),
            receivers: receivers.collect(),
        };
        let sending = MediaSetup {
            extensions,
            senders: vec![SenderSetup {
                mid: "0".parse().unwrap(),
                source,
                payload_type: 96,
                rtx_payload_type: Some(97),
                streams,
            }],
            receivers: Vec::new(),
        };
        self.with(0, |endpoint, around| {
            endpoint.set_media(around.now, &sending)
        });
        self.with(1, |endpoint, around| {
            endpoint.set_media(around.now, &receiving)
        });
    }

    fn connected(source: SourcePlan) -> Self {
        let mut pair = Self::new(&Identity::preferring_gcm().unwrap());
        pair.set_media(source, 1);
        pair.set_transport();
        pair.run(Duration::from_millis(300));
        for end in &pair.ends {
            assert_eq!(*end.endpoint.state(), PeerState::Connected);
        }
        pair
    }

    /// What was counted since the last call: by the sender, and by the receiver.
    fn take(&mut self) -> [Tally; 2] {
        [0, 1].map(|at| {
            let End {
                endpoint, tally, ..
            } = &mut self.ends[at];
            endpoint.take(tally);
            tally.take()
        })
    }
}

const VIDEO: SourcePlan = SourcePlan::Video(VideoPlan {
    bitrate: 1_500_000,
    simulcast: false,
});

#[test]
fn everything_that_is_sent_is_counted_and_its_latency_known() {
    for source in [VIDEO, SourcePlan::Audio] {
        let mut pair = Pair::connected(source);
        pair.run(Duration::from_secs(5));
        pair.take();
        pair.run(Duration::from_secs(10));
        let [sent, received] = pair.take();
        assert!(sent.sent.packets > 100, "{:?}", sent.sent);
        // What was on its way at either edge.
        assert!(sent.sent.packets.abs_diff(received.received.packets) < 20);
        let [bits, there] = [sent.sent.bits, received.received.bits];
        assert!(bits.abs_diff(there) < 200_000, "{bits} and {there}");
        assert_eq!(received.loss.lost, 0);
        assert_eq!(received.loss.strange, 0);
        let latency = received.latency.percentiles().unwrap();
        assert!(
            latency.count >= received.received.packets / 8,
            "{latency:?}"
        );
        assert!((9.9..10.2).contains(&latency.p50), "{latency:?}");
        assert!((10.0..10.2).contains(&latency.max), "{latency:?}");
    }
}

#[test]
fn video_has_its_bitrate_and_its_first_keyframe() {
    let mut pair = Pair::connected(VIDEO);
    pair.take();
    pair.run(Duration::from_secs(15));
    let [sent, received] = pair.take();
    let bitrate = sent.sent.bits as f64 / 15.0;
    // Headers and tags come on top.
    assert!((1_450_000.0..1_750_000.0).contains(&bitrate), "{bitrate}");
    let keyframe = received.keyframe.percentiles().unwrap();
    assert_eq!(keyframe.count, 1);
    assert!(keyframe.max < 100.0, "{keyframe:?}");
}

#[test]
fn what_gets_lost_is_asked_for_and_comes_again() {
    let mut pair = Pair::connected(VIDEO);
    pair.run(Duration::from_secs(2));
    pair.take();
    pair.loss = 0.05;
    pair.run(Duration::from_secs(20));
    pair.loss = 0.0;
    pair.run(Duration::from_secs(2));
    let [sent, received] = pair.take();
    let loss = received.loss;
    assert!(loss.lost > 100, "{loss:?}");
    assert!(loss.nacks >= loss.lost, "{loss:?}");
    assert_eq!(loss.repaired, loss.lost, "{loss:?}");
    assert!(sent.sent.retransmissions >= loss.repaired);
    assert_eq!(loss.strange, 0);
}

#[test]
fn who_comes_late_asks_for_a_keyframe_and_gets_one() {
    let mut pair = Pair::connected(VIDEO);
    let receiving = pair.ends[1].endpoint.receptions[0].setup;
    // As if the track had been described only now.
    pair.run(Duration::from_secs(1));
    pair.ends[1].endpoint.receptions[0] = Reception::new(receiving, Some(pair.now));
    pair.take();
    pair.run(Duration::from_millis(400));
    let [_, received] = pair.take();
    assert_eq!(received.loss.keyframe_requests, 1);
    let keyframe = received.keyframe.percentiles().unwrap();
    assert_eq!(keyframe.count, 2);
    assert!(keyframe.max < 300.0, "{keyframe:?}");
}

#[test]
fn another_certificate_than_that_of_the_sdp_is_refused() {
    let mut pair = Pair::new(&Identity::preferring_gcm().unwrap());
    pair.ends[1].fingerprint.bytes[0] ^= 1;
    pair.set_transport();
    pair.run(Duration::from_secs(1));
    let state = pair.ends[0].endpoint.state().clone();
    assert!(
        matches!(&state, PeerState::Failed(why) if why.contains("certificate")),
        "{state:?}"
    );
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let mut pair = Pair::new(&Identity::preferring_gcm().unwrap());
    pair.loss = 1.0;
    pair.set_transport();
    pair.run(Duration::from_secs(29));
    assert_eq!(*pair.ends[0].endpoint.state(), PeerState::Connecting);
    pair.run(Duration::from_secs(2));
    assert!(matches!(
        pair.ends[0].endpoint.state(),
        PeerState::Failed(_)
    ));
}

#[test]
fn the_suite_that_was_chosen_is_the_one_that_runs() {
    for (identity, name) in [
        (Identity::preferring_gcm(), "SRTP_AEAD_AES_128_GCM"),
        (Identity::without_gcm(), "SRTP_AES128_CM_HMAC_SHA1_80"),
    ] {
        let mut pair = Pair::new(&identity.unwrap());
        pair.set_media(VIDEO, 1);
        pair.set_transport();
        pair.run(Duration::from_secs(2));
        for end in &pair.ends {
            assert_eq!(end.endpoint.srtp_profile(), Some(name));
        }
        let [_, received] = pair.take();
        assert!(received.received.packets > 100);
        assert_eq!(received.loss.strange, 0);
    }
}
