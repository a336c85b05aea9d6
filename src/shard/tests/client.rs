//! A simulated client: a DTLS client with SRTP around publications and receivers.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::audio::{copied, opened};
use super::publication::{Content, Plain, Publication};
use super::receiver::{Got, Receiver};
use crate::forward::{Bandwidth, Probe, TransportCcRecorder};
use crate::network::Link;
use crate::rtp::rtcp::{
    RtcpPacket, RtcpPackets, write_nack, write_pli, write_receiver_report, write_sender_report,
};
use crate::rtp::sequence::extend;
use crate::rtp::{
    Extension, ExtensionMap, ExtensionValues, HeaderFields, HeaderView, MediaKind, own_extensions,
    write_header,
};
use crate::shard::{Command, IceCredentials, PeerId};
use crate::transport::tests::pair::Check;
use crate::transport::{
    ChannelReliability, DatagramKind, MessageKind, Path, Protocol, StunMessage, Transmit,
    Transport, TransportEvent, classify, integrity_key,
};

/// How often a client looks for what it misses.
const RTCP_TICK: Duration = Duration::from_millis(10);
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
const CHECK_INTERVAL: Duration = Duration::from_millis(2_500);

pub(super) struct Client {
    pub(super) peer: PeerId,
    pub(super) shard: usize,
    /// Whose socket hears it, where all share one port.
    pub(super) heard_by: Option<usize>,
    /// What its shard was told of it before it was heard.
    pub(super) told: Vec<Command>,
    /// It is not in the call any more.
    pub(super) left: bool,
    pub(super) ice: IceCredentials,
    pub(super) server_ice: IceCredentials,
    pub(super) address: SocketAddr,
    pub(super) transport: Transport,
    pub(super) connected: bool,
    /// The time, as it was told last.
    now: Instant,
    pub(super) extensions: ExtensionMap,
    pub(super) publications: Vec<Publication>,
    pub(super) receivers: Vec<Receiver>,
    pub(super) up: Link,
    pub(super) down: Link,
    /// Whether it sends checks.
    pub(super) checking: bool,
    next_check: Instant,
    next_rtcp: Instant,
    next_report: Instant,
    /// The next transport-cc number, and what feedback said of those before: when each came, in
    /// microseconds, or that it did not.
    pub(super) transport_cc: u16,
    pub(super) feedback: BTreeMap<u16, Option<i64>>,
    /// Packets of RTP that belong to no receiver, or could not be opened.
    pub(super) strange: usize,
    /// Whether it says when what it is sent arrives, and what it has not said yet.
    pub(super) feeds_back: bool,
    recorder: TransportCcRecorder,
    /// What it thinks its own network carries, where that decides what it publishes.
    pub(super) uplink: Option<Bandwidth>,
    /// What it sends to find out how much that is.
    probing: Option<Probe>,
    /// Whether it stops sending what nobody wants.
    pub(super) heeds: bool,
    /// Packets of padding that came.
    pub(super) padding: usize,
    /// A level for the audio that it sends.
    pub(super) audio_level: Option<u8>,
    /// Every datagram of RTP that it sent, where a test wants them.
    pub(super) record: Option<Vec<Vec<u8>>>,
    /// Data channels that the server opened: label and protocol.
    pub(super) channels: BTreeMap<u16, (String, String)>,
    /// What came on them: label, protocol and text.
    pub(super) messages: Vec<(String, String, String)>,
    pub(super) out: VecDeque<Vec<u8>>,
}

