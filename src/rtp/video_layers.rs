//! The video layers allocation extension: what a publisher spends on each of its layers, and how large they are.
//!
//! Chromium sends it beside its media, to the server alone. The format is that of version
//! 00 in WebRTC's documents (`docs/native-code/rtp-hdrext/video-layers-allocation00`).

/// RTP streams of one source at most: the encodings of a simulcast.
pub const MAX_STREAMS: usize = 4;
/// Spatial layers of one stream at most.
pub const MAX_SPATIAL_LAYERS: usize = 4;
/// Temporal layers of one spatial layer at most.
pub const MAX_TEMPORAL_LAYERS: usize = 4;

/// More is not believed: a thousand Mbit/s.
const MAX_KBPS: u32 = 1_000_000;
/// Width and height less one, 16 bits each, and the frame rate.
const SIZE_LEN: usize = 5;

/// How large the pictures of a layer are, and how many come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureSize {
    /// In pixels, 1 to 65,535.
    pub width: u16,
    /// In pixels, 1 to 65,535.
    pub height: u16,
    /// The greatest number of frames a second, 0 to 255.
    pub fps: u8,
}

/// One spatial layer of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpatialAllocation {
    /// How many temporal layers it has, 1 to 4.
    pub temporal_layers: u8,
    /// What a receiver of this spatial layer needs in kbit/s, by the highest temporal layer it gets. All that it
    /// depends on is counted: lower temporal layers, and in SVC lower spatial ones. 0 from `temporal_layers` on.
    pub kbps: [u32; MAX_TEMPORAL_LAYERS],
    /// Where the publisher says it.
    pub size: Option<PictureSize>,
}

/// What a publisher spends on the layers that it sends now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoLayersAllocation {
    /// Which of the streams this was sent on, 0 to 3.
    pub stream: u8,
    /// By stream, in the order of the publisher's encodings, and by spatial layer. Absent ones are not sent now.
    pub layers: [[Option<SpatialAllocation>; MAX_SPATIAL_LAYERS]; MAX_STREAMS],
}

impl VideoLayersAllocation {
    /// Reads the data of the extension. `None` where they do not keep to the format.
    pub fn parse(data: &[u8]) -> Option<Self> {
        if data == [0] {
            // Nothing is sent now.
            return Some(Self::default());
        }
        let (&head, mut rest) = data.split_first()?;
        let mut this = Self {
            stream: head >> 6,
            ..Self::default()
        };
        let streams = usize::from(head >> 4 & 0x03) + 1;
        let masks = read_masks(&mut rest, head & 0x0f, streams)?;
        for (layers, mask) in this.layers.iter_mut().zip(masks).take(streams) {
            for (spatial, layer) in layers.iter_mut().enumerate() {
                *layer = (mask & 1 << spatial != 0).then(SpatialAllocation::default);
            }
        }
        this.read_temporal_layers(&mut rest)?;
        for layer in this.active() {
            for kbps in layer.kbps.iter_mut().take(layer.temporal_layers.into()) {
                *kbps = read_leb128(&mut rest).filter(|kbps| *kbps <= MAX_KBPS)?;
            }
        }
        this.read_sizes(rest)?;
        Some(this)
    }

    /// The layers that are sent, by stream and then spatial layer.
    fn active(&mut self) -> impl Iterator<Item = &mut SpatialAllocation> {
        self.layers.iter_mut().flatten().flatten()
    }

    /// Two bits for each layer that is sent, less one, filled to whole bytes.
    fn read_temporal_layers(&mut self, rest: &mut &[u8]) -> Option<()> {
        let count = self.active().count();
        let (counts, after) = rest.split_at_checked(count.div_ceil(4))?;
        *rest = after;
        for (index, layer) in self.active().enumerate() {
            let shift = 6 - 2 * (index % 4);
            layer.temporal_layers = (counts.get(index / 4)? >> shift & 0x03) + 1;
        }
        Some(())
    }

    /// They are there for all layers or for none.
    fn read_sizes(&mut self, rest: &[u8]) -> Option<()> {
        if rest.is_empty() {
            return Some(());
        }
        let (sizes, []) = rest.as_chunks::<SIZE_LEN>() else {
            return None;
        };
        if sizes.len() != self.active().count() {
            return None;
        }
        for (layer, &[a, b, c, d, fps]) in self.active().zip(sizes) {
            layer.size = Some(PictureSize {
                width: u16::from_be_bytes([a, b]).saturating_add(1),
                height: u16::from_be_bytes([c, d]).saturating_add(1),
                fps,
            });
        }
        Some(())
    }
}

/// Which spatial layers each stream has: `common` for all of them, or else four bits for each, in whole bytes.
fn read_masks(rest: &mut &[u8], common: u8, streams: usize) -> Option<[u8; MAX_STREAMS]> {
    if common != 0 {
        return Some([common; MAX_STREAMS]);
    }
    let (bytes, after) = rest.split_at_checked(streams.div_ceil(2))?;
    *rest = after;
    let mut masks = [0; MAX_STREAMS];
    for (pair, byte) in masks.chunks_mut(2).zip(bytes) {
        pair.copy_from_slice(&[byte >> 4, byte & 0x0f]);
    }
    Some(masks)
}

