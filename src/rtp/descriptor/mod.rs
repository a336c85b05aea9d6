//! The dependency descriptor header extension (AOM "RTP Payload Format For AV1", appendix A): which layer a packet
//! belongs to, and what its frame depends on, of any codec and without touching the payload.
//!
//! [`DescriptorReader`] keeps what one stream said, for it says most of it once, in keyframes.

mod bits;
mod structure;
#[cfg(test)]
mod tests;

pub use structure::{Indication, Structure};

use crate::rtp::payload::FrameTag;
use bits::Bits;
use structure::Indications;

/// Frames that are remembered, by the low bits of their numbers. What lies further back counts as unknown.
const REMEMBERED: u16 = 64;

/// As a header extension has at most (RFC 8285 section 4.3). It bounds what a structure holds.
const MAX_LEN: usize = 255;

/// What the descriptor of one packet says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DescriptorSummary {
    /// The frame's number in decoding order; it wraps.
    pub frame_number: u16,
    /// The first packet of a keyframe, which brings a structure.
    pub starts_sequence: bool,
    /// Layers, and what a selector may do here.
    pub tag: FrameTag,
}

/// What one stream's descriptors said, so that the next can be read: about 1 KiB, and a few hundred bytes that are
/// allocated where a structure comes, never else.
#[derive(Clone, Debug, Default)]
pub struct DescriptorReader {
    structure: Option<Structure>,
    active_targets: u32,
    /// The frame that last said which targets are active.
    active_since: u16,
    history: History,
}

impl DescriptorReader {
    /// Reads the descriptor of a packet with this RTP timestamp, by which the frames of one picture are told.
    /// `None` where it is malformed, or refers to a structure that was not seen; then nothing changes.
    pub fn read(&mut self, descriptor: &[u8], timestamp: u32) -> Option<DescriptorSummary> {
        let [first, high, low, extended @ ..] = descriptor else {
            return None;
        };
        if descriptor.len() > MAX_LEN {
            return None;
        }
        let number = u16::from_be_bytes([*high, *low]);
        let mut bits = Bits::new(extended);
        let flags = match extended {
            [] => Flags::default(),
            _ => Flags::read(&mut bits)?,
        };
        let brought = match flags.structure {
            true => Some(Structure::read(&mut bits)?),
            false => None,
        };
        let structure = brought.as_ref().or(self.structure.as_ref())?;
        let active = match flags.active_targets {
            true => Some(bits.fixed(structure.targets().len() as u32)?),
            false => brought.as_ref().map(all_targets),
        };
        let template = structure.template(first & 0x3f)?;
        let meaning = match flags.indications {
            true => {
                let own = Indications::read(&mut bits, structure.targets().len())?;
                structure.meaning(own, template.spatial)
            }
            false => template.meaning,
        };
        let mut frame = Frame {
            timestamp,
            number,
            spatial: template.spatial,
            temporal: template.temporal,
            switch_to: meaning.switch_to,
            temporal_switch: false,
        };
        let dependencies = if flags.fdiffs {
            read_fdiffs(&mut bits, &self.history, &frame)?
        } else {
            let fdiffs = structure.fdiffs_of(template).iter();
            Dependencies::of(&self.history, &frame, fdiffs.map(|d| u16::from(*d)))
        };
        if flags.chains {
            // Nobody asks for them, but a descriptor that lacks them is malformed.
            bits.skip(8 * usize::from(structure.chain_count()))?;
        }

        let keyframe = brought.is_some() || self.history.key == Some(timestamp);
        frame.temporal_switch = keyframe || (dependencies.lower_temporal && meaning.enterable);
        let indicated = (meaning.switch_to | dependencies.switch_to) >> template.spatial & 1 != 0;
        let tag = FrameTag {
            spatial: template.spatial,
            temporal: template.temporal,
            frame_start: first & 0x80 != 0,
            frame_end: first & 0x40 != 0,
            keyframe,
            temporal_switch: frame.temporal_switch,
            spatial_switch: keyframe || (dependencies.lower_spatial && indicated),
            discardable: meaning.discardable,
        };
        let starts_sequence = brought.is_some() && tag.frame_start;
        self.keep(frame, brought, active);
        Some(DescriptorSummary {
            frame_number: number,
            starts_sequence,
            tag,
        })
    }

    /// What the last keyframe brought.
    pub fn structure(&self) -> Option<&Structure> {
        self.structure.as_ref()
    }

    /// The decode targets that the publisher sends now; bit 0 stands for target 0.
    pub fn active_targets(&self) -> u32 {
        self.active_targets
    }