impl Client {
    pub(super) fn new(
        now: Instant,
        peer: PeerId,
        ice: IceCredentials,
        server_ice: IceCredentials,
        address: SocketAddr,
        transport: Transport,
        extensions: ExtensionMap,
    ) -> Self {
        Self {
            peer,
            shard: 0,
            heard_by: None,
            told: Vec::new(),
            left: false,
            ice,
            server_ice,
            address,
            transport,
            connected: false,
            now,
            extensions,
            publications: Vec::new(),
            receivers: Vec::new(),
            up: Link::default(),
            down: Link::default(),
            checking: true,
            next_check: now,
            next_rtcp: now,
            next_report: now,
            transport_cc: 65_400,
            feedback: BTreeMap::new(),
            strange: 0,
            feeds_back: false,
            recorder: TransportCcRecorder::default(),
            uplink: None,
            probing: None,
            heeds: false,
            padding: 0,
            audio_level: None,
            record: None,
            channels: BTreeMap::new(),
            messages: Vec::new(),
            out: VecDeque::new(),
        }
    }

    /// When it has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let frames = self
            .publications
            .iter()
            .filter(|_| self.connected)
            .filter_map(Publication::poll_timeout);
        [
            self.transport.poll_timeout(),
            self.checking.then_some(self.next_check),
            self.connected.then_some(self.next_rtcp),
        ]
        .into_iter()
        .flatten()
        .chain(frames)
        .min()
    }

    pub(super) fn handle_timeout(&mut self, start: Instant, now: Instant) {
        self.now = now;
        if self.transport.poll_timeout().is_some_and(|due| due <= now) {
            self.transport.handle_timeout(now);
        }
        if self.checking && self.next_check <= now {
            self.next_check = now + CHECK_INTERVAL;
            self.check(now);
        }
        if self.connected {
            for index in 0..self.publications.len() {
                self.capture(start, now, index);
            }
            if self.next_rtcp <= now {
                self.next_rtcp = now + RTCP_TICK;
                self.ask(now);
            }
            self.fit_uplink(now);
            if self.next_report <= now {
                self.next_report = now + REPORT_INTERVAL;
                self.report(start, now);
            }
        }
        self.collect();
    }

    /// Checks the server; and the server's own transport, being ICE-lite as well, is checked in turn.
    pub(super) fn check(&mut self, now: Instant) {
        let check = Check::new(&self.server_ice, &self.ice);
        self.out.push_back(check.encode());
        let path = Path {
            protocol: Protocol::Udp,
            remote: ([203, 0, 113, 1], 7880).into(),
            local: None,
        };
        let mirrored = Check::new(&self.ice, &self.server_ice).encode();
        self.transport.handle_stun(now, path, &mirrored).unwrap();
        self.collect();
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, datagram: &mut [u8]) {
        self.now = now;
        let path = Path {
            protocol: Protocol::Udp,
            remote: ([203, 0, 113, 1], 7880).into(),
            local: None,
        };
        match classify(datagram) {
            Some(DatagramKind::Stun) => {
                let key = integrity_key(&self.ice.pwd);
                if let Ok(StunMessage::Request(request)) = StunMessage::parse(datagram)
                    && request.is_from_holder_of(&key)
                {
                    self.out.push_back(request.success(path.remote, &key));
                }
            }
            None => {}
            Some(DatagramKind::Dtls) => {
                let _ = self.transport.handle_dtls(now, path, datagram);
            }
            Some(DatagramKind::Rtp) => {
                let is_strange = self.handle_rtp(now, datagram).is_none();
                self.strange += usize::from(is_strange);
            }
            Some(DatagramKind::Rtcp) => {
                if let Ok(len) = self.transport.open_rtcp(datagram) {
                    let plain = datagram[..len].to_vec();
                    self.handle_rtcp(now, &plain);
                }
            }
        }
        self.collect();
    }

    /// Opens a data channel that delivers all, in order.
    pub(super) fn open_channel(&mut self, now: Instant, label: &str) -> u16 {
        let reliability = ChannelReliability {
            ordered: true,
            limit: None,
        };
        let opened = self.transport.open_channel(now, label, "", reliability);
        self.collect();
        opened.unwrap()
    }

    /// Says something on it.
    pub(super) fn say(&mut self, now: Instant, id: u16, text: &str) {
        let sent = self
            .transport
            .send_message(now, id, MessageKind::Text, text.as_bytes());
        sent.unwrap();
        self.collect();
    }

    /// Closes it.
    pub(super) fn close_channel(&mut self, now: Instant, id: u16) {
        self.transport.close_channel(now, id);
        self.collect();
    }

    /// Moves out what the transport wants to send.
    fn collect(&mut self) {
        while let Some(event) = self.transport.poll_event() {
            match event {
                TransportEvent::Connected => self.connected = true,
                TransportEvent::ChannelOpened(info) => {
                    self.channels.insert(info.id, (info.label, info.protocol));
                }
                TransportEvent::ChannelMessage { id, data, .. } => {
                    let text = String::from_utf8(data.to_vec()).unwrap();
                    let (label, from) = self.channels[&id].clone();
                    self.messages.push((label, from, text));
                }
                TransportEvent::ChannelClosed { id } => {
                    self.channels.remove(&id);
                }
                TransportEvent::Failed(_)
                | TransportEvent::PathChanged
                | TransportEvent::Consent { .. } => {}
            }
        }
        while let Some(Transmit { contents, .. }) = self.transport.poll_transmit() {
            // Answers to the mirrored checks are nobody's.
            if classify(&contents) != Some(DatagramKind::Stun) {
                self.out.push_back(contents);
            }
        }
    }

    fn capture(&mut self, start: Instant, now: Instant, index: usize) {
        loop {
            let publication = &mut self.publications[index];
            if !publication.running || publication.next_frame > now {
                break;
            }
            publication.pace(start);
        }
        while let Some((_, sequence)) = {
            let paced = &mut self.publications[index].paced;
            paced.pop_front_if(|(at, _)| *at <= now)
        } {
            self.send_media(index, sequence);
        }
    }

    /// Sends a packet of a publication, which may be one that was sent before.
    pub(super) fn send_media(&mut self, index: usize, sequence: u64) {
        let publication = &self.publications[index];
        let plain = publication.sent[&sequence].clone();
        let (payload_type, ssrc) = (publication.payload_type, publication.ssrc);
        self.send(index, ssrc, payload_type, sequence, &plain, &[]);
    }

    fn send_again(&mut self, index: usize, sequence: u64) {
        let publication = &mut self.publications[index];
        let Some(plain) = publication.sent.get(&sequence).cloned() else {
            return;
        };
        publication.retransmitted += 1;
        let Some(ssrc) = publication.rtx_ssrc else {
            return self.send_media(index, sequence);
        };
        let payload_type = publication.rtx_payload_type;
        let rtx = publication.rtx_sequence;
        publication.rtx_sequence += 1;
        let original = (sequence as u16).to_be_bytes();
        self.send(index, ssrc, payload_type, rtx, &plain, &original);
    }

    /// Seals and queues one packet.
    pub(super) fn send(
        &mut self,
        index: usize,
        ssrc: u32,
        payload_type: u8,
        sequence: u64,
        plain: &Plain,
        before: &[u8],
    ) {
        let publication = &self.publications[index];
        if let Some(uplink) = &mut self.uplink {
            self.transport_cc = uplink.sent(
                self.now,
                plain.payload.len() + 40,
                self.probing.map(|probe| probe.id),
            );
        }
        let values = ExtensionValues {
            mid: Some(publication.mid),
            transport_cc: Some(self.transport_cc),
            abs_send_time: None,
        };
        self.transport_cc = self.transport_cc.wrapping_add(1);
        let mut extensions = own_extensions(&self.extensions, &values);
        if let Some(rid) = publication.rid {
            let extension = if before.is_empty() {
                Extension::Rid
            } else {
                Extension::RepairedRid
            };
            extensions.push(self.extensions.id(extension).unwrap(), rid.as_bytes());
        }
        if let Some(allocation) = publication
            .allocation
            .as_ref()
            .filter(|_| before.is_empty())
        {
            let id = self.extensions.id(Extension::LayersAllocation).unwrap();
            extensions.push(id, allocation);
        }
        if let (MediaKind::Audio, Some(level)) = (publication.kind, self.audio_level) {
            let id = self.extensions.id(Extension::AudioLevel).unwrap();
            extensions.push(id, &[0x80 | level]);
        }
        let fields = HeaderFields {
            marker: plain.marker,
            payload_type,
            sequence: sequence as u16,
            timestamp: plain.timestamp,
            ssrc,
        };
        let mut out = Vec::new();
        write_header(&mut out, &fields, &extensions);
        let header_len = out.len();
        out.extend_from_slice(before);
        out.extend_from_slice(&plain.payload);
        self.transport
            .seal_rtp(&mut out, 0, header_len, sequence)
            .unwrap();
        if let Some(record) = &mut self.record {
            record.push(out.clone());
        }
        self.out.push_back(out);
    }

    fn handle_rtp(&mut self, now: Instant, datagram: &mut [u8]) -> Option<()> {
        let whole = datagram.to_vec();
        let view = HeaderView::parse(datagram).ok()?;
        let (fields, header_len) = (view.fields(), view.header_len());
        let is_ours = |receiver: &Receiver| {
            let parameters = &receiver.parameters;
            parameters.ssrc == fields.ssrc || parameters.rtx_ssrc == Some(fields.ssrc)
        };
        let receiver = self.receivers.iter_mut().find(|r| is_ours(r))?;
        let rtx = receiver.parameters.ssrc != fields.ssrc;
        let highest = if rtx {
            &mut receiver.rtx_highest
        } else {
            &mut receiver.highest
        };
        let index = highest.map_or(u64::from(fields.sequence), |highest| {
            extend(highest, fields.sequence)
        });
        let len = self.transport.open_rtp(datagram, header_len, index).ok()?;
        *highest = Some(highest.map_or(index, |highest| highest.max(index)));
        let known = receiver
            .wire
            .entry((fields.ssrc, index))
            .or_insert_with(|| whole.clone());
        assert_eq!(*known, whole, "two packets under one SRTP index");
        let view = HeaderView::parse(&datagram[..len]).unwrap();
        let extensions = view.extensions(&self.extensions);
        if let (Some(number), true) = (extensions.transport_cc, self.feeds_back) {
            self.recorder.record(now, number);
        }
        assert_eq!(extensions.mid, Some(receiver.parameters.mid));
        let mut payload = view.payload().unwrap();
        let codecs = &receiver.parameters.codecs;
        let mut number = index;
        if rtx {
            let Some((original, rest)) = payload.split_first_chunk::<2>() else {
                self.padding += 1;
                return Some(());
            };
            assert!(codecs.iter().any(|c| c.rtx == Some(fields.payload_type)));
            number = extend(receiver.highest?, u16::from_be_bytes(*original));
            payload = rest;
            if rest.is_empty() {
                receiver.empty.insert(number);
                receiver.nack.receive(now, number);
                return Some(());
            }
            receiver.repaired += 1;
            receiver.statistics.recover(number as u16);
        } else {
            let known = |c: &crate::shard::CodecParameters| c.payload_type == fields.payload_type;
            assert!(codecs.iter().any(known), "{}", fields.payload_type);
            let statistics = &mut receiver.statistics;
            statistics.receive(now, fields.sequence, fields.timestamp, payload.len());
        }
        receiver.nack.receive(now, number);
        let copied = copied(payload, fields.payload_type, codecs);
        receiver.copied.extend(copied);
        let got = Got {
            at: now,
            timestamp: fields.timestamp,
            marker: fields.marker,
            payload_type: fields.payload_type,
            audio_level: extensions.audio_level,
            content: Content::read(
                opened(payload, fields.payload_type, codecs),
                receiver.parameters.kind,
            ),
        };
        if got.content.keyframe && got.content.index == 0 {
            receiver.keyframe_due = None;
        }
        let content = got.content;
        let came_again = rtx && !receiver.by_rtx.insert(number);
        // A repetition may be sent twice on purpose.
        match receiver.packets.entry(number) {
            Entry::Vacant(place) => drop(place.insert(got)),
            Entry::Occupied(_) if came_again => {}
            Entry::Occupied(_) => receiver.repeated += 1,
        }
        if content.keyframe && receiver.parameters.kind == MediaKind::Video {
            receiver.forget_before(number, &content);
        }
        Some(())
    }

    fn handle_rtcp(&mut self, now: Instant, plain: &[u8]) {
        for packet in RtcpPackets::new(plain) {
            match packet {
                RtcpPacket::SenderReport { ssrc, info, .. } => {
                    for receiver in &mut self.receivers {
                        if receiver.parameters.ssrc == ssrc {
                            receiver.reports.push((now, info));
                            receiver.statistics.handle_sender_report(now, info.ntp);
                        }
                    }
                }
                RtcpPacket::ReceiverReport { reports, .. } => {
                    for report in reports {
                        if let Some(index) = self.publication(report.ssrc) {
                            self.publications[index].reports.push(report);
                        }
                    }
                }
                RtcpPacket::Nack {
                    media_ssrc,
                    sequences,
                } => {
                    let Some(index) = self.publication(media_ssrc) else {
                        continue;
                    };
                    for sequence in sequences {
                        let publication = &mut self.publications[index];
                        publication.nacks += 1;
                        let sequence = extend(publication.sequence, sequence);
                        self.send_again(index, sequence);
                    }
                }
                RtcpPacket::Pli { media_ssrc } => {
                    if let Some(index) = self.publication(media_ssrc) {
                        self.publications[index].ask_for_keyframe(now);
                    }
                }
                RtcpPacket::TransportCc { feedback, .. } => {
                    if let Some(uplink) = &mut self.uplink {
                        uplink.handle_feedback(now, feedback);
                    }
                    self.feedback.extend(arrivals(feedback));
                }
                RtcpPacket::Fir { .. } | RtcpPacket::Bye { .. } | RtcpPacket::Remb { .. } => {}
            }
        }
    }

    fn publication(&self, ssrc: u32) -> Option<usize> {
        self.publications.iter().position(|p| p.ssrc == ssrc)
    }

    /// Publishes the layers that its own network carries, as browsers do: the smallest first.
    fn fit_uplink(&mut self, now: Instant) {
        let Some(uplink) = &mut self.uplink else {
            return;
        };
        let shaped = |publication: &Publication| publication.shape.map(|shape| shape.best);
        let total: u32 = self.publications.iter().filter_map(shaped).sum();
        uplink.set_demand(u64::from(total) * 12 / 10);
        if uplink.poll_timeout().is_some_and(|due| due <= now) {
            uplink.handle_timeout(now);
        }
        let mut left = uplink.estimate() as f64;
        if let Some(probe) = uplink.poll_probe(now) {
            self.probe(probe);
        }
        let mut is_first = true;
        for publication in self.publications.iter_mut().rev() {
            let Some(shape) = publication.shape.as_mut() else {
                continue;
            };
            let best = f64::from(shape.best);
            if publication.kind == MediaKind::Audio {
                left -= best;
                continue;
            }
            if !publication.wanted {
                continue;
            }
            // What is sent already stays until it does not fit; what is not needs some room. The smallest is sent in any
            // case, as well as it can be.
            let needed = best * if publication.carried { 1.02 } else { 1.15 };
            let carried = is_first || needed <= left;
            if is_first {
                shape.bitrate = left.clamp(50_000.0, best) as u32;
            }
            is_first = false;
            if carried {
                left -= f64::from(shape.bitrate);
            }
            publication.carry(now, carried);
        }
    }

    /// Sends again what it sent last, all at once.
    fn probe(&mut self, probe: Probe) {
        let is_running =
            |publication: &Publication| publication.running && publication.rtx_ssrc.is_some();
        let Some(index) = self.publications.iter().rposition(is_running) else {
            return;
        };
        self.probing = Some(probe);
        let (mut packets, mut bytes) = (0, 0);
        while packets < probe.packets || bytes < probe.bytes {
            let last = self.publications[index].sent.last_key_value();
            let Some((sequence, plain)) = last.map(|(n, plain)| (*n, plain.payload.len())) else {
                break;
            };
            self.send_again(index, sequence);
            packets += 1;
            bytes += plain + 68;
        }
        self.probing = None;
    }

    /// Asks for what is missing.
    fn ask(&mut self, now: Instant) {
        let mut rtcp = Vec::new();
        for receiver in self.receivers.iter_mut().filter(|r| r.asks) {
            let mut missing = Vec::new();
            receiver.nack.poll(now, &mut missing);
            write_nack(&mut rtcp, 1, receiver.parameters.ssrc, missing);
            if self.feeds_back && receiver.needs_keyframe(now) {
                write_pli(&mut rtcp, 1, receiver.parameters.ssrc);
            }
        }
        if self.recorder.poll_timeout().is_some_and(|due| due <= now) {
            self.recorder.build_feedback(now, &mut rtcp, 1, 2);
        }
        self.send_rtcp(&rtcp);
    }

    /// Asks for a keyframe.
    pub(super) fn ask_for_keyframe(&mut self, receiver: usize) {
        let mut rtcp = Vec::new();
        write_pli(&mut rtcp, 1, self.receivers[receiver].parameters.ssrc);
        self.send_rtcp(&rtcp);
    }

    fn report(&mut self, start: Instant, now: Instant) {
        let mut rtcp = Vec::new();
        for publication in self.publications.iter().filter(|p| !p.sent.is_empty()) {
            let info = publication.sender_info(now - start);
            write_sender_report(&mut rtcp, publication.ssrc, &info, &[]);
        }
        let blocks: Vec<_> = self
            .receivers
            .iter_mut()
            .filter_map(|r| r.statistics.report_block(now, r.parameters.ssrc))
            .collect();
        if !blocks.is_empty() {
            write_receiver_report(&mut rtcp, 1, &blocks);
        }
        self.send_rtcp(&rtcp);
    }

    pub(super) fn send_rtcp(&mut self, rtcp: &[u8]) {
        if rtcp.is_empty() || !self.connected {
            return;
        }
        let mut out = rtcp.to_vec();
        self.transport.seal_rtcp(&mut out, 0).unwrap();
        self.out.push_back(out);
    }
}

