//! DTLS 1.2 (RFC 6347) around the supplier's endpoint: one association, whatever path it travels.
//!
//! Called by [`super::Transport`] with datagrams from validated paths only. It bounds what the supplier
//! would keep without a limit, repeats lost flights sooner than the supplier does, and lets nothing in
//! before the certificate's fingerprint was compared.

mod client_hello;
mod record;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ::dtls::endpoint::{Endpoint, EndpointEvent};
use ::shared::TransportProtocol;
use ::shared::error::Error;
use bytes::BytesMut;

use self::client_hello::ClientHello;
use self::record::{ContentType, Records};
use super::identity::{Identity, hash_of};
use super::srtp::{Srtp, SrtpProfile};
use crate::shard::{DtlsRole, FailReason, Fingerprint};

/// Why DTLS records were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsError {
    /// Not whole DTLS records, or such that nobody sends.
    Malformed,
    /// From an address that no connectivity check came from.
    UnknownPath,
    /// The peer has sent more handshake bytes than any handshake takes.
    TooMuch,
    /// The association is over.
    Closed,
}

/// What the association tells its transport.
pub(crate) enum DtlsEvent {
    /// The handshake is done and the fingerprint is right.
    Connected(Box<Srtp>),
    /// Decrypted application data: an SCTP packet.
    Data(BytesMut),
    /// The association is over.
    Failed(FailReason),
}

/// How long a handshake may take, from the first moment that it can begin.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that one side's handshake may have, retransmissions and all.
const HANDSHAKE_BUDGET: usize = 128 * 1024;
/// Encrypted handshake records that may come: one Finished, and its repetitions.
const ENCRYPTED_HANDSHAKE_BUDGET: usize = 64;
/// When a flight is repeated for the first time; doubled each time after.
const FIRST_REPEAT: Duration = Duration::from_millis(250);
const LAST_REPEAT: Duration = Duration::from_secs(4);
/// The exporter's label (RFC 5764 section 4.2).
const EXPORTER: &str = "EXTRACTOR-dtls_srtp";
/// The supplier wants an address to tell associations apart; ours has one association and no address.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// One peer's DTLS association.
pub(crate) struct Dtls {
    identity: Identity,
    stage: Stage,
    role: Option<DtlsRole>,
    /// One of them must be the peer's.
    fingerprints: Vec<Fingerprint>,
    deadline: Option<Instant>,
    repeat: Repeat,
    handshake_bytes: usize,
    encrypted_handshakes: usize,
}

enum Stage {
    /// The role is unknown, or we wait for a path or the first ClientHello.
    Waiting(ClientHello),
    Handshaking(Endpoint),
    Connected(Endpoint),
    Over,
}

/// Our last flight, to be sent again as it is. RFC 6347 section 4.1 numbers repeated records anew; one that
/// never arrived is new to the peer all the same, and one that did is dropped as replayed. The supplier
/// alone would repeat a flight rarely, and never again after any part of the answer came.
#[derive(Default)]
struct Repeat {
    flight: Vec<BytesMut>,
    at: Option<Instant>,
    interval: Duration,
}

