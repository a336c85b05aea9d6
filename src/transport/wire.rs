//! [`Transport`]: the protocols of one peer's wire, put on top of each other.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::channel::{ChannelError, ChannelInfo, ChannelLimits, ChannelReliability, MessageKind};
use super::dtls::{Dtls, DtlsError, DtlsEvent};
use super::ice::IceLite;
use super::identity::Identity;
use super::sctp::Sctp;
use super::srtp::{Srtp, SrtpError};
use super::stun::StunError;
use super::{Endpoint, Path};
use crate::shard::{FailReason, IceCredentials, SctpParameters, TransportParameters};

/// A datagram other than media that is to be sent: a STUN response or DTLS records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub path: Path,
    /// The whole datagram.
    pub contents: Vec<u8>,
}

/// What became of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportEvent {
    /// DTLS is done, the certificate is the one of the SDP, and media can flow.
    Connected,
    /// The wire is dead, and stays so.
    Failed(FailReason),
    /// [`Transport::selected_path`] says something else now.
    PathChanged,
    /// Checks ceased to come for 30 s (RFC 7675), or come again.
    Consent {
        /// Whether media may be sent.
        fresh: bool,
    },
    /// The remote side opened a data channel.
    ChannelOpened(ChannelInfo),
    /// A whole message came. It may be empty.
    ChannelMessage {
        /// The channel.
        id: u16,
        /// Text or binary.
        kind: MessageKind,
        /// The message.
        data: Bytes,
    },
    /// A channel is over, whoever closed it.
    ChannelClosed {
        /// The channel, whose id may be used again.
        id: u16,
    },
}

/// One peer's wire.
///
/// It is told the time and handed datagrams with `handle_*`. After any call, drain
/// [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event), then ask
/// [`poll_timeout`](Self::poll_timeout) when to call [`handle_timeout`](Self::handle_timeout).
/// Media passes through `open_*` and `seal_*`, which queue nothing and never change the timeout.
pub struct Transport {
    identity: Identity,
    ice: IceLite,
    dtls: Dtls,
    srtp: Option<Box<Srtp>>,
    limits: ChannelLimits,
    /// The data channel m-line, where there is one.
    sctp_parameters: Option<SctpParameters>,
    /// Made when both DTLS and the m-line are there.
    sctp: Option<Box<Sctp>>,
    is_client: bool,
    failed: bool,
    /// What may be sent before DTLS has proven that the peer is where it says.
    allowance: Option<Allowance>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<TransportEvent>,
}

/// Bytes that may be sent before anything proves that the peer is where it says to be: so many for each that came from there,
/// as in QUIC (RFC 9000 section 8.1).
const AMPLIFICATION: usize = 3;

/// What came, and what was sent.
#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    received: usize,
    sent: usize,
}

