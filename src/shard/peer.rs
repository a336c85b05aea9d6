//! One peer connection as the shard keeps it.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tracing::Span;

use super::adapt::Adaptation;
use super::channels::Channels;
use super::probe::Probing;
use super::replay::Outflow;
use super::{LaneSlot, ParticipantId, PeerId, Quality, ReceiveParameters};
use crate::forward::{Bandwidth, ProbeId, RepairBudget, TransportCcRecorder};
use crate::rtp::sequence::extend;
use crate::rtp::{Extension, ExtensionMap};
use crate::transport::{Endpoint, Path, ReplayWindow, Transport};

/// SSRCs that one peer may send: two for each of the layers it could have.
const MAX_STREAMS: usize = 512;

/// A peer: its wire, the tracks it publishes, its copies of other peers' tracks.
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) participant: ParticipantId,
    /// What is logged of it.
    pub(super) span: Span,
    /// Index of its call.
    pub(super) call: usize,
    pub(super) transport: Transport,
    /// Whether keys are there.
    pub(super) connected: bool,
    pub(super) hearing: Hearing,
    /// Where its datagrams go.
    pub(super) path: Option<Path>,
    /// Where its audio and RTCP are in the batch.
    pub(super) lane: LaneSlot,
    /// Where the video of any of its subscriptions was written last.
    pub(super) video_lane: LaneSlot,
    /// The addresses it has in the demultiplexer, oldest first.
    pub(super) addresses: Vec<Endpoint>,
    /// The user name fragments it has in the demultiplexer: the current one last.
    pub(super) ufrags: Vec<String>,
    pub(super) extensions: ExtensionMap,
    /// Indices of the tracks it publishes.
    pub(super) tracks: Vec<usize>,
    /// What its SSRCs are.
    pub(super) stream_by_ssrc: FxHashMap<u32, Stream>,
    /// Indices of the subscriptions it has.
    pub(super) subscriptions: Vec<usize>,
    /// The subscription of each SSRC that it is sent.
    pub(super) sender_by_ssrc: FxHashMap<u32, usize>,
    pub(super) channels: Channels,
    /// Arrival times of its packets.
    pub(super) transport_cc: TransportCcRecorder,
    /// Our SSRC in feedback to it.
    pub(super) feedback_ssrc: u32,
    /// The stream whose packet came last, which transport-cc feedback names.
    pub(super) feedback_media_ssrc: u32,
    /// When its timer is set.
    pub(super) due: Option<Instant>,
    /// When transport-cc feedback is to be sent, if any is there.
    pub(super) feedback_due: Option<Instant>,
    /// When receiver reports are to be sent.
    pub(super) report_due: Option<Instant>,
    /// When its quality is to be told.
    pub(super) quality_due: Option<Instant>,
    /// What its network carries. Nothing is known of a peer that says nothing about it.
    pub(super) bandwidth: Option<Box<Bandwidth>>,
    /// The subscription that carries a probe, and the probe.
    pub(super) probing: Option<(usize, Probing)>,
    /// What was kept for it, and is being sent.
    pub(super) outflow: Outflow,
    /// What may be sent again.
    repairs: RepairBudget,
    /// When it was sent the first packet of media.
    pub(super) media_since: Option<Instant>,
    /// The estimate of it that was noted last in the timelines.
    pub(super) noted_estimate: u64,
    /// Which layers it gets.
    pub(super) adaptation: Adaptation,
    pub(super) rtt: Option<Duration>,
    pub(super) counts: PeerCounts,
    /// The counters at the last quality event.
    pub(super) counts_then: PeerCounts,
    /// The worst loss that either side reported since the last quality event.
    pub(super) worst_loss: f32,
}

/// What was heard of a peer, which says whose it is where all shards share one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    /// Nothing so far.
    Nothing,
    /// Another shard heard it first: it moves there, and is over here.
    Elsewhere,
    /// A check of its own, or the one for which it moved here: it stays.
    Here,
}

/// Datagrams and bytes on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeerCounts {
    pub(super) packets_received: u64,
    pub(super) bytes_received: u64,
    pub(super) packets_sent: u64,
    pub(super) bytes_sent: u64,
}

/// Where the packets of an SSRC belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the track.
    pub(super) track: usize,
    /// Index of the layer.
    pub(super) layer: usize,
    /// Whether it carries retransmissions (RFC 4588).
    pub(super) rtx: bool,
}

/// One SSRC that the peer sends.
#[derive(Debug)]
pub(super) struct Stream {
    /// `None` while no m-line wants it. Its numbers are kept all the same: a browser that is asked again
    /// goes on with the same SSRC and the same rollover counter, which nobody tells.
    pub(super) place: Option<Place>,
    /// The highest SRTP index that was authentic (RFC 3711 section 3.3.1).
    pub(super) highest: Option<u64>,
    pub(super) replay: ReplayWindow,
}

impl Stream {
    fn new(place: Place) -> Self {
        Self {
            place: Some(place),
            highest: None,
            replay: ReplayWindow::default(),
        }
    }

    /// The SRTP index of a sequence number.
    pub(super) fn index(&self, sequence: u16) -> u64 {
        match self.highest {
            Some(highest) => extend(highest, sequence),
            None => u64::from(sequence),
        }
    }

    /// Remembers that the packet with this index was authentic.
    pub(super) fn commit(&mut self, index: u64) {
        self.replay.commit(index);
        if self.highest.is_none_or(|highest| index > highest) {
            self.highest = Some(index);
        }
    }
}

