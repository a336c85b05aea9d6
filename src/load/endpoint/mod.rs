//! One peer connection of a client, sans-IO: ICE, DTLS and SRTP, the tracks it publishes and receives, and
//! the RTCP for both.
//!
//! Called by [`super::media`]'s thread with the time, the datagrams of its socket and what was negotiated.
//! It is cheaper than the server it loads: what it receives it counts by headers that are in the clear,
//! and decrypts a sample. It knows no SDP, no socket and no other endpoint.

mod feedback;
mod ice;
mod outbox;
mod outgoing;
mod pacer;
mod publication;
mod reception;
mod sending;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use self::ice::Agent;
use self::pacer::Pacer;
use self::publication::{Due, Publication};
use self::reception::{Arrival, Reception};
use crate::forward::TransportCcRecorder;
use crate::load::measure::Tally;
use crate::load::media::{MediaSetup, PeerState, TransportSetup};
use crate::rtp::{Extension, ExtensionMap, HeaderView, MediaKind, Mid, Rid};
use crate::shard::{FailReason, IceCredentials};
use crate::transport::{DatagramKind, Dtls, DtlsEvent, Identity, Srtp, classify};

pub(crate) use self::outbox::Outbox;

/// What an endpoint writes to, besides itself.
pub(crate) struct Surroundings<'a> {
    /// The time.
    pub(crate) now: Instant,
    /// What it counts.
    pub(crate) tally: &'a mut Tally,
    /// What it sends.
    pub(crate) out: &'a mut Outbox,
}

/// One peer connection.
pub(crate) struct Endpoint {
    ice: Agent,
    dtls: Dtls,
    srtp: Option<Box<Srtp>>,
    state: PeerState,
    /// When it was connected.
    connected: Option<Instant>,
    has_transport: bool,
    /// Records that wait for a way: a handshake may begin before a check of ours was answered.
    held: Vec<bytes::BytesMut>,
    seed: u64,
    /// One of so many packets is decrypted.
    sample: u32,
    extensions: ExtensionMap,
    publications: Vec<Publication>,
    receptions: Vec<Reception>,
    /// The reception that an SSRC belongs to, and whether it is its retransmissions'.
    reception_by_ssrc: FxHashMap<u32, (usize, bool)>,
    pacer: Pacer<(usize, Due)>,
    recorder: TransportCcRecorder,
    transport_cc: u16,
    next_report: Option<Instant>,
    /// When a reception has something to ask for, at the earliest.
    next_request: Option<Instant>,
    /// Used again and again.
    due: Vec<Due>,
    missing: Vec<u16>,
}

impl Endpoint {
    /// An endpoint that waits for its transport's parameters.
    pub(crate) fn new(
        identity: &Identity,
        local_ice: IceCredentials,
        seed: u64,
        sample: u32,
    ) -> Self {
        Self {
            ice: Agent::new(local_ice, seed),
            dtls: Dtls::new(identity.clone()),
            srtp: None,
            state: PeerState::Connecting,
            connected: None,
            has_transport: false,
            held: Vec::new(),
            seed,
            sample,
            extensions: ExtensionMap::default(),
            publications: Vec::new(),
            receptions: Vec::new(),
            reception_by_ssrc: FxHashMap::default(),
            pacer: Pacer::default(),
            recorder: TransportCcRecorder::default(),
            transport_cc: 0,
            next_report: None,
            next_request: None,
            due: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// What became of it.
    pub(crate) fn state(&self) -> &PeerState {
        &self.state
    }

    /// When it was connected.
    pub(crate) fn connected_at(&self) -> Option<Instant> {
        self.connected
    }

    /// The only address that it speaks with, once connected.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        self.ice.selected().filter(|_| self.srtp.is_some())
    }

    /// The SRTP profile as IANA names it, once connected.
    pub(crate) fn srtp_profile(&self) -> Option<&'static str> {
        self.srtp.as_ref().map(|srtp| srtp.profile().name())
    }

    /// Takes what the descriptions say about the transport.
    pub(crate) fn set_transport(&mut self, around: &mut Surroundings<'_>, setup: &TransportSetup) {
        let now = around.now;
        self.ice
            .set_remote(now, &setup.remote_ice, setup.controlling);
        for candidate in &setup.candidates {
            self.ice.add_candidate(now, *candidate);
        }
        self.dtls.set_remote(now, setup.role, &setup.fingerprints);
        self.has_transport = true;
        self.begin_dtls(around);
    }

    /// Instead of ICE and DTLS: sends to `remote` from now on, with keys that both sides know.
    pub(crate) fn connect_without_handshake(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        srtp: Box<Srtp>,
    ) {
        self.ice.select_without_checks(remote);
        self.begin_media(now, srtp);
    }

    /// Takes a trickled candidate.
    pub(crate) fn add_candidate(&mut self, now: Instant, address: SocketAddr) {
        self.ice.add_candidate(now, address);
    }