impl Dtls {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            stage: Stage::Waiting(ClientHello::default()),
            role: None,
            fingerprints: Vec::new(),
            deadline: None,
            repeat: Repeat::default(),
            handshake_bytes: 0,
            encrypted_handshakes: 0,
        }
    }

    /// Takes the remote description. The role stays what it was first (RFC 8842 section 5.5 would begin
    /// a new association for another one).
    pub(crate) fn set_remote(
        &mut self,
        now: Instant,
        role: DtlsRole,
        fingerprints: &[Fingerprint],
    ) {
        if matches!(self.stage, Stage::Connected(_) | Stage::Over) {
            return;
        }
        self.role.get_or_insert(role);
        self.fingerprints = fingerprints.to_vec();
        self.deadline.get_or_insert(now + HANDSHAKE_TIMEOUT);
    }

    /// There is a path now, and what is needed to begin may be known.
    pub(crate) fn begin(&mut self, now: Instant, out: &mut Vec<BytesMut>) -> Vec<DtlsEvent> {
        let (Stage::Waiting(hello), Some(role)) = (&mut self.stage, self.role) else {
            return Vec::new();
        };
        match role {
            DtlsRole::Client => {
                let mut endpoint = endpoint(None);
                let config = self.identity.client_config();
                let begun = endpoint.connect(now, PEER, config, None);
                self.start(now, endpoint);
                self.flush(now, out);
                begun.map_or_else(|error| self.fail(&error), |()| Vec::new())
            }
            DtlsRole::Server => {
                let Some(offers_gcm) = hello.offers_gcm() else {
                    return Vec::new();
                };
                let datagrams = hello.take();
                let config = self.identity.server_config(offers_gcm);
                self.start(now, endpoint(Some(config)));
                let read = |datagram: Vec<u8>| self.read(now, &datagram, out);
                datagrams.into_iter().flat_map(read).collect()
            }
        }
    }

    fn start(&mut self, now: Instant, endpoint: Endpoint) {
        self.stage = Stage::Handshaking(endpoint);
        self.deadline = Some(now + HANDSHAKE_TIMEOUT);
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.stage, Stage::Connected(_))
    }

    /// Reads one datagram; what is to be sent is appended to `out`.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        datagram: &[u8],
        out: &mut Vec<BytesMut>,
    ) -> Result<Vec<DtlsEvent>, DtlsError> {
        self.admit(datagram)?;
        match &mut self.stage {
            Stage::Waiting(hello) => {
                hello.push(datagram);
                Ok(self.begin(now, out))
            }
            Stage::Handshaking(_) | Stage::Connected(_) => Ok(self.read(now, datagram, out)),
            Stage::Over => Err(DtlsError::Closed),
        }
    }

    /// Lets through what a peer may send at this stage, within its budget.
    fn admit(&mut self, datagram: &[u8]) -> Result<(), DtlsError> {
        let connected = self.is_connected();
        for record in Records(datagram) {
            let record = record.map_err(|()| DtlsError::Malformed)?;
            if !record.is_plausible() {
                return Err(DtlsError::Malformed);
            }
            let handshake = record.content == ContentType::Handshake;
            if handshake && record.epoch > 0 {
                self.encrypted_handshakes += 1;
            }
            if handshake || !connected {
                self.handshake_bytes += record.body.len();
            }
        }
        let within = self.handshake_bytes <= HANDSHAKE_BUDGET
            && self.encrypted_handshakes <= ENCRYPTED_HANDSHAKE_BUDGET;
        within.then_some(()).ok_or(DtlsError::TooMuch)
    }

    fn read(&mut self, now: Instant, datagram: &[u8], out: &mut Vec<BytesMut>) -> Vec<DtlsEvent> {
        let (Stage::Handshaking(endpoint) | Stage::Connected(endpoint)) = &mut self.stage else {
            return Vec::new();
        };
        let read = endpoint.read(now, PEER, None, BytesMut::from(datagram));
        self.flush(now, out);
        let mut events = Vec::new();
        match read {
            Ok(read) => {
                for event in read {
                    match event {
                        EndpointEvent::HandshakeComplete => events.push(self.complete(now, out)),
                        EndpointEvent::ApplicationData(data) if self.is_connected() => {
                            events.push(DtlsEvent::Data(data));
                        }
                        EndpointEvent::PeerClosed => events.push(self.end(FailReason::Closed)),
                        _ => {}
                    }
                }
            }
            Err(error) => events = self.fail(&error),
        }
        events
    }

    /// Compares the certificate with the fingerprints and takes the SRTP keys.
    fn complete(&mut self, now: Instant, out: &mut Vec<BytesMut>) -> DtlsEvent {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let Stage::Handshaking(mut endpoint) = stage else {
            return DtlsEvent::Failed(FailReason::Handshake);
        };
        self.repeat = Repeat::default();
        self.deadline = None;
        match self.keys(&endpoint) {
            Ok(srtp) => {
                self.stage = Stage::Connected(endpoint);
                DtlsEvent::Connected(Box::new(srtp))
            }
            Err(reason) => {
                endpoint.stop(now, PEER);
                out.extend(
                    std::iter::from_fn(|| endpoint.poll_transmit()).map(|sent| sent.message),
                );
                DtlsEvent::Failed(reason)
            }
        }
    }

    fn keys(&self, endpoint: &Endpoint) -> Result<Srtp, FailReason> {
        let state = endpoint.get_connection_state(PEER);
        let state = state.ok_or(FailReason::Handshake)?;
        let certificate = state.peer_certificates.first();
        let certificate = certificate.ok_or(FailReason::Fingerprint)?;
        let known = self.fingerprints.iter();
        let mut known = known.filter(|known| known.bytes == hash_of(known.hash, certificate));
        known.next().ok_or(FailReason::Fingerprint)?;
        let profile = SrtpProfile::from_dtls(state.srtp_protection_profile());
        let profile = profile.ok_or(FailReason::Handshake)?;
        let length = profile.keying_material_len();
        let material = state.export_keying_material(EXPORTER, &[], length);
        let material = material.map_err(|_| FailReason::Handshake)?;
        let crypto = self.identity.provider().crypto();
        Srtp::new(crypto, profile, material.as_ref(), state.is_client())
            .map_err(|_| FailReason::Handshake)
    }

    /// Encrypts application data.
    pub(super) fn write(&mut self, now: Instant, data: &[u8], out: &mut Vec<BytesMut>) {
        if let Stage::Connected(endpoint) = &mut self.stage {
            // It fails only for an association that is gone.
            let _ = endpoint.write(now, PEER, data);
            self.flush(now, out);
        }
    }

    /// Says goodbye, if there is somebody to say it to.
    pub(crate) fn close(&mut self, now: Instant, out: &mut Vec<BytesMut>) {
        if let Stage::Handshaking(endpoint) | Stage::Connected(endpoint) = &mut self.stage {
            endpoint.stop(now, PEER);
            self.flush(now, out);
        }
        self.end(FailReason::Closed);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let supplier = match &self.stage {
            Stage::Handshaking(endpoint) => endpoint.poll_timeout(&PEER),
            _ => None,
        };
        [supplier, self.deadline, self.repeat.at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        out: &mut Vec<BytesMut>,
    ) -> Vec<DtlsEvent> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.deadline) {
            return vec![self.end(FailReason::Handshake)];
        }
        if due(self.repeat.at) {
            out.extend(self.repeat.flight.iter().cloned());
            self.repeat.interval = (self.repeat.interval * 2).min(LAST_REPEAT);
            self.repeat.at = Some(now + self.repeat.interval);
        }
        let Stage::Handshaking(endpoint) = &mut self.stage else {
            return Vec::new();
        };
        if !due(endpoint.poll_timeout(&PEER)) {
            return Vec::new();
        }
        let handled = endpoint.handle_timeout(PEER, now);
        self.flush(now, out);
        handled.map_or_else(|error| self.fail(&error), |()| Vec::new())
    }

    /// Moves out what the supplier wants to send, and keeps it to be repeated during the handshake.
    fn flush(&mut self, now: Instant, out: &mut Vec<BytesMut>) {
        let (endpoint, handshaking) = match &mut self.stage {
            Stage::Handshaking(endpoint) => (endpoint, true),
            Stage::Connected(endpoint) => (endpoint, false),
            Stage::Waiting(_) | Stage::Over => return,
        };
        let before = out.len();
        out.extend(std::iter::from_fn(|| endpoint.poll_transmit()).map(|sent| sent.message));
        if handshaking && out.len() > before {
            self.repeat = Repeat {
                flight: out[before..].to_vec(),
                at: Some(now + FIRST_REPEAT),
                interval: FIRST_REPEAT,
            };
        }
    }

    /// What an error of the supplier means. A connected association ends by an authenticated alert only.
    fn fail(&mut self, error: &Error) -> Vec<DtlsEvent> {
        let alert = matches!(error, Error::ErrAlertFatalOrClose);
        match &self.stage {
            Stage::Connected(_) if alert => vec![self.end(FailReason::Closed)],
            Stage::Handshaking(_) if alert || !is_warning(error) => {
                vec![self.end(FailReason::Handshake)]
            }
            _ => Vec::new(),
        }
    }

    fn end(&mut self, reason: FailReason) -> DtlsEvent {
        self.stage = Stage::Over;
        self.deadline = None;
        self.repeat = Repeat::default();
        DtlsEvent::Failed(reason)
    }
}

/// The supplier reports an alert of level warning as an error without a kind.
fn is_warning(error: &Error) -> bool {
    matches!(error, Error::Other(text) if text.starts_with("Error of Alert"))
}

fn endpoint(config: Option<std::sync::Arc<::dtls::config::HandshakeConfig>>) -> Endpoint {
    Endpoint::new(PEER, TransportProtocol::UDP, config)
}
