//! The VP8 payload descriptor (RFC 7741 section 4.2).

use super::{FrameSizes, FrameTag, PictureIds, Tl0PicIdx};

/// What precedes each payload of VP8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// The frame counters.
    pub ids: PictureIds,
    /// The temporal layer, 0 to 3.
    pub temporal_id: Option<u8>,
    /// The frame depends on the lowest layer only, so a receiver can go up to this one here.
    pub layer_sync: bool,
    /// The number of the keyframe that it builds on, 5 bits.
    pub key_idx: Option<u8>,
    /// No other frame depends on it.
    pub non_reference: bool,
    /// The first packet of a frame.
    pub frame_start: bool,
    /// The first packet of a keyframe.
    pub keyframe_start: bool,
    /// Where the VP8 data starts.
    pub len: usize,
}

impl Vp8Descriptor {
    /// Reads the descriptor. `None` where the payload ends within it or right after it.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut at = 1;
        let mut ids = PictureIds::default();
        let (mut temporal_id, mut key_idx, mut layer_sync) = (None, None, false);
        if first & 0x80 != 0 {
            let present = *payload.get(1)?;
            at = 2;
            if present & 0x80 != 0 {
                let (id, after) = PictureIds::read_picture_id(payload, at)?;
                ids.picture_id = Some(id);
                at = after;
            }
            if present & 0x40 != 0 {
                ids.tl0_pic_idx = Some(Tl0PicIdx {
                    value: *payload.get(at)?,
                    at: at as u8,
                });
                at += 1;
            }
            if present & 0x30 != 0 {
                let byte = *payload.get(at)?;
                at += 1;
                if present & 0x20 != 0 {
                    temporal_id = Some(byte >> 6);
                    layer_sync = byte & 0x20 != 0;
                }
                if present & 0x10 != 0 {
                    key_idx = Some(byte & 0x1f);
                }
            }
        }
        // The lowest bit of the payload header is clear in a keyframe (RFC 7741 section 4.3).
        let inter_frame = *payload.get(at)? & 1 != 0;
        let frame_start = first & 0x10 != 0 && first & 0x07 == 0;
        Some(Self {
            ids,
            temporal_id,
            layer_sync,
            key_idx,
            non_reference: first & 0x20 != 0,
            frame_start,
            keyframe_start: frame_start && !inter_frame,
            len: at,
        })
    }

    /// How large the pictures are, of the first packet of a keyframe (RFC 6386 section 9.1). `payload` is what the
    /// descriptor was read from.
    pub fn size(&self, payload: &[u8]) -> Option<FrameSizes> {
        let header = payload.get(self.len..)?;
        let [_, _, _, 0x9d, 0x01, 0x2a, a, b, c, d, ..] = header else {
            return None;
        };
        // The top two bits of each are how the receiver should scale it.
        let mut sizes = FrameSizes::default();
        sizes.push(
            u16::from_le_bytes([*a, *b]) & 0x3fff,
            u16::from_le_bytes([*c, *d]) & 0x3fff,
        );
        self.keyframe_start.then_some(sizes)
    }

    /// What a selector must know. Only the first packet of a keyframe can be told.
    pub(super) fn tag(&self, marker: bool) -> FrameTag {
        FrameTag {
            spatial: 0,
            temporal: self.temporal_id.unwrap_or(0),
            frame_start: self.frame_start,
            frame_end: marker,
            keyframe: self.keyframe_start,
            temporal_switch: self.layer_sync || self.keyframe_start,
            spatial_switch: self.keyframe_start,
            discardable: self.non_reference,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PictureId;
    use super::*;

    #[test]
    fn keyframes_start_at_the_first_packet_of_the_first_partition() {
        let table: &[(&[u8], Option<bool>)] = &[
            (&[], None),
            (&[0x10], None),
            (&[0x10, 0x00], Some(true)),
            (&[0x10, 0x01], Some(false)),
            (&[0x00, 0x00], Some(false)),
            (&[0x11, 0x00], Some(false)),
            // Extended, with no field, and with a 15-bit picture id as Chromium sends it.
            (&[0x90, 0x00, 0x00], Some(true)),
            (&[0x90, 0x80, 0x80, 0x01, 0x00], Some(true)),
            (&[0x90, 0x80, 0x80, 0x01, 0x01], Some(false)),
            (&[0x90, 0x80, 0x80, 0x01], None),
            (&[0x90, 0xf0, 0x81, 0x01, 7], None),
        ];
        for (payload, expected) in table {
            assert_eq!(
                Vp8Descriptor::parse(payload).map(|d| d.keyframe_start),
                *expected,
                "{payload:02x?}"
            );
        }
    }

    #[test]
    fn every_field_is_read_and_the_counters_are_rewritten() {
        let mut payload = [0xb0, 0xf0, 0xd2, 0x34, 0x56, 0b1010_0111, 0x00, 0xaa];
        let descriptor = Vp8Descriptor::parse(&payload).unwrap();
        assert_eq!(
            descriptor,
            Vp8Descriptor {
                ids: PictureIds {
                    picture_id: Some(PictureId {
                        value: 0x5234,
                        long: true,
                        at: 2
                    }),
                    tl0_pic_idx: Some(Tl0PicIdx { value: 0x56, at: 4 }),
                },
                temporal_id: Some(2),
                layer_sync: true,
                key_idx: Some(7),
                non_reference: true,
                frame_start: true,
                keyframe_start: true,
                len: 6,
            }
        );
        descriptor.ids.write(&mut payload, 0x7fff, 0x01);
        assert_eq!(
            payload,
            [0xb0, 0xf0, 0xff, 0xff, 0x01, 0b1010_0111, 0x00, 0xaa]
        );
    }

    #[test]
    fn packets_of_temporal_layers_are_tagged() {
        let tag = FrameTag::default();
        let table: &[(&[u8], bool, FrameTag)] = &[
            // A keyframe's first packet, and its last.
            (
                &[0x90, 0xe0, 0x80, 1, 2, 0x00, 0x10],
                false,
                FrameTag {
                    frame_start: true,
                    keyframe: true,
                    temporal_switch: true,
                    spatial_switch: true,
                    ..tag
                },
            ),
            (
                &[0x80, 0xe0, 0x80, 1, 2, 0x00, 0xff],
                true,
                FrameTag {
                    frame_end: true,
                    ..tag
                },
            ),
            // Layer 2, which nothing depends on; layer 1, depending on the lowest alone (Y).
            (
                &[0xb0, 0xe0, 0x80, 1, 2, 0x80, 0x11],
                true,
                FrameTag {
                    temporal: 2,
                    frame_start: true,
                    frame_end: true,
                    discardable: true,
                    ..tag
                },
            ),
            (
                &[0x90, 0xe0, 0x80, 1, 2, 0x60, 0x11],
                false,
                FrameTag {
                    temporal: 1,
                    frame_start: true,
                    temporal_switch: true,
                    ..tag
                },
            ),
        ];
        for (payload, marker, expected) in table {
            let descriptor = Vp8Descriptor::parse(payload).unwrap();
            assert_eq!(descriptor.tag(*marker), *expected, "{payload:02x?}");
        }
    }

    #[test]
    fn a_keyframe_says_its_size() {
        let size = |payload: &[u8]| {
            let sizes = Vp8Descriptor::parse(payload)?.size(payload)?;
            sizes.largest()
        };
        // 640 by 360, to be scaled by 5/4 in width.
        let mut payload = [
            0x10, 0x50, 0x42, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x01,
        ];
        assert_eq!(size(&payload), Some((640, 360)));
        assert_eq!(size(&payload[..10]), None);
        payload[4] = 0;
        assert_eq!(size(&payload), None);
        (payload[4], payload[1]) = (0x9d, 0x51);
        assert_eq!(size(&payload), None);
    }

    /// What the page leaves clear before an encrypted frame: the rest of the payload is never looked at.
    #[test]
    fn of_an_encrypted_frame_the_clear_bytes_are_enough() {
        let read = |payload: &[u8]| {
            let descriptor = Vp8Descriptor::parse(payload)?;
            let size = descriptor.size(payload).and_then(|sizes| sizes.largest());
            Some((descriptor.keyframe_start, descriptor.temporal_id, size))
        };
        let keyframe = [
            0x90, 0xe0, 0x80, 1, 2, 0x00, 0xf0, 0xff, 0xff, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68,
            0x01,
        ];
        let inter_frame = [0x90, 0xe0, 0x80, 1, 2, 0x60, 0xf1, 0xff, 0xff];
        for cipher in [
            &[0x00; 30][..],
            &[0xff; 30],
            &[0x9d, 0x01, 0x2a, 0, 1, 0, 1],
        ] {
            let sealed = |clear: &[u8]| read(&[clear, cipher].concat());
            assert_eq!(sealed(&keyframe), Some((true, Some(0), Some((640, 360)))));
            assert_eq!(sealed(&inter_frame), Some((false, Some(1), None)));
        }
    }

    #[test]
    fn a_short_picture_id_stays_short() {
        let mut payload = [0x90, 0x80, 0x11, 0x00];
        let descriptor = Vp8Descriptor::parse(&payload).unwrap();
        assert_eq!(descriptor.ids.picture_id.map(|p| p.value), Some(0x11));
        descriptor.ids.write(&mut payload, 0x0180 | 0x05, 0);
        assert_eq!(payload, [0x90, 0x80, 0x05, 0x00]);
    }
}