/// Seven bits a byte, the lowest first; the top bit says that more come. Four bytes hold all that is believed.
fn read_leb128(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for shift in (0..28).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layer(kbps: &[u32], size: Option<(u16, u16, u8)>) -> SpatialAllocation {
        let mut this = SpatialAllocation {
            temporal_layers: kbps.len() as u8,
            size: size.map(|(width, height, fps)| PictureSize { width, height, fps }),
            ..SpatialAllocation::default()
        };
        this.kbps[..kbps.len()].copy_from_slice(kbps);
        this
    }

    #[test]
    fn a_simulcast_of_three_with_sizes() {
        // Sent on the third stream; each has one spatial layer, of 1, 2 and 2 temporal ones.
        let mut data = vec![0b1010_0001, 0b0001_0100];
        data.extend([100, 0xac, 0x02, 0xf4, 0x03, 0xe8, 0x07, 0xc4, 0x13]);
        data.extend([0, 159, 0, 89, 15]);
        data.extend([1, 0x3f, 0, 179, 30]);
        data.extend([4, 0xff, 2, 0xcf, 30]);
        let read = VideoLayersAllocation::parse(&data).unwrap();
        let mut expected = VideoLayersAllocation {
            stream: 2,
            ..VideoLayersAllocation::default()
        };
        expected.layers[0][0] = Some(layer(&[100], Some((160, 90, 15))));
        expected.layers[1][0] = Some(layer(&[300, 500], Some((320, 180, 30))));
        expected.layers[2][0] = Some(layer(&[1_000, 2_500], Some((1_280, 720, 30))));
        assert_eq!(read, expected);
        // Bytes too many, and too few.
        assert_eq!(
            VideoLayersAllocation::parse(&[&data[..], &[0]].concat()),
            None
        );
        assert_eq!(VideoLayersAllocation::parse(&data[..data.len() - 1]), None);
    }

    #[test]
    fn nothing_sent_is_a_single_zero() {
        let empty = Some(VideoLayersAllocation::default());
        assert_eq!(VideoLayersAllocation::parse(&[0]), empty);
        assert_eq!(VideoLayersAllocation::parse(&[]), None);
        assert_eq!(VideoLayersAllocation::parse(&[0x40]), None);
    }

    #[test]
    fn a_bitrate_beyond_belief_is_an_error() {
        let with = |kbps: &[u8]| VideoLayersAllocation::parse(&[&[0x01, 0x00], kbps].concat());
        let most = with(&[0xc0, 0x84, 0x3d]).unwrap();
        assert_eq!(most.layers[0][0], Some(layer(&[1_000_000], None)));
        assert_eq!(with(&[0xc1, 0x84, 0x3d]), None);
        assert_eq!(with(&[0xff, 0xff, 0xff, 0xff, 0x7f]), None);
        assert_eq!(with(&[0x80]), None);
    }

    /// Any allocation whose last stream is not empty, and with a layer of some stream at least.
    fn allocations() -> impl Strategy<Value = VideoLayersAllocation> {
        let spatial = (
            proptest::collection::vec(0..=MAX_KBPS, 1..=4),
            (1u16.., 1u16.., any::<u8>()),
        );
        let layers = proptest::collection::vec(proptest::option::of(spatial), 16);
        (layers, 0u8..4, any::<bool>(), 1usize..=4).prop_filter_map(
            "the last stream has a layer",
            |(layers, stream, sizes, streams)| {
                let mut this = VideoLayersAllocation {
                    stream,
                    ..VideoLayersAllocation::default()
                };
                for (index, spatial) in layers.iter().enumerate().take(streams * 4) {
                    this.layers[index / 4][index % 4] = spatial
                        .as_ref()
                        .map(|(kbps, size)| layer(kbps, sizes.then_some(*size)));
                }
                this.layers[streams - 1]
                    .iter()
                    .any(Option::is_some)
                    .then_some(this)
            },
        )
    }

    fn write(this: &VideoLayersAllocation) -> Vec<u8> {
        let streams = this
            .layers
            .iter()
            .rposition(|layers| layers.iter().any(Option::is_some))
            .unwrap()
            + 1;
        let masks: Vec<u8> = this.layers[..streams]
            .iter()
            .map(|layers| {
                (0..4)
                    .filter(|&s| layers[s].is_some())
                    .map(|s| 1 << s)
                    .sum()
            })
            .collect();
        let active: Vec<_> = this.layers.iter().flatten().flatten().collect();
        let mut out = vec![this.stream << 6 | (streams as u8 - 1) << 4];
        if masks.iter().all(|m| *m == masks[0]) {
            out[0] |= masks[0];
        } else {
            for pair in masks.chunks(2) {
                out.push(pair[0] << 4 | pair.get(1).unwrap_or(&0));
            }
        }
        for four in active.chunks(4) {
            let mut byte = 0;
            for (index, layer) in four.iter().enumerate() {
                byte |= (layer.temporal_layers - 1) << (6 - 2 * index);
            }
            out.push(byte);
        }
        for layer in &active {
            for mut kbps in layer.kbps.into_iter().take(layer.temporal_layers.into()) {
                while kbps >= 0x80 {
                    out.push(0x80 | kbps as u8);
                    kbps >>= 7;
                }
                out.push(kbps as u8);
            }
        }
        for size in active.iter().filter_map(|layer| layer.size) {
            out.extend((size.width - 1).to_be_bytes());
            out.extend((size.height - 1).to_be_bytes());
            out.push(size.fps);
        }
        out
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(allocation in allocations()) {
            prop_assert_eq!(VideoLayersAllocation::parse(&write(&allocation)), Some(allocation));
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = VideoLayersAllocation::parse(&data);
        }
    }
}