    fn keep(&mut self, frame: Frame, brought: Option<Structure>, active: Option<u32>) {
        // What comes late, as retransmissions do, must not undo what later frames said.
        if let Some(active) = active
            && (self.structure.is_none() || !is_late(frame.number, self.active_since))
        {
            (self.active_targets, self.active_since) = (active, frame.number);
        }
        if let Some(structure) = brought
            && (self.structure.is_none() || !is_late(frame.number, self.history.key_number))
        {
            self.structure = Some(structure);
            self.history.key = Some(frame.timestamp);
            self.history.key_number = frame.number;
        }
        self.history.remember(frame);
    }
}

/// Whether a frame lies before another, by no more than is remembered. More is a stream that began anew.
fn is_late(number: u16, than: u16) -> bool {
    (1..REMEMBERED).contains(&than.wrapping_sub(number))
}

fn all_targets(structure: &Structure) -> u32 {
    // There are 1 to 32.
    u32::MAX >> (32 - structure.targets().len() as u32)
}

/// Which of the fields there are that most packets lack.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    structure: bool,
    active_targets: bool,
    indications: bool,
    fdiffs: bool,
    chains: bool,
}

impl Flags {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        Some(Self {
            structure: bits.flag()?,
            active_targets: bits.flag()?,
            indications: bits.flag()?,
            fdiffs: bits.flag()?,
            chains: bits.flag()?,
        })
    }
}

/// What is remembered of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    timestamp: u32,
    number: u16,
    spatial: u8,
    temporal: u8,
    /// By spatial id, the layers that have a decode target with a switch indication.
    switch_to: u8,
    temporal_switch: bool,
}

/// The last frames.
#[derive(Clone, Debug)]
struct History {
    frames: [Option<Frame>; REMEMBERED as usize],
    /// The RTP timestamp of the last keyframe.
    key: Option<u32>,
    /// Its frame number.
    key_number: u16,
}

impl Default for History {
    fn default() -> Self {
        Self {
            frames: [None; REMEMBERED as usize],
            key: None,
            key_number: 0,
        }
    }
}

impl History {
    fn frame(&self, number: u16) -> Option<&Frame> {
        let slot = self.frames.get(usize::from(number % REMEMBERED))?;
        slot.as_ref().filter(|frame| frame.number == number)
    }

    fn remember(&mut self, frame: Frame) {
        if let Some(slot) = self.frames.get_mut(usize::from(frame.number % REMEMBERED)) {
            *slot = Some(frame);
        }
    }
}

/// What a frame depends on. A frame that is not known, since it was lost, could be any.
#[derive(Clone, Copy, Debug)]
struct Dependencies {
    /// Only on lower temporal layers, of this picture or before.
    lower_temporal: bool,
    /// Only on lower spatial layers of this picture.
    lower_spatial: bool,
    /// What those say that one may switch to.
    switch_to: u8,
}

impl Dependencies {
    fn of(history: &History, frame: &Frame, fdiffs: impl Iterator<Item = u16>) -> Self {
        let mut this = Self::none();
        for fdiff in fdiffs {
            this.add(history, frame, fdiff);
        }
        this
    }

    fn none() -> Self {
        Self {
            lower_temporal: true,
            lower_spatial: true,
            switch_to: 0,
        }
    }

    fn add(&mut self, history: &History, frame: &Frame, fdiff: u16) {
        let Some(other) = history.frame(frame.number.wrapping_sub(fdiff)) else {
            (self.lower_temporal, self.lower_spatial) = (false, false);
            return;
        };
        let same_picture = other.timestamp == frame.timestamp && other.spatial < frame.spatial;
        if same_picture {
            self.switch_to |= other.switch_to;
        } else {
            self.lower_spatial = false;
        }
        // Layers of one picture go up together, and what the lower one needs the upper one needs.
        let goes_up_too = same_picture && other.temporal_switch;
        self.lower_temporal &= other.temporal < frame.temporal || goes_up_too;
    }
}

/// The frame differences of the frame itself: of 4, 8 or 12 bits, each less one.
fn read_fdiffs(bits: &mut Bits<'_>, history: &History, frame: &Frame) -> Option<Dependencies> {
    let mut dependencies = Dependencies::none();
    loop {
        let size = bits.fixed(2)?;
        if size == 0 {
            return Some(dependencies);
        }
        let fdiff = bits.fixed(4 * size)? as u16 + 1;
        dependencies.add(history, frame, fdiff);
    }
}
