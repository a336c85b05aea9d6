//! The VP9 payload descriptor (RFC 9628 section 4.2).

use super::{FrameSizes, FrameTag, PictureIds, Tl0PicIdx};

/// What precedes each payload of VP9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// The frame counters.
    pub ids: PictureIds,
    /// The picture is predicted from one before it (P).
    pub inter_predicted: bool,
    /// The temporal layer, 0 to 7 (TID).
    pub temporal_id: Option<u8>,
    /// A receiver can go up to this temporal layer here (U).
    pub switching_point: bool,
    /// The spatial layer, 0 to 7 (SID).
    pub spatial_id: Option<u8>,
    /// The frame is predicted from the layer below of the same picture (D).
    pub inter_layer: bool,
    /// References are listed in the packet rather than by the scalability structure (F).
    pub flexible: bool,
    /// The first packet of a layer's frame (B).
    pub frame_start: bool,
    /// The last packet of a layer's frame (E).
    pub frame_end: bool,
    /// No higher spatial layer refers to it (Z).
    pub not_reference_above: bool,
    /// The scalability structure is there (V).
    pub structure: bool,
    /// Where the VP9 data starts.
    pub len: usize,
    /// Where the scalability structure starts, if it is there.
    structure_at: usize,
}

impl Vp9Descriptor {
    /// Reads the descriptor. `None` where the payload ends within it or right after it.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let bit = |mask: u8| first & mask != 0;
        let mut this = Self {
            ids: PictureIds::default(),
            inter_predicted: bit(0x40),
            temporal_id: None,
            switching_point: false,
            spatial_id: None,
            inter_layer: false,
            flexible: bit(0x10),
            frame_start: bit(0x08),
            frame_end: bit(0x04),
            not_reference_above: bit(0x01),
            structure: bit(0x02),
            len: 1,
            structure_at: 0,
        };
        if bit(0x80) {
            let (id, after) = PictureIds::read_picture_id(payload, this.len)?;
            this.ids.picture_id = Some(id);
            this.len = after;
        }
        if bit(0x20) {
            this.read_layers(payload)?;
        }
        if this.flexible && this.inter_predicted {
            this.skip_references(payload)?;
        }
        if this.structure {
            this.skip_structure(payload)?;
        }
        payload.get(this.len)?;
        Some(this)
    }

    /// The first packet of a picture that needs none before it.
    pub fn keyframe_start(&self) -> bool {
        !self.inter_predicted && self.frame_start && self.spatial_id.unwrap_or(0) == 0
    }

    /// How large the pictures of each spatial layer are, where the scalability structure says it. `payload` is what
    /// the descriptor was read from.
    pub fn sizes(&self, payload: &[u8]) -> Option<FrameSizes> {
        let [head, sizes @ ..] = payload.get(self.structure_at..)? else {
            return None;
        };
        if !self.structure || head & 0x10 == 0 {
            return None;
        }
        let count = usize::from(head >> 5) + 1;
        let mut read = FrameSizes::default();
        for &[a, b, c, d] in sizes.get(..4 * count)?.as_chunks().0 {
            read.push(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        }
        Some(read)
    }

    /// What a selector must know. A frame that is not predicted from another picture (P) counts as a key picture's,
    /// though above the lowest spatial layer it may only be that one can go up there; Z speaks of the same picture
    /// alone, so no frame is known to be discardable.
    pub(super) fn tag(&self) -> FrameTag {
        let independent = !self.inter_predicted;
        FrameTag {
            spatial: self.spatial_id.unwrap_or(0),
            temporal: self.temporal_id.unwrap_or(0),
            frame_start: self.frame_start,
            frame_end: self.frame_end,
            keyframe: independent,
            temporal_switch: self.switching_point || independent,
            spatial_switch: independent,
            discardable: false,
        }
    }

    fn read_layers(&mut self, payload: &[u8]) -> Option<()> {
        let byte = *payload.get(self.len)?;
        self.len += 1;
        self.temporal_id = Some(byte >> 5);
        self.switching_point = byte & 0x10 != 0;
        self.spatial_id = Some((byte >> 1) & 0x07);
        self.inter_layer = byte & 0x01 != 0;
        if !self.flexible {
            self.ids.tl0_pic_idx = Some(Tl0PicIdx {
                value: *payload.get(self.len)?,
                at: self.len as u8,
            });
            self.len += 1;
        }
        Some(())
    }

    /// Up to three references, each saying whether another follows.
    fn skip_references(&mut self, payload: &[u8]) -> Option<()> {
        for _ in 0..3 {
            let byte = *payload.get(self.len)?;
            self.len += 1;
            if byte & 0x01 == 0 {
                return Some(());
            }
        }
        // The third must be the last.
        None
    }

    /// Section 4.2.1: sizes of the layers, then the pictures of a group.
    fn skip_structure(&mut self, payload: &[u8]) -> Option<()> {
        self.structure_at = self.len;
        let head = *payload.get(self.len)?;
        self.len += 1;
        if head & 0x10 != 0 {
            self.len += 4 * (usize::from(head >> 5) + 1);
        }
        if head & 0x08 != 0 {
            let pictures = *payload.get(self.len)?;
            self.len += 1;
            for _ in 0..pictures {
                let picture = *payload.get(self.len)?;
                self.len += 1 + usize::from((picture >> 2) & 0x03);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_start_at_the_lowest_spatial_layer() {
        let table: &[(&[u8], Option<bool>)] = &[
            (&[], None),
            (&[0x08], None),
            // B alone; B and P; neither; E alone.
            (&[0x08, 0xff], Some(true)),
            (&[0x48, 0xff], Some(false)),
            (&[0x00, 0xff], Some(false)),
            (&[0x04, 0xff], Some(false)),
            // Picture id and layers, spatial 0 and then 1, not flexible.
            (&[0xa8, 0x80, 0x01, 0x00, 0x07, 0xff], Some(true)),
            (&[0xa8, 0x80, 0x01, 0x03, 0x07, 0xff], Some(false)),
            // With a structure of two sizes and two pictures, of which one has two references.
            (
                &[
                    0x0a, 0x38, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0x00, 0x08, 9, 9, 0xff,
                ],
                Some(true),
            ),
            (
                &[0x0a, 0x38, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0x00, 0x08, 9, 9],
                None,
            ),
            // A structure that claims more pictures than there are bytes.
            (&[0x0a, 0x08, 255, 0, 0], None),
            // Flexible: two references; four are too many.
            (&[0x58, 0x03, 0x02, 0xff], Some(false)),
            (&[0x58, 0x03, 0x03, 0x03, 0x02, 0xff], None),
        ];
        for (payload, expected) in table {
            assert_eq!(
                Vp9Descriptor::parse(payload).map(|d| d.keyframe_start()),
                *expected,
                "{payload:02x?}"
            );
        }
    }

    #[test]
    fn layers_are_read_and_the_counters_are_rewritten() {
        let mut payload = [0xac, 0x91, 0x02, 0b0101_0011, 0x33, 0xff];
        let descriptor = Vp9Descriptor::parse(&payload).unwrap();
        assert_eq!(descriptor.temporal_id, Some(2));
        assert!(descriptor.switching_point && descriptor.inter_layer && descriptor.frame_end);
        assert_eq!(descriptor.spatial_id, Some(1));
        assert_eq!(descriptor.ids.picture_id.map(|p| p.value), Some(0x1102));
        assert_eq!(descriptor.ids.tl0_pic_idx.map(|t| t.value), Some(0x33));
        assert_eq!(descriptor.len, 5);
        descriptor.ids.write(&mut payload, 0x0203, 0x44);
        assert_eq!(payload, [0xac, 0x82, 0x03, 0b0101_0011, 0x44, 0xff]);
    }

    #[test]
    fn packets_of_svc_are_tagged_and_sized() {
        // Non-flexible, with picture id and tl0picidx.
        let packet = |first: u8, layers: u8| [0xa0 | first, 0x05, layers, 0x07, 0xff];
        let (p, b, e) = (0x40, 0x08, 0x04);
        let table: &[([u8; 5], FrameTag)] = &[
            // A key picture: the lowest layer, and the one above it, predicted from it (D).
            (
                packet(b | e, 0b0000_0000),
                FrameTag {
                    frame_start: true,
                    frame_end: true,
                    keyframe: true,
                    temporal_switch: true,
                    spatial_switch: true,
                    ..FrameTag::default()
                },
            ),
            (
                packet(e, 0b0000_0011),
                FrameTag {
                    spatial: 1,
                    frame_end: true,
                    keyframe: true,
                    temporal_switch: true,
                    spatial_switch: true,
                    ..FrameTag::default()
                },
            ),
            // Predicted from another picture, with and without a switching point (U).
            (
                packet(p | b, 0b0101_0101),
                FrameTag {
                    spatial: 2,
                    temporal: 2,
                    frame_start: true,
                    temporal_switch: true,
                    ..FrameTag::default()
                },
            ),
            (
                packet(p, 0b0010_0000),
                FrameTag {
                    temporal: 1,
                    ..FrameTag::default()
                },
            ),
        ];
        for (payload, expected) in table {
            let descriptor = Vp9Descriptor::parse(payload).unwrap();
            assert_eq!(descriptor.tag(), *expected, "{payload:02x?}");
            assert_eq!(descriptor.sizes(payload), None);
        }

        let sized = [
            0xaa, 0x05, 0, 0x07, 0x38, 0x01, 0x40, 0, 180, 0x02, 0x80, 0x01, 0x68, 1, 0x00, 0xff,
        ];
        let sizes = Vp9Descriptor::parse(&sized).unwrap().sizes(&sized).unwrap();
        assert_eq!(sizes.layer(0), Some((320, 180)));
        assert_eq!(sizes.layer(1), Some((640, 360)));
        assert_eq!(sizes.largest(), Some((640, 360)));
        // A structure without sizes.
        let plain = [0x0a, 0x28, 1, 0x00, 0xff];
        let descriptor = Vp9Descriptor::parse(&plain).unwrap();
        assert_eq!(descriptor.sizes(&plain), None);
    }

    #[test]
    fn the_flexible_mode_has_no_tl0_pic_idx() {
        let descriptor = Vp9Descriptor::parse(&[0xb8, 0x05, 0x20, 0xff]).unwrap();
        assert_eq!(descriptor.ids.tl0_pic_idx, None);
        assert_eq!(descriptor.temporal_id, Some(1));
        assert_eq!(descriptor.len, 3);
    }
}
