//! Writes RTP headers, with extensions, straight into the output.

use crate::rtp::elements::{ONE_BYTE, TWO_BYTE};
use crate::rtp::{Element, Elements, Extension, ExtensionMap, HeaderFields, Mid};

/// Room for the extensions of one packet: a dependency descriptor of the greatest length and all the
/// others together take fewer.
const CAPACITY: usize = 512;

/// Extension elements of one packet being written, on the stack. What does not fit is left out.
#[derive(Clone, Debug)]
pub struct ExtensionBuffer {
    /// Elements in the two-byte form: id, length, data.
    bytes: [u8; CAPACITY],
    len: usize,
    needs_two_byte: bool,
}

impl Default for ExtensionBuffer {
    fn default() -> Self {
        Self {
            bytes: [0; CAPACITY],
            len: 0,
            needs_two_byte: false,
        }
    }
}

impl ExtensionBuffer {
    /// Adds an element; `id` must not be 0. Returns false, changing nothing, when it does not fit.
    pub fn push(&mut self, id: u8, data: &[u8]) -> bool {
        let Ok(data_len) = u8::try_from(data.len()) else {
            return false;
        };
        let end = self.len + 2 + data.len();
        let Some([head_id, head_len, body @ ..]) = self.bytes.get_mut(self.len..end) else {
            return false;
        };
        if id == 0 {
            return false;
        }
        *head_id = id;
        *head_len = data_len;
        body.copy_from_slice(data);
        self.len = end;
        // Ids over 14, empty and long elements have no one-byte form (RFC 8285 section 4.2).
        self.needs_two_byte |= id > 14 || data.is_empty() || data.len() > 16;
        true
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = Element<'_>> {
        Elements::new(TWO_BYTE, self.bytes.get(..self.len).unwrap_or_default())
    }
}

/// What the sender of a packet says itself instead of passing on the source's word.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtensionValues {
    /// The m-line of the receiver.
    pub mid: Option<Mid>,
    /// The number of the packet on this transport.
    pub transport_cc: Option<u16>,
    /// When it is sent: 24 bits of 6.18 fixed-point seconds, see [`abs_send_time`].
    pub abs_send_time: Option<u32>,
}

/// The extensions of a packet that is forwarded from a peer that numbers them by `source_map` to one
/// that numbers them by `destination_map`: mid, transport-cc and abs-send-time are those of `values`,
/// rid and repaired-rid are left out, the others are copied. What the destination did not negotiate is
/// left out.
pub fn forward_extensions(
    source: Elements<'_>,
    source_map: &ExtensionMap,
    destination_map: &ExtensionMap,
    values: &ExtensionValues,
) -> ExtensionBuffer {
    let mut buffer = own_extensions(destination_map, values);
    for Element { id, data } in source {
        let Some(extension) = source_map.extension(id) else {
            continue;
        };
        let copied = match extension {
            Extension::Mid
            | Extension::Rid
            | Extension::RepairedRid
            | Extension::TransportCc
            | Extension::AbsSendTime => false,
            Extension::AudioLevel
            | Extension::VideoOrientation
            | Extension::PlayoutDelay
            | Extension::DependencyDescriptor
            | Extension::AbsCaptureTime
            | Extension::ColorSpace => true,
        };
        if let (true, Some(id)) = (copied, destination_map.id(extension)) {
            buffer.push(id, data);
        }
    }
    buffer
}

/// The extensions of a packet that has no source: only `values`, where `map` has an id for them.
pub fn own_extensions(map: &ExtensionMap, values: &ExtensionValues) -> ExtensionBuffer {
    let mut buffer = ExtensionBuffer::default();
    if let (Some(id), Some(mid)) = (map.id(Extension::Mid), values.mid) {
        buffer.push(id, mid.as_bytes());
    }
    if let (Some(id), Some(number)) = (map.id(Extension::TransportCc), values.transport_cc) {
        buffer.push(id, &number.to_be_bytes());
    }
    if let (Some(id), Some(time)) = (map.id(Extension::AbsSendTime), values.abs_send_time) {
        let [_, a, b, c] = time.to_be_bytes();
        buffer.push(id, &[a, b, c]);
    }
    buffer
}