    /// Takes what is sent and received from now on. Tracks that were there before go on as they were.
    pub(crate) fn set_media(&mut self, now: Instant, setup: &MediaSetup) {
        self.extensions = setup.extensions;
        self.publications.retain(|publication| {
            let mut senders = setup.senders.iter();
            senders.any(|sender| sender.mid == publication.mid())
        });
        for sender in &setup.senders {
            let mut known = self.publications.iter_mut();
            match known.find(|publication| publication.mid() == sender.mid) {
                Some(publication) => publication.setup = sender.clone(),
                None => {
                    let seed = self.seed.wrapping_add(self.publications.len() as u64 + 1);
                    let publication = Publication::new(now, sender.clone(), seed);
                    self.publications.push(publication);
                }
            }
        }
        let bitrates = self.publications.iter().map(Publication::video_bitrate);
        self.pacer.set_bitrate(bitrates.sum());
        self.receptions.retain(|reception| {
            let mut receivers = setup.receivers.iter();
            receivers.any(|receiver| receiver.ssrc == reception.setup.ssrc)
        });
        for receiver in &setup.receivers {
            let mut known = self.receptions.iter_mut();
            match known.find(|reception| reception.setup.ssrc == receiver.ssrc) {
                Some(reception) => reception.setup = *receiver,
                None => {
                    let since = self.connected.map(|_| now);
                    let mut reception = Reception::new(*receiver, since);
                    if let Some(rtt) = self.ice.rtt() {
                        reception.nack.set_rtt(rtt);
                    }
                    self.receptions.push(reception);
                }
            }
        }
        self.reception_by_ssrc.clear();
        for (index, reception) in self.receptions.iter().enumerate() {
            let setup = &reception.setup;
            self.reception_by_ssrc.insert(setup.ssrc, (index, false));
            if let Some(ssrc) = setup.rtx_ssrc {
                self.reception_by_ssrc.insert(ssrc, (index, true));
            }
        }
    }

    /// The layers of an m-line that somebody wants.
    pub(crate) fn set_layers(&mut self, mid: Mid, rids: &[Rid]) {
        let mut publications = self.publications.iter_mut();
        if let Some(publication) = publications.find(|publication| publication.mid() == mid) {
            publication.set_layers(rids);
        }
    }

    /// Takes a datagram of its socket. It is decrypted where it lies.
    pub(crate) fn handle_datagram(
        &mut self,
        around: &mut Surroundings<'_>,
        from: SocketAddr,
        datagram: &mut [u8],
    ) {
        match classify(datagram) {
            Some(DatagramKind::Rtp) => self.handle_rtp(around, datagram),
            Some(DatagramKind::Rtcp) => self.handle_rtcp(around, datagram),
            Some(DatagramKind::Stun) => {
                self.ice.handle(around.now, from, datagram, around.out);
                if let Some(rtt) = self.ice.rtt() {
                    let receptions = self.receptions.iter_mut();
                    receptions.for_each(|reception| reception.nack.set_rtt(rtt));
                }
                self.begin_dtls(around);
            }
            Some(DatagramKind::Dtls) => {
                let mut records = Vec::new();
                let events = self.dtls.handle(around.now, datagram, &mut records);
                self.send_dtls(around, records);
                self.handle_dtls_events(around, events.unwrap_or_default());
            }
            None => around.tally.loss.strange += 1,
        }
    }

