//! Header extension elements as they lie in a packet (RFC 8285), and what ours of them mean.

use crate::rtp::{Extension, ExtensionMap, LayersAllocation, Mid, Rid};

/// The profile of the one-byte form (RFC 8285 section 4.2).
pub(crate) const ONE_BYTE: u16 = 0xbede;
/// The profile of the two-byte form, whose low four bits are free (RFC 8285 section 4.3).
pub(crate) const TWO_BYTE: u16 = 0x1000;

/// One element of the extension block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The negotiated id, never 0.
    pub id: u8,
    /// Up to 255 bytes.
    pub data: &'a [u8],
}

/// The elements of an extension block. Ends at the first malformed one: what came before counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elements<'a> {
    two_byte: bool,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(crate) fn new(profile: u16, block: &'a [u8]) -> Self {
        let two_byte = profile & 0xfff0 == TWO_BYTE;
        let known = two_byte || profile == ONE_BYTE;
        Self {
            two_byte,
            rest: if known { block } else { &[] },
        }
    }

    /// The profile and the bytes that are left, from which [`Elements::new`] makes the same again.
    pub(crate) fn block(&self) -> (u16, &'a [u8]) {
        let profile = if self.two_byte { TWO_BYTE } else { ONE_BYTE };
        (profile, self.rest)
    }

    /// The extensions that `map` names, in one pass. Of two of one kind the first counts.
    pub fn read(self, map: &ExtensionMap) -> Extensions<'a> {
        let mut extensions = Extensions::default();
        for Element { id, data } in self {
            if let Some(extension) = map.extension(id) {
                extensions.set(extension, data);
            }
        }
        extensions
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        // Whatever returns early below ends the iteration for good.
        let mut rest = std::mem::take(&mut self.rest);
        while let [0, after @ ..] = rest {
            rest = after;
        }
        let (id, len, body) = if self.two_byte {
            let [id, len, body @ ..] = rest else {
                return None;
            };
            (*id, usize::from(*len), body)
        } else {
            let [head, body @ ..] = rest else {
                return None;
            };
            (head >> 4, usize::from(head & 0x0f) + 1, body)
        };
        // In the one-byte form both 15 and a 0 with a length end the block (RFC 8285 section 4.2).
        if !self.two_byte && (id == 15 || id == 0) {
            return None;
        }
        let data = body.get(..len)?;
        self.rest = body.get(len..)?;
        Some(Element { id, data })
    }
}

/// How loud a packet of audio is (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// The sender takes it for speech.
    pub voice: bool,
    /// In -dBov: 0 is the loudest, 127 silence.
    pub level: u8,
}

/// What the header extensions of one packet say. An extension of the wrong length is as good as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    /// The m-line.
    pub mid: Option<Mid>,
    /// The layer.
    pub rid: Option<Rid>,
    /// The layer that this retransmission belongs to.
    pub repaired_rid: Option<Rid>,
    /// The number of the packet on its transport.
    pub transport_cc: Option<u16>,
    /// When it was sent, in 24 bits of 6.18 fixed-point seconds.
    pub abs_send_time: Option<u32>,
    /// How loud it is.
    pub audio_level: Option<AudioLevel>,
    /// The raw byte: camera, flip and rotation (3GPP TS 26.114 section 7.4.5).
    pub video_orientation: Option<u8>,
    /// The raw three bytes: least and most delay, 12 bits each, in 10 ms.
    pub playout_delay: Option<[u8; 3]>,
    /// The raw descriptor.
    pub dependency_descriptor: Option<&'a [u8]>,
    /// The raw 8 or 16 bytes.
    pub abs_capture_time: Option<&'a [u8]>,
    /// The raw 4 or 28 bytes.
    pub color_space: Option<&'a [u8]>,
    /// Which encodings are sent.
    pub layers_allocation: Option<LayersAllocation>,
}

impl<'a> Extensions<'a> {
    fn set(&mut self, extension: Extension, data: &'a [u8]) {
        match (extension, data) {
            (Extension::Mid, _) => keep(&mut self.mid, Mid::from_bytes(data).ok()),
            (Extension::Rid, _) => keep(&mut self.rid, Rid::from_bytes(data).ok()),
            (Extension::RepairedRid, _) => {
                keep(&mut self.repaired_rid, Rid::from_bytes(data).ok());
            }
            // The second version appends a feedback request, which senders of ours never need.
            (Extension::TransportCc, [a, b] | [a, b, _, _]) => {
                keep(&mut self.transport_cc, Some(u16::from_be_bytes([*a, *b])));
            }
            (Extension::AbsSendTime, [a, b, c]) => {
                keep(
                    &mut self.abs_send_time,
                    Some(u32::from_be_bytes([0, *a, *b, *c])),
                );
            }
            // One byte in the one-byte form; the two-byte form may pad it with a second.
            (Extension::AudioLevel, [byte] | [byte, _]) => {
                let level = AudioLevel {
                    voice: byte & 0x80 != 0,
                    level: byte & 0x7f,
                };
                keep(&mut self.audio_level, Some(level));
            }
            (Extension::VideoOrientation, [byte]) => {
                keep(&mut self.video_orientation, Some(*byte));
            }
            (Extension::PlayoutDelay, [a, b, c]) => {
                keep(&mut self.playout_delay, Some([*a, *b, *c]));
            }
            (Extension::DependencyDescriptor, [_, _, _, ..]) => {
                keep(&mut self.dependency_descriptor, Some(data));
            }
            (Extension::AbsCaptureTime, _) if matches!(data.len(), 8 | 16) => {
                keep(&mut self.abs_capture_time, Some(data));
            }
            (Extension::ColorSpace, _) if matches!(data.len(), 4 | 28) => {
                keep(&mut self.color_space, Some(data));
            }
            (Extension::LayersAllocation, _) => {
                keep(&mut self.layers_allocation, LayersAllocation::parse(data));
            }
            _ => {}
        }
    }
}

