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
        self.needs_two_byte |= needs_two_byte(id, data);
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

/// What a copy says of itself in place of the source's words, or beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnWords {
    /// The number of the packet on the receiver's transport.
    pub transport_cc: Option<u16>,
    /// What replaces the frame number of a dependency descriptor (AV1 RTP specification, section A.8.2):
    /// its bytes 1 and 2. All others stay.
    pub frame_number: Option<u16>,
}

/// How many kinds of extensions a forwarder passes on.
const PASSED_ON: usize = 6;

/// What a packet's header extensions say to whoever gets a copy, by name instead of by the source's ids: read
/// once, written for each receiver.
#[derive(Clone, Copy, Debug)]
pub struct PassedOn<'a> {
    elements: [(Extension, &'a [u8]); PASSED_ON],
    len: usize,
}

impl<'a> PassedOn<'a> {
    /// Reads the extensions of a peer that numbers them by `map`. Mid, rids, transport-cc, abs-send-time and the allocation
    /// of layers are between that peer and its receiver, and are left out. Of two of one kind the first counts.
    pub fn read(source: Elements<'a>, map: &ExtensionMap) -> Self {
        let mut passed = Self {
            elements: [(Extension::Mid, &[]); PASSED_ON],
            len: 0,
        };
        for Element { id, data } in source {
            let Some(extension) = map.extension(id) else {
                continue;
            };
            let is_passed_on = match extension {
                Extension::Mid
                | Extension::Rid
                | Extension::RepairedRid
                | Extension::TransportCc
                | Extension::AbsSendTime
                | Extension::LayersAllocation => false,
                Extension::AudioLevel
                | Extension::VideoOrientation
                | Extension::PlayoutDelay
                | Extension::DependencyDescriptor
                | Extension::AbsCaptureTime
                | Extension::ColorSpace => true,
            };
            let is_known = passed.iter().any(|(known, _)| known == extension);
            if is_passed_on
                && !is_known
                && let Some(slot) = passed.elements.get_mut(passed.len)
            {
                *slot = (extension, data);
                passed.len += 1;
            }
        }
        passed
    }

    fn iter(&self) -> impl Iterator<Item = (Extension, &'a [u8])> + '_ {
        self.elements.iter().take(self.len).copied()
    }

    /// As the receiver numbers them, its mid first, then the number on its transport; what it did not
    /// negotiate is left out.
    fn elements<'b>(
        &'b self,
        map: &'b ExtensionMap,
        mid: &'b Mid,
        transport_cc: Option<&'b [u8; 2]>,
    ) -> impl Iterator<Item = (u8, Extension, &'b [u8])> {
        let transport_cc = transport_cc.map(|number| (Extension::TransportCc, &number[..]));
        std::iter::once((Extension::Mid, mid.as_bytes()))
            .chain(transport_cc)
            .chain(self.iter())
            .filter_map(|(extension, data)| Some((map.id(extension)?, extension, data)))
    }
}

/// Appends the header of a copy for a receiver that numbers extensions by `map`, on the m-line `mid`.
pub fn write_copied_header(
    out: &mut Vec<u8>,
    fields: &HeaderFields,
    passed: &PassedOn<'_>,
    map: &ExtensionMap,
    mid: &Mid,
    own: &OwnWords,
) {
    let start = out.len();
    write_fixed(out, fields, true);
    let block = begin_extensions(out);
    let transport_cc = own.transport_cc.map(u16::to_be_bytes);
    let elements = || passed.elements(map, mid, transport_cc.as_ref());
    let two_byte = elements().any(|(id, _, data)| needs_two_byte(id, data));
    for (id, extension, data) in elements() {
        write_element(out, two_byte, id, data);
        if extension == Extension::DependencyDescriptor
            && let Some(frame_number) = own.frame_number
        {
            let written = out.len() - data.len();
            replace_frame_number(&mut out[written..], frame_number);
        }
    }
    if out.len() > block {
        end_extensions(out, block, two_byte);
    } else {
        // None after all.
        out.truncate(start);
        write_fixed(out, fields, false);
    }
}

/// Bytes 1 and 2 of a dependency descriptor (AV1 RTP specification, section A.8.2). What is cut short stays.
fn replace_frame_number(descriptor: &mut [u8], frame_number: u16) {
    if let Some(bytes) = descriptor.get_mut(1..3) {
        bytes.copy_from_slice(&frame_number.to_be_bytes());
    }
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
    write_fixed(out, fields, !extensions.is_empty());
    if !extensions.is_empty() {
        let block = begin_extensions(out);
        for Element { id, data } in extensions.iter() {
            write_element(out, extensions.needs_two_byte, id, data);
        }
        end_extensions(out, block, extensions.needs_two_byte);
    }
}

fn write_fixed(out: &mut Vec<u8>, fields: &HeaderFields, extended: bool) {
    let mut fixed = [0; 12];
    fixed[0] = 0x80 | u8::from(extended) << 4;
    fixed[1] = u8::from(fields.marker) << 7 | (fields.payload_type & 0x7f);
    fixed[2..4].copy_from_slice(&fields.sequence.to_be_bytes());
    fixed[4..8].copy_from_slice(&fields.timestamp.to_be_bytes());
    fixed[8..].copy_from_slice(&fields.ssrc.to_be_bytes());
    out.extend_from_slice(&fixed);
}

/// Ends the plain packet that begins at `start` with `padding` bytes, of which the last is their count
/// (RFC 3550 section 5.1). With 0 it stays as it is.
pub fn pad(out: &mut Vec<u8>, start: usize, padding: u8) {
    if let (1.., Some(first)) = (padding, out.get_mut(start)) {
        *first |= 0x20;
        out.resize(out.len() + usize::from(padding) - 1, 0);
        out.push(padding);
    }
}

/// Leaves room for profile and length, and says where the elements begin.
fn begin_extensions(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 4]);
    out.len()
}