impl Transport {
    /// Begins to answer checks for `local`. Nothing else happens before
    /// [`set_parameters`](Self::set_parameters).
    pub fn new(identity: &Identity, local: IceCredentials, limits: ChannelLimits) -> Self {
        Self {
            identity: identity.clone(),
            ice: IceLite::new(local),
            dtls: Dtls::new(identity.clone()),
            srtp: None,
            limits,
            sctp_parameters: None,
            sctp: None,
            is_client: false,
            failed: false,
            allowance: Some(Allowance::default()),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes what the remote description says, each time that one was applied.
    ///
    /// Other ICE credentials than before are an ICE restart: the old ones stay valid until the first
    /// nomination under the new ones. The DTLS role and, once connected, the fingerprints stay.
    pub fn set_parameters(&mut self, now: Instant, parameters: &TransportParameters) {
        self.ice
            .set_credentials(&parameters.local_ice, &parameters.remote_ice);
        self.dtls
            .set_remote(now, parameters.role, &parameters.fingerprints);
        self.sctp_parameters = parameters.sctp.or(self.sctp_parameters);
        self.begin_dtls(now);
        self.begin_sctp(now);
    }

    /// Takes a datagram that is STUN. A check with the right credentials makes its path a valid one.
    pub fn handle_stun(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<(), StunError> {
        if self.failed {
            return Ok(());
        }
        let mut answer = |contents: Option<Vec<u8>>| {
            let transmit = contents.map(|contents| Transmit { path, contents });
            if let (Some(allowance), Some(transmit)) = (&mut self.allowance, &transmit) {
                allowance.received += datagram.len();
                allowance.sent += transmit.contents.len();
            }
            self.transmits.extend(transmit);
        };
        match self.ice.handle(now, path, datagram) {
            Ok(outcome) => {
                answer(outcome.response);
                if outcome.unproven {
                    let asked = self.transaction();
                    let check = asked.and_then(|transaction| self.ice.ask(path, transaction));
                    let transmit = check.map(|contents| Transmit { path, contents });
                    self.transmits.extend(transmit);
                }
                if outcome.path_changed {
                    self.events.push_back(TransportEvent::PathChanged);
                }
                if outcome.consent_regained {
                    self.events
                        .push_back(TransportEvent::Consent { fresh: true });
                }
                self.begin_dtls(now);
                Ok(())
            }
            Err((error, response)) => {
                answer(response);
                Err(error)
            }
        }
    }

    /// Takes a datagram that is DTLS, from a valid path.
    pub fn handle_dtls(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<(), DtlsError> {
        if !self.accepts(path.origin()) {
            return Err(DtlsError::UnknownPath);
        }
        if let Some(allowance) = &mut self.allowance {
            allowance.received += datagram.len();
        }
        let was_connected = self.dtls.is_connected();
        let mut out = Vec::new();
        let handled = self.dtls.handle(now, datagram, &mut out);
        // Who knows the cookie has read what was sent to this address (RFC 6347 section 4.2.1).
        if out.iter().any(|record| is_server_hello(record)) {
            self.allowance = None;
        }
        if self.dtls.is_connected() && !was_connected {
            self.allowance = None;
            self.ice.prove(path);
        }
        self.send_dtls(out);
        self.handle_dtls_events(now, handled?);
        Ok(())
    }

    /// Whether this is a check with the right credentials. Nothing comes of it.
    pub fn verifies(&self, datagram: &[u8]) -> bool {
        !self.failed && self.ice.verifies(datagram)
    }

    /// Whether checks made an address a valid source of DTLS and media. At most 16 are.
    pub fn accepts(&self, origin: Endpoint) -> bool {
        self.ice.accepts(origin)
    }

    /// Whether the peer still checks from an address: its last check there is at most 8 s old.
    pub fn hears(&self, now: Instant, origin: Endpoint) -> bool {
        self.ice.hears(now, origin)
    }

    /// Where to send media. `None` before the first check, and without consent.
    pub fn selected_path(&self) -> Option<Path> {
        self.ice.selected()
    }

    /// Whether DTLS is done and the certificate was right.
    pub fn is_connected(&self) -> bool {
        self.srtp.is_some() && !self.failed
    }

    /// The SRTP profile, as IANA names it, once connected.
    pub fn srtp_profile(&self) -> Option<&'static str> {
        self.srtp.as_ref().map(|srtp| srtp.profile().name())
    }

    /// How many bytes [`seal_rtp`](Self::seal_rtp) appends.
    pub fn rtp_overhead(&self) -> usize {
        self.srtp.as_ref().map_or(0, |srtp| srtp.rtp_overhead())
    }

    /// Decrypts an RTP packet in place and returns its plain length. Its header is `header_len` bytes with
    /// CSRCs and extensions; `index` is the 48-bit packet index, the rollover counter times 65,536 plus
    /// the sequence number. Replayed packets are the caller's to refuse, with a [`super::ReplayWindow`].
    pub fn open_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let srtp = self.srtp.as_mut().ok_or(SrtpError::NotConnected)?;
        srtp.open_rtp(packet, header_len, index)
    }

    /// Encrypts the plain RTP packet `out[start..]` in place and appends the tag. Never call it for two
    /// different packets of the same SSRC and index.
    pub fn seal_rtp(
        &mut self,
        out: &mut Vec<u8>,
        start: usize,
        header_len: usize,
        index: u64,
    ) -> Result<(), SrtpError> {
        let srtp = self.srtp.as_mut().ok_or(SrtpError::NotConnected)?;
        srtp.seal_rtp(out, start, header_len, index)
    }

    /// Decrypts a compound RTCP packet in place and returns its plain length. Refuses replays.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let srtp = self.srtp.as_mut().ok_or(SrtpError::NotConnected)?;
        srtp.open_rtcp(packet)
    }

    /// Encrypts the plain compound RTCP packet `out[start..]` in place, appends index and tag.
    pub fn seal_rtcp(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), SrtpError> {
        let srtp = self.srtp.as_mut().ok_or(SrtpError::NotConnected)?;
        srtp.seal_rtcp(out, start)
    }

    /// Opens a data channel and returns its id. Messages may be sent at once. There is no event when the
    /// remote side has answered.
    pub fn open_channel(
        &mut self,
        now: Instant,
        label: &str,
        protocol: &str,
        reliability: ChannelReliability,
    ) -> Result<u16, ChannelError> {
        let sctp = self.sctp.as_mut().ok_or(ChannelError::NotConnected)?;
        let id = sctp.open(now, label, protocol, reliability)?;
        self.flush_sctp(now);
        Ok(id)
    }

    /// Sends a whole message.
    pub fn send_message(
        &mut self,
        now: Instant,
        id: u16,
        kind: MessageKind,
        data: &[u8],
    ) -> Result<(), ChannelError> {
        let sctp = self.sctp.as_mut().ok_or(ChannelError::NotConnected)?;
        sctp.send(now, id, kind, data)?;
        self.flush_sctp(now);
        Ok(())
    }

    /// Closes a data channel, after what was sent on it. [`TransportEvent::ChannelClosed`] follows when the
    /// remote side has closed it too.
    pub fn close_channel(&mut self, now: Instant, id: u16) {
        if let Some(sctp) = &mut self.sctp {
            sctp.close(now, id);
            self.flush_sctp(now);
        }
    }

    /// Ends the association with close_notify. Nothing but [`poll_transmit`](Self::poll_transmit) is of
    /// use afterwards.
    pub fn close(&mut self, now: Instant) {
        if let Some(mut sctp) = self.sctp.take() {
            let out = sctp.abort(now);
            self.send_sctp(now, out);
        }
        let mut out = Vec::new();
        self.dtls.close(now, &mut out);
        self.send_dtls(out);
        self.failed = true;
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.failed {
            return None;
        }
        let sctp = self.sctp.as_ref().and_then(|sctp| sctp.poll_timeout());
        let timeouts = [self.ice.poll_timeout(), self.dtls.poll_timeout(), sctp];
        timeouts.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.failed {
            return;
        }
        if self.ice.handle_timeout(now) {
            self.events.push_back(TransportEvent::PathChanged);
            self.events
                .push_back(TransportEvent::Consent { fresh: false });
        }
        let mut out = Vec::new();
        let events = self.dtls.handle_timeout(now, &mut out);
        self.send_dtls(out);
        self.handle_dtls_events(now, events);
        if let Some(sctp) = &mut self.sctp {
            let out = sctp.handle_timeout(now, &mut self.events);
            self.send_sctp(now, out);
        }
    }

    /// The next datagram to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    fn begin_dtls(&mut self, now: Instant) {
        if self.ice.selected().is_none() {
            return;
        }
        let mut out = Vec::new();
        let events = self.dtls.begin(now, &mut out);
        self.send_dtls(out);
        self.handle_dtls_events(now, events);
    }

