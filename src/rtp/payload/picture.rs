//! The frame counters that VP8 and VP9 put before each payload.

/// The running number of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// 7 or 15 bits.
    pub value: u16,
    /// Whether it has 15 bits.
    pub long: bool,
    /// Its first byte in the payload.
    pub at: u8,
}

/// The running number of frames in the lowest temporal layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tl0PicIdx {
    /// 8 bits.
    pub value: u8,
    /// Its byte in the payload.
    pub at: u8,
}

/// The counters of one payload, and where they stand in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureIds {
    /// The picture's number.
    pub picture_id: Option<PictureId>,
    /// The number of the lowest layer's frame that it builds on.
    pub tl0_pic_idx: Option<Tl0PicIdx>,
}

impl PictureIds {
    /// Replaces the counters that are present in a copy of the payload, keeping its length. Of a short
    /// picture id the low 7 bits are written.
    pub fn write(&self, payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) {
        if let Some(PictureId { long, at, .. }) = self.picture_id {
            let at = usize::from(at);
            let [high, low] = (picture_id | 0x8000).to_be_bytes();
            if !long {
                if let Some(byte) = payload.get_mut(at) {
                    *byte = low & 0x7f;
                }
            } else if let Some(bytes) = payload.get_mut(at..at + 2) {
                bytes.copy_from_slice(&[high, low]);
            }
        }
        if let Some(Tl0PicIdx { at, .. }) = self.tl0_pic_idx
            && let Some(byte) = payload.get_mut(usize::from(at))
        {
            *byte = tl0_pic_idx;
        }
    }

    /// Reads a picture id at `at`: its top bit says whether it has 15 bits (RFC 7741 section 4.2, RFC
    /// 9628 section 4.2). Returns it with the position after it.
    pub(super) fn read_picture_id(payload: &[u8], at: usize) -> Option<(PictureId, usize)> {
        let first = *payload.get(at)?;
        let long = first & 0x80 != 0;
        let value = if long {
            u16::from_be_bytes([first & 0x7f, *payload.get(at + 1)?])
        } else {
            u16::from(first)
        };
        let id = PictureId {
            value,
            long,
            at: at as u8,
        };
        Some((id, at + 1 + usize::from(long)))
    }
}
