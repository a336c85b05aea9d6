//! What a simulated client receives of one subscription, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::publication::Content;
use crate::forward::{NackGenerator, ReceiveStream};
use crate::rtp::rtcp::SenderInfo;
use crate::rtp::sequence::is_newer_timestamp;
use crate::rtp::{AudioLevel, MediaKind};
use crate::shard::SendParameters;

/// How soon a keyframe that does not come is asked for again.
const PLI_INTERVAL: Duration = Duration::from_millis(300);

/// For how long nothing of the first keyframe may come while it lacks packets, of which the first may never be asked for.
const FIRST_KEYFRAME: Duration = Duration::from_millis(200);

/// One subscription of a client.
pub(super) struct Receiver {
    pub(super) parameters: SendParameters,
    pub(super) highest: Option<u64>,
    pub(super) rtx_highest: Option<u64>,
    /// By SRTP index.
    pub(super) packets: BTreeMap<u64, Got>,
    /// Packets that came more than once.
    pub(super) repeated: usize,
    /// The numbers that came as retransmissions, and how many of them.
    pub(super) by_rtx: BTreeSet<u64>,
    pub(super) repaired: usize,
    pub(super) statistics: ReceiveStream,
    pub(super) nack: NackGenerator,
    /// Whether there was a whole keyframe.
    begun: bool,
    /// When to ask for a keyframe next, while one is needed.
    pub(super) keyframe_due: Option<Instant>,
    /// Whether it asks for what is missing.
    pub(super) asks: bool,
    pub(super) reports: Vec<(Instant, SenderInfo)>,
    /// Numbers that were filled with nothing.
    pub(super) empty: BTreeSet<u64>,
    /// The frames of which a copy came in a packet of a later one.
    pub(super) copied: BTreeSet<u32>,
    /// The ciphertext of each SSRC and index: two of them would betray the key.
    pub(super) wire: HashMap<(u32, u64), Vec<u8>>,
}

/// One packet.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) at: Instant,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) audio_level: Option<AudioLevel>,
    pub(super) content: Content,
}

impl Receiver {
    pub(super) fn new(parameters: SendParameters) -> Self {
        let rate = parameters.codecs[0].codec.clock_rate();
        Self {
            parameters,
            highest: None,
            rtx_highest: None,
            packets: BTreeMap::new(),
            repeated: 0,
            by_rtx: BTreeSet::new(),
            repaired: 0,
            statistics: ReceiveStream::new(rate),
            nack: NackGenerator::default(),
            begun: false,
            keyframe_due: None,
            asks: true,
            reports: Vec::new(),
            empty: BTreeSet::new(),
            copied: BTreeSet::new(),
            wire: HashMap::new(),
        }
    }

    /// Whether to ask for a keyframe now: what is missing was given up, and none came since it was asked for last.
    pub(super) fn needs_keyframe(&mut self, now: Instant) -> bool {
        if self.nack.take_needs_keyframe() || self.waits_for_its_first(now) {
            self.keyframe_due.get_or_insert(now);
        }
        let is_due = self.keyframe_due.is_some_and(|due| due <= now);
        if is_due {
            self.keyframe_due = Some(now + PLI_INTERVAL);
        }
        is_due
    }

    fn waits_for_its_first(&mut self, now: Instant) -> bool {
        if self.begun || self.parameters.kind == MediaKind::Audio {
            return false;
        }
        let of_keyframe = self.packets.values().filter(|got| got.content.keyframe);
        let Some(last) = of_keyframe.map(|got| got.at).max() else {
            return false;
        };
        let mut frames: HashMap<(u32, u32), BTreeSet<u8>> = HashMap::new();
        let begun = self.contents().filter(|c| c.keyframe).any(|content| {
            let got = frames.entry((content.tag, content.frame)).or_default();
            got.insert(content.index);
            got.len() == usize::from(content.count)
        });
        self.begun = begun;
        !self.begun && now > last + FIRST_KEYFRAME
    }

    /// A packet of a keyframe came. If that is whole, what is missing of pictures before it is of no use.
    pub(super) fn forget_before(&mut self, number: u64, content: &Content) {
        let first = number - u64::from(content.index);
        let numbers = first..first + u64::from(content.count);
        let same =
            |got: &&Got| (got.content.tag, got.content.frame) == (content.tag, content.frame);
        let came = self.packets.range(numbers).map(|(_, got)| got);
        if came.filter(same).count() == usize::from(content.count) {
            self.nack.keyframe(first);
        }
    }

    /// In the order of their numbers.
    pub(super) fn contents(&self) -> impl DoubleEndedIterator<Item = &Content> {
        self.packets.values().map(|got| &got.content)
    }

    /// The numbers of the stream that never came.
    pub(super) fn holes(&self) -> u64 {
        match (
            self.packets.first_key_value(),
            self.packets.last_key_value(),
        ) {
            (Some((first, _)), Some((last, _))) => {
                let empty = self.empty.range(first..last).count();
                last - first + 1 - (self.packets.len() + empty) as u64
            }
            _ => 0,
        }
    }

    /// The frames of one tag that came whole.
    pub(super) fn whole_frames(&self, tag: u32) -> Vec<u32> {
        let mut packets_by_frame: BTreeMap<u32, u8> = BTreeMap::new();
        let mut whole = Vec::new();
        for content in self.contents().filter(|content| content.tag == tag) {
            let packets = packets_by_frame.entry(content.frame).or_default();
            *packets += 1;
            if *packets == content.count {
                whole.push(content.frame);
            }
        }
        whole
    }

    /// The last packet.
    pub(super) fn last(&self) -> &Got {
        self.packets.last_key_value().expect("a packet").1
    }

    /// The first packet that came at or after `at`.
    pub(super) fn first_since(&self, at: Instant) -> Option<&Got> {
        self.packets.values().find(|got| got.at >= at)
    }

    /// No number is missing, none came twice, and a decoder would be content: it begins at a keyframe,
    /// frames are whole and consecutive or broken off by a keyframe, and the counters go on by one.
    #[track_caller]
    pub(super) fn assert_playable(&self) {
        assert!(!self.packets.is_empty(), "nothing came");
        assert_eq!(self.holes(), 0, "numbers are missing");
        assert_eq!(self.repeated, 0, "packets came twice");
        let mut before: Option<&Got> = None;
        for (number, got) in &self.packets {
            let now = &got.content;
            if now.keyframe && self.parameters.kind == MediaKind::Audio {
                if let Some(before) = before {
                    assert!(now.frame > before.content.frame || now.tag != before.content.tag);
                    assert!(is_newer_timestamp(got.timestamp, before.timestamp));
                }
                before = Some(got);
                continue;
            }
            let Some(last) = before.replace(got) else {
                assert!(now.keyframe && now.index == 0, "begins with {now:?}");
                continue;
            };
            let (last_timestamp, last) = (last.timestamp, &last.content);
            if (now.tag, now.frame, now.index) == (last.tag, last.frame, last.index + 1) {
                assert_eq!(now.picture_id, last.picture_id, "{number}");
                assert_eq!(got.timestamp, last_timestamp, "{number}");
                continue;
            }
            let follows =
                now.tag == last.tag && now.frame == last.frame + 1 && last.index + 1 == last.count;
            assert!(
                now.index == 0 && (follows || now.keyframe),
                "{now:?} after {last:?}"
            );
            assert_eq!(now.picture_id, (last.picture_id + 1) & 0x7fff, "{number}");
            assert_eq!(now.tl0_pic_idx, last.tl0_pic_idx.wrapping_add(1));
            assert!(is_newer_timestamp(got.timestamp, last_timestamp));
        }
    }
}
