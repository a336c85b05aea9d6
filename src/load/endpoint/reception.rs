//! One track that is received: what came, what is missing, and which packets are decrypted.

use std::time::{Duration, Instant};

use crate::forward::{NackGenerator, ReceiveStream, Received};
use crate::load::media::ReceiverSetup;
use crate::load::traffic::Stamp;
use crate::rtp::payload::Vp8Descriptor;
use crate::rtp::rtcp::ReportBlock;
use crate::rtp::sequence::SequenceUnwrapper;
use crate::rtp::{HeaderFields, HeaderView, MediaKind};

/// A track of which packets come but no keyframe asks for one after so long, as libwebrtc does.
const KEYFRAME_WAIT: Duration = Duration::from_millis(200);
/// Between two requests for a keyframe.
const REQUEST_PAUSE: Duration = Duration::from_millis(500);
/// The unwrapper puts the first packet in the second cycle; its sender counts cycles from 0.
const FIRST_CYCLE: u64 = 1 << 16;

/// A track that is received.
pub(super) struct Reception {
    pub(super) setup: ReceiverSetup,
    stream: ReceiveStream,
    rtx: SequenceUnwrapper,
    pub(super) nack: NackGenerator,
    /// Packets until the next is decrypted.
    until_sample: u32,
    /// When waiting for the first keyframe began: at the description, or at the connection.
    pub(super) since: Option<Instant>,
    has_keyframe: bool,
    /// When to ask for a keyframe, if none comes.
    ask_at: Option<Instant>,
    /// Packets since the last [`take`](Self::take).
    packets: u64,
    repaired: u64,
    lost_before: i64,
}

/// What was counted of one track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) packets: u64,
    pub(super) lost: u64,
    pub(super) repaired: u64,
}

/// What is to be done with a packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It came before, or nobody knows.
    Again,
    /// It is new.
    New {
        /// The SRTP index, where it is one of those that are decrypted.
        sample: Option<u64>,
    },
}

/// What is in a plain packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// The stamp, where there is room for one.
    pub(super) stamp: Option<Stamp>,
    /// The payload has room for a stamp, but none is there.
    pub(super) altered: bool,
    /// It is the first packet of a keyframe.
    pub(super) keyframe: bool,
}

impl Reception {
    pub(super) fn new(setup: ReceiverSetup, since: Option<Instant>) -> Self {
        let clock_rate = match setup.kind {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        };
        Self {
            setup,
            stream: ReceiveStream::new(clock_rate),
            rtx: SequenceUnwrapper::default(),
            nack: NackGenerator::default(),
            until_sample: 0,
            since,
            has_keyframe: false,
            ask_at: None,
            packets: 0,
            repaired: 0,
            lost_before: 0,
        }
    }

    pub(super) fn is_video(&self) -> bool {
        self.setup.kind == MediaKind::Video
    }

    /// Whether anything ever came.
    pub(super) fn has_media(&self) -> bool {
        self.stream.packets() > 0
    }

    /// A packet of the media stream came; `len` is that of its payload, still encrypted. One of `sample`
    /// packets is to be decrypted, and every one until a video's first keyframe.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        fields: &HeaderFields,
        len: usize,
        sample: u32,
    ) -> Arrival {
        let received = self
            .stream
            .receive(now, fields.sequence, fields.timestamp, len);
        let Received::New(extended) = received else {
            return Arrival::Again;
        };
        self.packets += 1;
        if self.setup.nack {
            self.nack.receive(now, extended);
        }
        let seeks_keyframe = self.is_video() && !self.has_keyframe;
        if seeks_keyframe && self.ask_at.is_none() {
            self.ask_at = Some(now + KEYFRAME_WAIT);
        }
        let is_sample = self.until_sample == 0;
        self.until_sample = if is_sample {
            sample.saturating_sub(1)
        } else {
            self.until_sample - 1
        };
        Arrival::New {
            sample: (is_sample || seeks_keyframe)
                .then(|| extended.checked_sub(FIRST_CYCLE))
                .flatten(),
        }
    }

    /// The SRTP index of a retransmission.
    pub(super) fn rtx_index(&mut self, sequence: u16) -> Option<u64> {
        self.rtx.unwrap(sequence).checked_sub(FIRST_CYCLE)
    }

    /// A retransmission came, decrypted: the original sequence number precedes the payload (RFC 4588
    /// section 4). Returns false where it repaired nothing.
    pub(super) fn repair(&mut self, now: Instant, plain: &[u8]) -> bool {
        let Some((original, data)) = HeaderView::parse(plain)
            .ok()
            .and_then(|view| view.payload().ok())
            .and_then(|payload| payload.split_first_chunk::<2>())
        else {
            return false;
        };
        let Received::New(extended) = self.stream.recover(u16::from_be_bytes(*original)) else {
            return false;
        };
        self.nack.receive(now, extended);
        self.repaired += 1;
        let starts_keyframe = Vp8Descriptor::parse(data).is_some_and(|d| d.keyframe_start);
        self.has_keyframe |= self.is_video() && starts_keyframe;
        true
    }

    /// Looks into a plain packet of the media stream.
    pub(super) fn read(&self, plain: &[u8]) -> Option<Opened> {
        let payload = HeaderView::parse(plain).ok()?.payload().ok()?;
        let (data, keyframe) = if self.is_video() {
            let descriptor = Vp8Descriptor::parse(payload)?;
            (payload.get(descriptor.len..)?, descriptor.keyframe_start)
        } else {
            (payload, false)
        };
        let stamp = Stamp::read(data, self.is_video());
        Some(Opened {
            stamp,
            altered: stamp.is_none() && Stamp::fits(data.len(), self.is_video()),
            keyframe,
        })
    }

    /// A keyframe came. Returns how long it was waited for, if it is the first.
    pub(super) fn keyframe(&mut self, now: Instant) -> Option<Duration> {
        self.ask_at = None;
        let is_first = !std::mem::replace(&mut self.has_keyframe, true);
        let since = self.since.filter(|_| is_first)?;
        Some(now.saturating_duration_since(since))
    }

    /// A sender report came.
    pub(super) fn handle_sender_report(&mut self, now: Instant, ntp: u64) {
        self.stream.handle_sender_report(now, ntp);
    }

    pub(super) fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        self.stream.report_block(now, self.setup.ssrc)
    }

    /// When something is to be asked for.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let nack = self.nack.poll_timeout();
        [nack, self.ask_at].into_iter().flatten().min()
    }

    /// Appends the packets to ask for now. Returns whether a keyframe is to be asked for.
    pub(super) fn poll(&mut self, now: Instant, missing: &mut Vec<u16>) -> bool {
        self.nack.poll(now, missing);
        if self.nack.take_needs_keyframe() && self.is_video() {
            self.ask_at.get_or_insert(now);
        }
        let due = self.ask_at.is_some_and(|at| at <= now);
        if due {
            self.ask_at = (!self.has_keyframe).then_some(now + REQUEST_PAUSE);
        }
        due && self.setup.pli
    }

    /// What was counted since the last call.
    pub(super) fn take(&mut self) -> Taken {
        let lost = self.stream.lost();
        let before = std::mem::replace(&mut self.lost_before, lost);
        Taken {
            packets: std::mem::take(&mut self.packets),
            lost: u64::try_from(lost - before).unwrap_or_default(),
            repaired: std::mem::take(&mut self.repaired),
        }
    }
}
