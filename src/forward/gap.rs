//! Pictures that were left out of a subscription as a whole, so that their ids went to the pictures after them.

use crate::forward::PacketNumbers;

/// Consecutive picture ids of one source, 15 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    generation: u32,
    first: u16,
    last: u16,
}

impl Gap {
    /// A gap of one more picture, which is the next of the source of this generation.
    pub(super) fn with(before: Option<Self>, generation: u32, picture: u16) -> Self {
        Self {
            generation,
            first: before.map_or(picture, |gap| gap.first),
            last: picture,
        }
    }

    /// Whether a packet of a source belongs to one of its pictures.
    pub(super) fn holds(&self, generation: u32, numbers: &PacketNumbers) -> bool {
        let after_first = |id: u16| id.wrapping_sub(self.first) & 0x7fff;
        let picture = numbers.picture_ids.picture_id;
        generation == self.generation
            && picture.is_some_and(|id| after_first(id.value) <= after_first(self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::payload::{PictureId, PictureIds};

    fn of(picture: u16) -> PacketNumbers {
        PacketNumbers {
            picture_ids: PictureIds {
                picture_id: Some(PictureId {
                    value: picture,
                    long: true,
                    at: 2,
                }),
                ..PictureIds::default()
            },
            ..PacketNumbers::default()
        }
    }

    #[test]
    fn a_gap_holds_its_pictures_also_where_their_ids_begin_anew() {
        let mut gap = None;
        for picture in [0x7ffe, 0x7fff, 0, 1] {
            gap = Some(Gap::with(gap, 7, picture));
        }
        let gap = gap.unwrap();
        let pictures = [0x7ffd, 0x7ffe, 0x7fff, 0, 1, 2];
        let held = pictures.map(|picture| gap.holds(7, &of(picture)));
        assert_eq!(held, [false, true, true, true, true, false]);
        assert!(!gap.holds(8, &of(0)), "of another source");
        assert!(!gap.holds(7, &PacketNumbers::default()), "without an id");
    }
}