/// The time of the abs-send-time extension: seconds of any clock that runs evenly, modulo 64, in 6.18
/// fixed-point.
pub fn abs_send_time(clock: std::time::Duration) -> u32 {
    let seconds = (clock.as_secs() % 64) << 18;
    let fraction = (u64::from(clock.subsec_nanos()) << 18) / 1_000_000_000;
    (seconds | fraction) as u32
}

/// Appends a header: version 2, no padding, no CSRC, and an extension block where there are elements,
/// in the one-byte form where all of them have one.
pub fn write_header(out: &mut Vec<u8>, fields: &HeaderFields, extensions: &ExtensionBuffer) {
    let extension_bit = if extensions.is_empty() { 0 } else { 0x10 };
    let marker = if fields.marker { 0x80 } else { 0 };
    out.extend_from_slice(&[0x80 | extension_bit, marker | (fields.payload_type & 0x7f)]);
    out.extend_from_slice(&fields.sequence.to_be_bytes());
    out.extend_from_slice(&fields.timestamp.to_be_bytes());
    out.extend_from_slice(&fields.ssrc.to_be_bytes());
    if !extensions.is_empty() {
        write_extensions(out, extensions);
    }
}

fn write_extensions(out: &mut Vec<u8>, extensions: &ExtensionBuffer) {
    let profile = if extensions.needs_two_byte {
        TWO_BYTE
    } else {
        ONE_BYTE
    };
    out.extend_from_slice(&profile.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    let start = out.len();
    if extensions.needs_two_byte {
        out.extend_from_slice(extensions.bytes.get(..extensions.len).unwrap_or_default());
    } else {
        for Element { id, data } in extensions.iter() {
            // An element of this form has 1 to 16 bytes, written as 0 to 15.
            out.push((id << 4) | (data.len() as u8).wrapping_sub(1) & 0x0f);
            out.extend_from_slice(data);
        }
    }
    let words = (out.len() - start).div_ceil(4);
    out.resize(start + words * 4, 0);
    if let Some(len) = out.get_mut(start - 2..start) {
        len.copy_from_slice(&(words as u16).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::rtp::HeaderView;

    fn fields() -> HeaderFields {
        HeaderFields {
            marker: true,
            payload_type: 111,
            sequence: 65_535,
            timestamp: 1,
            ssrc: 0x0102_0304,
        }
    }

    #[test]
    fn without_extensions_the_header_is_twelve_bytes() {
        let mut out = vec![9];
        write_header(&mut out, &fields(), &ExtensionBuffer::default());
        assert_eq!(out, [9, 0x80, 0xef, 255, 255, 0, 0, 0, 1, 1, 2, 3, 4]);
    }

    #[test]
    fn the_form_is_the_shortest_that_carries_all() {
        let form = |elements: &[(u8, &[u8])]| {
            let mut buffer = ExtensionBuffer::default();
            for (id, data) in elements {
                assert!(buffer.push(*id, data));
            }
            let mut out = vec![];
            write_header(&mut out, &fields(), &buffer);
            out[12..].to_vec()
        };
        assert_eq!(
            form(&[(1, b"a"), (14, b"bc")]),
            [0xbe, 0xde, 0, 2, 0x10, b'a', 0xe1, b'b', b'c', 0, 0, 0]
        );
        assert_eq!(
            form(&[(1, b"a"), (16, b"b")]),
            [0x10, 0, 0, 2, 1, 1, b'a', 16, 1, b'b', 0, 0]
        );
        assert_eq!(form(&[(1, b"")]), [0x10, 0, 0, 1, 1, 0, 0, 0]);
        assert_eq!(form(&[(1, &[7; 17])])[..6], [0x10, 0, 0, 5, 1, 17]);
    }

    #[test]
    fn the_receiver_gets_its_own_ids_and_its_own_mid() {
        let mut source_map = ExtensionMap::default();
        let mut destination_map = ExtensionMap::default();
        for (index, extension) in Extension::ALL.into_iter().enumerate() {
            source_map.insert(index as u8 + 1, extension);
            if extension != Extension::ColorSpace {
                destination_map.insert(14 - index as u8, extension);
            }
        }
        let mut buffer = ExtensionBuffer::default();
        let descriptor = [5; 20];
        for (extension, data) in [
            (Extension::Mid, &b"theirs"[..]),
            (Extension::Rid, b"hi"),
            (Extension::RepairedRid, b"hi"),
            (Extension::TransportCc, &[0, 1]),
            (Extension::AbsSendTime, &[0, 0, 1]),
            (Extension::AudioLevel, &[0x85]),
            (Extension::DependencyDescriptor, &descriptor),
            (Extension::ColorSpace, &[0; 4]),
        ] {
            buffer.push(source_map.id(extension).unwrap(), data);
        }
        let mut packet = vec![];
        write_header(&mut packet, &fields(), &buffer);

        let values = ExtensionValues {
            mid: Mid::from_bytes(b"ours").ok(),
            transport_cc: Some(0x0a0b),
            abs_send_time: None,
        };
        let view = HeaderView::parse(&packet).unwrap();
        let forwarded = forward_extensions(view.elements(), &source_map, &destination_map, &values);
        let mut packet = vec![];
        write_header(&mut packet, &fields(), &forwarded);
        let view = HeaderView::parse(&packet).unwrap();
        assert_eq!(
            view.extensions(&destination_map),
            crate::rtp::Extensions {
                mid: Mid::from_bytes(b"ours").ok(),
                transport_cc: Some(0x0a0b),
                audio_level: Some(crate::rtp::AudioLevel {
                    voice: true,
                    level: 5
                }),
                dependency_descriptor: Some(&descriptor),
                ..Default::default()
            }
        );
        assert_eq!(view.elements().count(), 4);
    }

    #[test]
    fn abs_send_time_counts_64_seconds() {
        assert_eq!(abs_send_time(Duration::ZERO), 0);
        assert_eq!(abs_send_time(Duration::from_millis(500)), 1 << 17);
        assert_eq!(abs_send_time(Duration::from_secs(65)), 1 << 18);
        assert!(abs_send_time(Duration::from_nanos(63_999_999_999)) < 1 << 24);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut buffer = ExtensionBuffer::default();
        assert!(!buffer.push(0, b"x"));
        assert!(!buffer.push(1, &[0; 256]));
        assert!(buffer.push(1, &[1; 255]));
        assert!(buffer.push(2, &[2; 253]));
        assert!(!buffer.push(3, b""));
        assert_eq!(buffer.iter().count(), 2);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            elements in proptest::collection::vec(
                (1u8..=255, proptest::collection::vec(any::<u8>(), 0..30)), 0..8),
            marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let fields = HeaderFields { marker, payload_type, sequence, timestamp, ssrc };
            let mut buffer = ExtensionBuffer::default();
            for (id, data) in &elements {
                // Id 15 exists in neither form of SDP, but the two-byte form can carry it.
                prop_assert!(buffer.push(*id, data));
            }
            let mut packet = vec![];
            write_header(&mut packet, &fields, &buffer);
            packet.extend_from_slice(&payload);
            let view = HeaderView::parse(&packet).unwrap();
            prop_assert_eq!(view.fields(), fields);
            prop_assert_eq!(view.payload().unwrap(), &payload[..]);
            let read: Vec<_> = view.elements().map(|e| (e.id, e.data.to_vec())).collect();
            prop_assert_eq!(read, elements);
        }
    }
}