/// Ids over 14, empty and long elements have no one-byte form (RFC 8285 section 4.2).
fn needs_two_byte(id: u8, data: &[u8]) -> bool {
    id > 14 || data.is_empty() || data.len() > 16
}

/// `data` has at most 255 bytes; in the one-byte form 1 to 16, written as 0 to 15.
fn write_element(out: &mut Vec<u8>, two_byte: bool, id: u8, data: &[u8]) {
    let len = data.len() as u8;
    if two_byte {
        out.extend_from_slice(&[id, len]);
    } else {
        out.push((id << 4) | len.wrapping_sub(1) & 0x0f);
    }
    out.extend_from_slice(data);
}

/// Fills the block that begins at `block` to whole words, and writes what it is before it.
fn end_extensions(out: &mut Vec<u8>, block: usize, two_byte: bool) {
    let words = (out.len() - block).div_ceil(4);
    out.resize(block + words * 4, 0);
    let profile = if two_byte { TWO_BYTE } else { ONE_BYTE };
    if let Some(head) = out.get_mut(block - 4..block) {
        head[..2].copy_from_slice(&profile.to_be_bytes());
        head[2..].copy_from_slice(&(words as u16).to_be_bytes());
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

        let view = HeaderView::parse(&packet).unwrap();
        let passed = PassedOn::read(view.elements(), &source_map);
        let mid = Mid::from_bytes(b"ours").unwrap();
        let mut packet = vec![];
        write_copied_header(
            &mut packet,
            &fields(),
            &passed,
            &destination_map,
            &mid,
            &OwnWords::default(),
        );
        let view = HeaderView::parse(&packet).unwrap();
        assert_eq!(
            view.extensions(&destination_map),
            crate::rtp::Extensions {
                mid: Mid::from_bytes(b"ours").ok(),
                audio_level: Some(crate::rtp::AudioLevel {
                    voice: true,
                    level: 5
                }),
                dependency_descriptor: Some(&descriptor),
                ..Default::default()
            }
        );
        assert_eq!(view.elements().count(), 3);

        let nothing = ExtensionMap::default();
        let mut packet = vec![];
        let own = OwnWords {
            transport_cc: Some(1),
            frame_number: Some(2),
        };
        write_copied_header(&mut packet, &fields(), &passed, &nothing, &mid, &own);
        assert_eq!(packet.len(), 12);
        assert_eq!(packet[0], 0x80);
    }

    #[test]
    fn a_copy_says_its_own_transport_number_and_frame_number() {
        let mut map = ExtensionMap::default();
        map.insert(3, Extension::TransportCc);
        map.insert(4, Extension::Mid);
        map.insert(12, Extension::DependencyDescriptor);
        map.insert(5, Extension::PlayoutDelay);
        let mid = Mid::from_bytes(b"7").unwrap();
        let own = OwnWords {
            transport_cc: Some(0x1234),
            frame_number: Some(0xabcd),
        };
        // Only the two bytes change, in either form; a descriptor that is cut short stays as it is.
        let table: [(&[u8], &[u8]); 4] = [
            (&[0xc1, 0, 1], &[0xc1, 0xab, 0xcd]),
            (&[0xc1, 0xff, 0xff, 0x80, 9], &[0xc1, 0xab, 0xcd, 0x80, 9]),
            (
                &[7; 20],
                &[
                    7, 0xab, 0xcd, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
                ],
            ),
            (&[0xc1, 5], &[0xc1, 5]),
        ];
        for (descriptor, expected) in table {
            let mut buffer = ExtensionBuffer::default();
            buffer.push(5, &[1, 2, 3]);
            buffer.push(12, descriptor);
            buffer.push(3, &[9, 9]);
            let passed = PassedOn::read(Elements::new(TWO_BYTE, &buffer.bytes[..buffer.len]), &map);
            let mut packet = vec![];
            write_copied_header(&mut packet, &fields(), &passed, &map, &mid, &own);
            let view = HeaderView::parse(&packet).unwrap();
            let read: Vec<_> = view.elements().map(|e| (e.id, e.data.to_vec())).collect();
            assert_eq!(
                read,
                [
                    (4, b"7".to_vec()),
                    (3, vec![0x12, 0x34]),
                    (5, vec![1, 2, 3]),
                    (12, expected.to_vec()),
                ]
            );
        }
    }

    #[test]
    fn padding_is_counted_in_its_last_byte_and_no_part_of_the_payload() {
        for padding in [0, 1, 2, 64, 255] {
            let mut packet = vec![9, 9];
            write_header(&mut packet, &fields(), &ExtensionBuffer::default());
            packet.extend_from_slice(b"payload");
            pad(&mut packet, 2, padding);
            let view = HeaderView::parse(&packet[2..]).unwrap();
            assert_eq!(view.padding_len(), Ok(usize::from(padding)));
            assert_eq!(view.payload().unwrap(), b"payload");
            assert_eq!(packet.len(), 2 + 12 + 7 + usize::from(padding));
        }
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