    /// A number that nobody can guess.
    fn transaction(&self) -> Option<[u8; 12]> {
        let mut transaction = [0; 12];
        let random = self.identity.provider().random();
        random.fill(&mut transaction).ok()?;
        Some(transaction)
    }

    /// Without a path records are lost, as on any wire, and so are those that are too much to be sent to somebody who may
    /// not have asked for them: both sides repeat theirs.
    fn send_dtls(&mut self, records: Vec<BytesMut>) {
        let Some(path) = self.ice.selected() else {
            return;
        };
        for contents in records {
            if let Some(allowance) = &mut self.allowance {
                if allowance.sent + contents.len() > AMPLIFICATION * allowance.received {
                    continue;
                }
                allowance.sent += contents.len();
            }
            self.transmits.push_back(Transmit {
                path,
                contents: contents.into(),
            });
        }
    }

    fn handle_dtls_events(&mut self, now: Instant, events: Vec<DtlsEvent>) {
        for event in events {
            match event {
                DtlsEvent::Connected(srtp) => {
                    self.is_client = srtp.is_client();
                    self.srtp = Some(srtp);
                    self.events.push_back(TransportEvent::Connected);
                    self.begin_sctp(now);
                }
                DtlsEvent::Data(packet) => {
                    if let Some(sctp) = &mut self.sctp {
                        let out = sctp.handle(now, packet, &mut self.events);
                        self.send_sctp(now, out);
                    }
                }
                DtlsEvent::Failed(reason) => self.fail(reason),
            }
        }
    }

    /// Starts SCTP as soon as DTLS and the m-line are there.
    fn begin_sctp(&mut self, now: Instant) {
        let Some(parameters) = self.sctp_parameters.filter(|_| self.is_connected()) else {
            return;
        };
        let make = || Box::new(Sctp::new(self.limits, self.is_client));
        let sctp = self.sctp.get_or_insert_with(make);
        sctp.set_remote(&parameters);
        sctp.begin(now);
        self.flush_sctp(now);
    }

    fn flush_sctp(&mut self, now: Instant) {
        if let Some(sctp) = &mut self.sctp {
            let out = sctp.flush(now);
            self.send_sctp(now, out);
        }
    }

    fn send_sctp(&mut self, now: Instant, packets: Vec<Bytes>) {
        let mut out = Vec::new();
        for packet in packets {
            self.dtls.write(now, &packet, &mut out);
        }
        self.send_dtls(out);
    }

    fn fail(&mut self, reason: FailReason) {
        if !std::mem::replace(&mut self.failed, true) {
            self.events.push_back(TransportEvent::Failed(reason));
        }
    }
}

/// Whether a record of ours begins what follows the exchange of cookies.
fn is_server_hello(record: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const SERVER_HELLO: u8 = 2;
    record.first() == Some(&HANDSHAKE) && record.get(13) == Some(&SERVER_HELLO)
}