/// Of two extensions of one kind the first counts.
fn keep<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(profile: u16, block: &[u8]) -> Vec<(u8, Vec<u8>)> {
        Elements::new(profile, block)
            .map(|e| (e.id, e.data.to_vec()))
            .collect()
    }

    #[test]
    fn both_forms_are_read_and_stop_at_malformed_data() {
        type Row<'a> = (u16, &'a [u8], &'a [(u8, &'a [u8])]);
        let table: &[Row<'_>] = &[
            (ONE_BYTE, &[], &[]),
            // Padding before, between and after.
            (
                ONE_BYTE,
                &[0, 0x10, 0xa1, 0, 0x21, 0xb1, 0xb2, 0],
                &[(1, &[0xa1]), (2, &[0xb1, 0xb2])],
            ),
            // 15 ends the block, and so does 0 with a length.
            (
                ONE_BYTE,
                &[0x10, 0xa1, 0xf0, 0xff, 0x20, 0xb1],
                &[(1, &[0xa1])],
            ),
            (
                ONE_BYTE,
                &[0x10, 0xa1, 0x01, 0xff, 0x20, 0xb1],
                &[(1, &[0xa1])],
            ),
            // An element longer than the block.
            (ONE_BYTE, &[0x10, 0xa1, 0x2f, 0xb1], &[(1, &[0xa1])]),
            // The two-byte form, with its free bits set, has ids over 14 and empty elements.
            (
                TWO_BYTE | 7,
                &[15, 0, 200, 2, 0xc1, 0xc2, 0, 1, 1, 0xa1],
                &[(15, &[]), (200, &[0xc1, 0xc2]), (1, &[0xa1])],
            ),
            (TWO_BYTE, &[1, 1, 0xa1, 2, 3, 0xb1], &[(1, &[0xa1])]),
            (TWO_BYTE, &[1, 1, 0xa1, 2], &[(1, &[0xa1])]),
            // Another profile carries nothing for us.
            (0x1234, &[0x10, 0xa1], &[]),
        ];
        for (profile, block, expected) in table {
            let expected: Vec<_> = expected.iter().map(|(id, d)| (*id, d.to_vec())).collect();
            assert_eq!(
                elements(*profile, block),
                expected,
                "{profile:x} {block:02x?}"
            );
        }
    }

    #[test]
    fn values_are_read_and_wrong_lengths_are_absent() {
        let descriptor = [0x80, 0, 1, 0x80];
        let mut read = Extensions::default();
        for (extension, data) in [
            (Extension::Mid, &b"0"[..]),
            (Extension::Mid, &b"1"[..]),
            (Extension::Rid, &b"hi"[..]),
            (Extension::RepairedRid, &b"not a token"[..]),
            (Extension::TransportCc, &[1, 2][..]),
            (Extension::AbsSendTime, &[1, 2, 3][..]),
            (Extension::AudioLevel, &[0x80 | 30][..]),
            (Extension::VideoOrientation, &[1, 2][..]),
            (Extension::PlayoutDelay, &[0, 0, 10][..]),
            (Extension::DependencyDescriptor, &descriptor[..]),
            (Extension::AbsCaptureTime, &[0; 7][..]),
            (Extension::ColorSpace, &[0; 4][..]),
            (Extension::LayersAllocation, &[0x21][..]),
        ] {
            read.set(extension, data);
        }
        assert_eq!(
            read,
            Extensions {
                mid: Mid::from_bytes(b"0").ok(),
                rid: Rid::from_bytes(b"hi").ok(),
                repaired_rid: None,
                transport_cc: Some(0x0102),
                abs_send_time: Some(0x01_0203),
                audio_level: Some(AudioLevel {
                    voice: true,
                    level: 30
                }),
                video_orientation: None,
                playout_delay: Some([0, 0, 10]),
                dependency_descriptor: Some(&descriptor),
                abs_capture_time: None,
                color_space: Some(&[0; 4]),
                layers_allocation: LayersAllocation::parse(&[0x21]),
            }
        );
    }
}
