//! Made-up media whose every packet can be checked by itself: who sent it, its number, and that no byte changed.

use bytes::{BufMut, Bytes, BytesMut};

/// What a packet's payload says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it.
    pub label: u8,
    /// Counts the packets of one track, from 0.
    pub index: u32,
    /// For video: whether it starts a keyframe.
    pub key: bool,
}

/// Bytes that depend on label and index only.
fn filling(label: u8, index: u32) -> impl Iterator<Item = u8> {
    let length = 20 + (index % 60) as usize;
    let mut state = u64::from(index) << 8 | u64::from(label) | 1 << 40;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(length)
}

fn body(label: u8, index: u32) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(label);
    body.put_u32(index);
    body.extend(filling(label, index));
    body.freeze()
}

fn parse_body(body: &[u8]) -> Option<(u8, u32)> {
    let (&label, rest) = body.split_first()?;
    let (index, rest) = rest.split_first_chunk::<4>()?;
    let index = u32::from_be_bytes(*index);
    rest.iter()
        .copied()
        .eq(filling(label, index))
        .then_some((label, index))
}

/// The payload of one audio packet.
pub fn audio(label: u8, index: u32) -> Bytes {
    body(label, index)
}

/// Reads an audio payload; none if a byte of it is not as [`audio`] wrote it.
pub fn parse_audio(payload: &[u8]) -> Option<Packet> {
    let (label, index) = parse_body(payload)?;
    Some(Packet {
        label,
        index,
        key: false,
    })
}

/// The payload of one VP8 packet that holds a frame (RFC 7741: descriptor without extensions, then the frame header).
pub fn vp8(label: u8, index: u32, key: bool) -> Bytes {
    let mut payload = BytesMut::new();
    // S = 1, partition 0.
    payload.put_u8(0x10);
    frame(&mut payload, label, index, key);
    payload.freeze()
}

/// The same with a 15-bit picture id.
pub fn vp8_with_picture_id(label: u8, index: u32, key: bool, picture: u16) -> Bytes {
    let mut payload = BytesMut::new();
    payload.put_slice(&[0x90, 0x80]);
    payload.put_u16(0x8000 | picture & 0x7fff);
    frame(&mut payload, label, index, key);
    payload.freeze()
}

/// The payload of one VP9 packet that holds a frame (RFC 9628: I, B and E set, P clear for a keyframe).
pub fn vp9(label: u8, index: u32, key: bool) -> Bytes {
    let mut payload = BytesMut::new();
    payload.put_u8(if key { 0x8c } else { 0xcc });
    payload.put_u16(0x8000 | (index & 0x7fff) as u16);
    payload.extend_from_slice(&body(label, index));
    payload.freeze()
}

fn frame(payload: &mut BytesMut, label: u8, index: u32, key: bool) {
    if key {
        payload.put_slice(&[0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00]);
    } else {
        payload.put_slice(&[0x11, 0x02, 0x00]);
    }
    payload.extend_from_slice(&body(label, index));
}

/// Reads a VP8 payload; none if a byte of it is not as [`vp8`] or [`vp8_with_picture_id`] wrote it.
pub fn parse_vp8(payload: &[u8]) -> Option<Packet> {
    let frame = match payload {
        [0x10, frame @ ..] => frame,
        [0x90, 0x80, _, _, frame @ ..] => frame,
        _ => return None,
    };
    let (key, body) = match frame {
        [
            0x10,
            0x02,
            0x00,
            0x9d,
            0x01,
            0x2a,
            0x40,
            0x01,
            0xf0,
            0x00,
            body @ ..,
        ] => (true, body),
        [0x11, 0x02, 0x00, body @ ..] => (false, body),
        _ => return None,
    };
    let (label, index) = parse_body(body)?;
    Some(Packet { label, index, key })
}

/// Reads a VP9 payload as [`vp9`] wrote it.
pub fn parse_vp9(payload: &[u8]) -> Option<Packet> {
    let (key, rest) = match payload {
        [0x8c, rest @ ..] => (true, rest),
        [0xcc, rest @ ..] => (false, rest),
        _ => return None,
    };
    let (label, index) = parse_body(rest.get(2..)?)?;
    Some(Packet { label, index, key })
}

/// The picture id of a payload written by [`vp8_with_picture_id`].
pub fn picture_id(payload: &[u8]) -> Option<u16> {
    match payload {
        [0x90, 0x80, high, low, ..] => Some(u16::from_be_bytes([*high & 0x7f, *low])),
        _ => None,
    }
}