impl Peer {
    /// A peer that nothing is known of but its own name.
    pub(super) fn new(
        id: PeerId,
        participant: ParticipantId,
        call: usize,
        transport: Transport,
        feedback_ssrc: u32,
    ) -> Self {
        Self {
            id,
            participant,
            // Of this level, so that it stands in every line, whatever is filtered out.
            span: tracing::error_span!("peer", participant = participant.0, peer = id.0),
            call,
            transport,
            connected: false,
            hearing: Hearing::Nothing,
            path: None,
            lane: LaneSlot::default(),
            video_lane: LaneSlot::default(),
            addresses: Vec::new(),
            ufrags: Vec::new(),
            extensions: ExtensionMap::default(),
            tracks: Vec::new(),
            stream_by_ssrc: FxHashMap::default(),
            subscriptions: Vec::new(),
            sender_by_ssrc: FxHashMap::default(),
            channels: Channels::default(),
            transport_cc: TransportCcRecorder::default(),
            feedback_ssrc,
            feedback_media_ssrc: 0,
            due: None,
            feedback_due: None,
            report_due: None,
            quality_due: None,
            bandwidth: None,
            probing: None,
            outflow: Outflow::default(),
            repairs: RepairBudget::default(),
            media_since: None,
            noted_estimate: 0,
            adaptation: Adaptation::default(),
            rtt: None,
            counts: PeerCounts::default(),
            counts_then: PeerCounts::default(),
            worst_loss: 0.0,
        }
    }

    /// Counts a datagram that came from it.
    pub(super) fn count_received(&mut self, datagram: &[u8]) {
        self.counts.packets_received += 1;
        self.counts.bytes_received += datagram.len() as u64;
    }

    /// Gives an SSRC its place, which is taken from the SSRC that had it before. Returns false when the
    /// peer has too many.
    pub(super) fn bind(&mut self, ssrc: u32, place: Place) -> bool {
        let streams = &mut self.stream_by_ssrc;
        for stream in streams.values_mut() {
            stream.place = stream.place.filter(|known| *known != place);
        }
        if let Some(stream) = streams.get_mut(&ssrc) {
            stream.place = Some(place);
            return true;
        }
        if streams.len() >= MAX_STREAMS {
            let mut idle = streams.iter().filter(|(_, stream)| stream.place.is_none());
            let Some(idle) = idle.next().map(|(ssrc, _)| *ssrc) else {
                return false;
            };
            streams.remove(&idle);
        }
        streams.insert(ssrc, Stream::new(place));
        true
    }

    /// Whether media reaches it: keys are there, and checks say where it is.
    pub(super) fn can_receive(&self) -> bool {
        self.connected && self.path.is_some()
    }

    /// The quality since the last call.
    pub(super) fn take_quality(&mut self, over: Duration) -> Quality {
        let bytes = |counts: &PeerCounts| counts.bytes_received + counts.bytes_sent;
        let bits = (bytes(&self.counts) - bytes(&self.counts_then)) as f64 * 8.0;
        self.counts_then = self.counts;
        let flows = (bits / over.as_secs_f64()) as u64;
        Quality {
            loss: std::mem::take(&mut self.worst_loss),
            rtt: self.rtt,
            bandwidth: self.estimate().unwrap_or(flows),
        }
    }

    /// What its network is estimated to carry, in bits a second, once it said anything about that.
    pub(super) fn estimate(&self) -> Option<u64> {
        let bandwidth = self.bandwidth.as_ref()?;
        bandwidth.is_informed().then(|| bandwidth.estimate())
    }

    /// Its estimator, which begins with the first packet that has a number or the first word of the receiver's.
    pub(super) fn bandwidth(&mut self, now: Instant) -> &mut Bandwidth {
        self.bandwidth
            .get_or_insert_with(|| Box::new(Bandwidth::new(now)))
    }

    /// Whether its network has room for sending a packet again.
    pub(super) fn may_repair(&mut self, now: Instant) -> bool {
        let Some(bandwidth) = self.bandwidth.as_ref().filter(|b| b.is_informed()) else {
            return true;
        };
        self.repairs.allows(now, bandwidth.estimate())
    }

    /// A packet of this size was sent again.
    pub(super) fn repaired(&mut self, size: usize) {
        self.repairs.spent(size);
    }

    /// The share of packets that its network loses whatever is sent, 0 to 1.
    pub(super) fn inherent_loss(&self) -> f64 {
        let stats = self.bandwidth.as_ref().map(|bandwidth| bandwidth.stats());
        stats.map_or(0.0, |stats| stats.inherent_loss)
    }

    /// Whether a queue stands in its network: what it loses then, it has no room for.
    pub(super) fn is_congested(&self) -> bool {
        let bandwidth = self.bandwidth.as_ref();
        bandwidth.is_some_and(|bandwidth| bandwidth.is_draining())
    }

    /// The transport-wide number of a packet that leaves now, if it gets one. `size` is about what it has on the wire
    /// without the headers of IP and UDP.
    pub(super) fn number(
        &mut self,
        now: Instant,
        numbered: bool,
        size: usize,
        probe: Option<ProbeId>,
    ) -> Option<u16> {
        if !numbered || self.extensions.id(Extension::TransportCc).is_none() {
            return None;
        }
        self.media_since.get_or_insert(now);
        Some(self.bandwidth(now).sent(now, size, probe))
    }

    /// Smooths a new measurement of the round trip time as TCP does (RFC 6298 section 2).
    pub(super) fn observe_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(match self.rtt {
            Some(old) => (old * 7 + rtt) / 8,
            None => rtt,
        });
        if let (Some(bandwidth), Some(rtt)) = (&mut self.bandwidth, self.rtt) {
            bandwidth.set_rtt(rtt);
        }
    }
}

/// Whether two descriptions of an m-line are of one source, so that nothing starts anew.
pub(super) fn same_source(old: &ReceiveParameters, new: &ReceiveParameters) -> bool {
    old.track == new.track && old.ssrcs == new.ssrcs && old.rids == new.rids
}