/// Reads transport-cc feedback from its base sequence number on: number and arrival in microseconds.
fn arrivals(feedback: &[u8]) -> Vec<(u16, Option<i64>)> {
    let half = |at: usize| u16::from_be_bytes([feedback[at], feedback[at + 1]]);
    let (base, count) = (half(0), usize::from(half(2)));
    let reference = i32::from_be_bytes([feedback[4], feedback[5], feedback[6], 0]) >> 8;
    let mut at = 8;
    let mut symbols = Vec::new();
    while symbols.len() < count {
        let chunk = half(at);
        at += 2;
        match (chunk >> 15, chunk >> 14 & 1) {
            (0, _) => {
                let run = usize::from(chunk & 0x1fff);
                symbols.extend(std::iter::repeat_n(chunk >> 13 & 3, run));
            }
            (_, 0) => symbols.extend((0..14).map(|bit| chunk >> (13 - bit) & 1)),
            (_, _) => symbols.extend((0..7).map(|pair| chunk >> (12 - 2 * pair) & 3)),
        }
    }
    let mut time = i64::from(reference) * 64_000;
    let mut all = Vec::new();
    for (offset, symbol) in symbols.into_iter().take(count).enumerate() {
        let delta = match symbol {
            1 => {
                at += 1;
                Some(i64::from(feedback[at - 1]))
            }
            2 => {
                at += 2;
                Some(i64::from(half(at - 2) as i16))
            }
            _ => None,
        };
        let arrival = delta.map(|delta| {
            time += delta * 250;
            time
        });
        all.push((base.wrapping_add(offset as u16), arrival));
    }
    all
}