    fn handle_rtp(&mut self, around: &mut Surroundings<'_>, datagram: &mut [u8]) {
        let Surroundings { now, tally, .. } = around;
        let Ok(view) = HeaderView::parse(datagram) else {
            tally.loss.strange += 1;
            return;
        };
        let (fields, header_len) = (view.fields(), view.header_len());
        if self.extensions.id(Extension::TransportCc).is_some()
            && let Some(number) = view.extensions(&self.extensions).transport_cc
        {
            self.recorder.record(*now, number);
        }
        let known = self.reception_by_ssrc.get(&fields.ssrc);
        let found = known.and_then(|(index, rtx)| Some((self.receptions.get_mut(*index)?, *rtx)));
        let (Some((reception, rtx)), Some(srtp)) = (found, &mut self.srtp) else {
            tally.loss.strange += 1;
            return;
        };
        if rtx {
            tally.received.retransmissions += 1;
            let index = reception.rtx_index(fields.sequence);
            let opened = index.map(|index| srtp.open_rtp(datagram, header_len, index));
            match opened {
                Some(Ok(len)) => {
                    // It may also be a probe, which repairs nothing.
                    reception.repair(*now, datagram.get(..len).unwrap_or_default());
                }
                _ => tally.loss.strange += 1,
            }
            return;
        }
        let len = datagram.len() - header_len;
        let Arrival::New { sample } = reception.receive(*now, &fields, len, self.sample) else {
            tally.loss.strange += 1;
            return;
        };
        tally.received.packets += 1;
        tally.received.bits += datagram.len() as u64 * 8;
        tally.received.audio_packets += u64::from(reception.setup.kind == MediaKind::Audio);
        if let Some(index) = sample {
            let opened = srtp
                .open_rtp(datagram, header_len, index)
                .ok()
                .and_then(|len| reception.read(datagram.get(..len)?));
            match opened {
                Some(opened) => {
                    if opened.keyframe
                        && let Some(waited) = reception.keyframe(*now)
                    {
                        tally.keyframe.record(waited);
                    }
                    let fresh = opened.stamp.is_none_or(|s| tally.stamped(*now, s.sent));
                    tally.loss.strange += u64::from(opened.altered || !fresh);
                }
                None => tally.loss.strange += 1,
            }
        }
        let due = reception.poll_timeout();
        self.next_request = [self.next_request, due].into_iter().flatten().min();
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.state, PeerState::Failed(_)) {
            return None;
        }
        let mut next = [self.ice.poll_timeout(), self.dtls.poll_timeout()]
            .into_iter()
            .flatten()
            .min();
        if self.srtp.is_some() {
            let sources = self.publications.iter().map(|publication| publication.next);
            let others = [
                next,
                self.pacer.poll_timeout(),
                self.recorder.poll_timeout(),
                self.next_report,
                self.next_request,
            ];
            next = others.into_iter().flatten().chain(sources).min();
        }
        next
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        if self.ice.poll_timeout().is_some_and(|due| due <= now) {
            self.ice.handle_timeout(now, around.out);
            if self.ice.has_failed() {
                self.fail("no connectivity check was answered");
            }
        }
        if self.dtls.poll_timeout().is_some_and(|due| due <= now) {
            let mut records = Vec::new();
            let events = self.dtls.handle_timeout(now, &mut records);
            self.send_dtls(around, records);
            self.handle_dtls_events(around, events);
        }
        if self.srtp.is_none() || matches!(self.state, PeerState::Failed(_)) {
            return;
        }
        self.capture(around);
        self.send_burst(around);
        self.send_feedback(around);
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, around: &mut Surroundings<'_>) {
        let mut records = Vec::new();
        self.dtls.close(around.now, &mut records);
        self.send_dtls(around, records);
        self.fail("it was closed");
    }

    /// Tracks of which something ever came.
    pub(crate) fn tracks_with_media(&self) -> usize {
        self.receptions.iter().filter(|r| r.has_media()).count()
    }

    /// Adds what its tracks counted since the last call to the tally's, and says of how many something
    /// came since then.
    pub(crate) fn take(&mut self, tally: &mut Tally) -> usize {
        let mut flowing = 0;
        for reception in &mut self.receptions {
            let taken = reception.take();
            tally.loss.lost += taken.lost;
            tally.loss.repaired += taken.repaired;
            flowing += usize::from(taken.packets > 0);
        }
        flowing
    }

    fn begin_dtls(&mut self, around: &mut Surroundings<'_>) {
        if !self.ice.is_agreed() || !self.has_transport {
            return;
        }
        let mut records = Vec::new();
        let events = self.dtls.begin(around.now, &mut records);
        self.send_dtls(around, records);
        self.handle_dtls_events(around, events);
    }

    fn send_dtls(&mut self, around: &mut Surroundings<'_>, records: Vec<bytes::BytesMut>) {
        self.held.extend(records);
        if let Some(to) = self.ice.selected() {
            for record in self.held.drain(..) {
                around.out.push(to, &record);
            }
        }
    }

    fn handle_dtls_events(&mut self, around: &mut Surroundings<'_>, events: Vec<DtlsEvent>) {
        for event in events {
            match event {
                DtlsEvent::Connected(srtp) => self.begin_media(around.now, srtp),
                // Nobody opens data channels here.
                DtlsEvent::Data(_) => {}
                DtlsEvent::Failed(FailReason::Closed) => self.fail("the server closed it"),
                DtlsEvent::Failed(FailReason::Fingerprint) => {
                    self.fail("the server's certificate is not the one of its SDP");
                }
                DtlsEvent::Failed(_) => self.fail("the DTLS handshake failed"),
            }
        }
    }

    fn begin_media(&mut self, now: Instant, srtp: Box<Srtp>) {
        self.srtp = Some(srtp);
        self.state = PeerState::Connected;
        self.connected = Some(now);
        self.next_report = Some(now + Duration::from_millis(self.seed % 1_000));
        for publication in &mut self.publications {
            publication.begin(now);
        }
        for reception in &mut self.receptions {
            reception.since = Some(now);
        }
    }

    fn fail(&mut self, reason: &str) {
        if !matches!(self.state, PeerState::Failed(_)) {
            self.state = PeerState::Failed(reason.to_owned());
        }
    }
}
