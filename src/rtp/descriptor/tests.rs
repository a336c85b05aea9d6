//! Structures of the specification's section A.10.2 and of browsers, written bit by bit.

use proptest::prelude::*;

use super::*;
use crate::rtp::Codec;
use crate::rtp::payload::frame_size;

/// Writes what [`Bits`] reads.
#[derive(Default)]
struct BitWriter(Vec<bool>);

impl BitWriter {
    fn fixed(&mut self, value: u32, count: u32) {
        self.0
            .extend((0..count).rev().map(|bit| value >> bit & 1 != 0));
    }

    /// ns(n) of section A.8.2.
    fn below(&mut self, value: u32, bound: u32) {
        let width = u32::BITS - bound.leading_zeros();
        let short = (1 << width) - bound;
        if value < short {
            self.fixed(value, width - 1);
        } else {
            self.fixed(value + short, width);
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            let set = bits.iter().enumerate().filter(|(_, bit)| **bit);
            set.map(|(index, _)| 0x80 >> index).sum()
        };
        self.0.chunks(8).map(byte).collect()
    }
}

#[derive(Clone, Debug)]
struct Kind {
    spatial: u8,
    temporal: u8,
    fdiffs: Vec<u8>,
    chains: Vec<u8>,
    indications: Vec<u8>,
}

/// A template, with the letters of table A.1 for the decode targets.
fn kind(layer: (u8, u8), fdiffs: &[u8], chains: &[u8], indications: &str) -> Kind {
    Kind {
        spatial: layer.0,
        temporal: layer.1,
        fdiffs: fdiffs.to_vec(),
        chains: chains.to_vec(),
        indications: letters(indications),
    }
}

fn letters(indications: &str) -> Vec<u8> {
    let value = |letter| "-DSR".find(letter).unwrap() as u8;
    indications.chars().map(value).collect()
}

#[derive(Clone, Debug, Default)]
struct Layout {
    id_offset: u8,
    kinds: Vec<Kind>,
    protected_by: Vec<u8>,
    sizes: Vec<(u16, u16)>,
}

impl Layout {
    fn targets(&self) -> usize {
        self.kinds[0].indications.len()
    }

    fn write(&self, bits: &mut BitWriter) {
        bits.fixed(self.id_offset.into(), 6);
        bits.fixed(self.targets() as u32 - 1, 5);
        for pair in self.kinds.windows(2) {
            let next = match (pair[1].spatial > pair[0].spatial, pair[1].temporal) {
                (true, _) => 2,
                (false, temporal) if temporal > pair[0].temporal => 1,
                _ => 0,
            };
            bits.fixed(next, 2);
        }
        bits.fixed(3, 2);
        for indication in self.kinds.iter().flat_map(|k| &k.indications) {
            bits.fixed((*indication).into(), 2);
        }
        for kind in &self.kinds {
            for fdiff in &kind.fdiffs {
                bits.fixed(0x10 | u32::from(fdiff - 1), 5);
            }
            bits.fixed(0, 1);
        }
        let chains = self.kinds[0].chains.len() as u32;
        bits.below(chains, self.targets() as u32 + 1);
        if chains > 0 {
            for chain in &self.protected_by {
                bits.below((*chain).into(), chains);
            }
            for fdiff in self.kinds.iter().flat_map(|k| &k.chains) {
                bits.fixed((*fdiff).into(), 4);
            }
        }
        bits.fixed((!self.sizes.is_empty()).into(), 1);
        for (width, height) in &self.sizes {
            bits.fixed((width - 1).into(), 16);
            bits.fixed((height - 1).into(), 16);
        }
    }
}

/// A packet's descriptor.
#[derive(Clone, Debug, Default)]
struct Descriptor {
    start: bool,
    end: bool,
    /// Its index among the kinds of `layout`.
    kind: usize,
    number: u16,
    brings_structure: bool,
    active: Option<u32>,
    indications: Option<Vec<u8>>,
    fdiffs: Option<Vec<u16>>,
    chains: Option<Vec<u8>>,
}

impl Descriptor {
    /// The only packet of a frame.
    fn frame(kind: usize, number: u16) -> Self {
        Self {
            start: true,
            end: true,
            kind,
            number,
            ..Self::default()
        }
    }

    fn key(number: u16) -> Self {
        Self {
            brings_structure: true,
            ..Self::frame(0, number)
        }
    }

    fn write(&self, layout: &Layout) -> Vec<u8> {
        let mut bits = BitWriter::default();
        bits.fixed(self.start.into(), 1);
        bits.fixed(self.end.into(), 1);
        bits.fixed((u32::from(layout.id_offset) + self.kind as u32) % 64, 6);
        bits.fixed(self.number.into(), 16);
        let flags = [
            self.brings_structure,
            self.active.is_some(),
            self.indications.is_some(),
            self.fdiffs.is_some(),
            self.chains.is_some(),
        ];
        if flags.contains(&true) {
            bits.0.extend(flags);
        }
        if self.brings_structure {
            layout.write(&mut bits);
        }
        if let Some(active) = self.active {
            bits.fixed(active, layout.targets() as u32);
        }
        for indication in self.indications.iter().flatten() {
            bits.fixed((*indication).into(), 2);
        }
        if let Some(fdiffs) = &self.fdiffs {
            for fdiff in fdiffs {
                let less = u32::from(fdiff - 1);
                let size = (u32::BITS - less.leading_zeros()).div_ceil(4).max(1);
                bits.fixed(size, 2);
                bits.fixed(less, 4 * size);
            }
            bits.fixed(0, 2);
        }
        for fdiff in self.chains.iter().flatten() {
            bits.fixed((*fdiff).into(), 8);
        }
        bits.into_bytes()
    }
}

/// One stream: its pictures have timestamps 3,000 ticks apart.
struct Stream {
    layout: Layout,
    reader: DescriptorReader,
}

impl Stream {
    fn new(layout: Layout) -> Self {
        Self {
            layout,
            reader: DescriptorReader::default(),
        }
    }

    fn read(&mut self, picture: u32, descriptor: &Descriptor) -> Option<FrameTag> {
        let bytes = descriptor.write(&self.layout);
        let summary = self.reader.read(&bytes, picture * 3_000)?;
        assert_eq!(summary.frame_number, descriptor.number);
        assert_eq!(summary.starts_sequence, descriptor.brings_structure);
        assert_eq!(summary.tag.frame_start, descriptor.start);
        assert_eq!(summary.tag.frame_end, descriptor.end);
        Some(summary.tag)
    }

    /// What is said of a frame: its layer, and K for a keyframe, T and S for switches, D for discardable.
    fn say(&mut self, picture: u32, descriptor: &Descriptor) -> String {
        let Some(tag) = self.read(picture, descriptor) else {
            return "none".into();
        };
        let letters = [
            ('K', tag.keyframe),
            ('T', tag.temporal_switch),
            ('S', tag.spatial_switch),
            ('D', tag.discardable),
        ];
        let letters = letters.iter().filter(|(_, is)| *is);
        let letters: String = letters.map(|(letter, _)| letter).collect();
        format!("{}{} {letters}", tag.spatial, tag.temporal)
    }
}

/// Section A.10.2.1.
fn l1t3() -> Layout {
    Layout {
        id_offset: 62,
        kinds: vec![
            kind((0, 0), &[], &[0], "SSS"),
            kind((0, 0), &[4], &[4], "SSS"),
            kind((0, 1), &[2], &[2], "SD-"),
            kind((0, 2), &[1], &[1], "D--"),
            kind((0, 2), &[1], &[3], "D--"),
        ],
        protected_by: vec![0, 0, 0],
        sizes: vec![(1_280, 720)],
    }
}

/// Section A.10.2.2, of which the second templates of the highest temporal layer are left out.
fn l3t3() -> Layout {
    Layout {
        id_offset: 0,
        kinds: vec![
            kind((0, 0), &[], &[0, 0, 0], "SSSSSSSSS"),
            kind((0, 0), &[12], &[12, 11, 10], "RRRRRRSSS"),
            kind((0, 1), &[6], &[6, 5, 4], "RR-RR-SD-"),
            kind((0, 2), &[3], &[3, 2, 1], "R--R--D--"),
            kind((1, 0), &[1], &[1, 1, 1], "SSSSSS---"),
            kind((1, 0), &[12, 1], &[1, 1, 1], "RRRSSS---"),
            kind((1, 1), &[6, 1], &[7, 6, 5], "RR-SD----"),
            kind((1, 2), &[3, 1], &[4, 3, 2], "R--D-----"),
            kind((2, 0), &[1], &[2, 1, 1], "SSS------"),
            kind((2, 0), &[12, 1], &[2, 1, 1], "SSS------"),
            kind((2, 1), &[6, 1], &[8, 7, 6], "SD-------"),
            kind((2, 2), &[3, 1], &[5, 4, 3], "D--------"),
        ],
        protected_by: vec![2, 2, 2, 1, 1, 1, 0, 0, 0],
        sizes: vec![(320, 180), (640, 360), (1_280, 720)],
    }
}

/// The spatial layers depend on each other in keyframes alone.
fn l3t3_key() -> Layout {
    Layout {
        id_offset: 40,
        kinds: vec![
            kind((0, 0), &[], &[0, 0, 0], "SSSSSSSSS"),
            kind((0, 0), &[12], &[12, 11, 10], "------SSS"),
            kind((0, 1), &[6], &[6, 5, 4], "------SD-"),
            kind((0, 2), &[3], &[3, 2, 1], "------D--"),
            kind((1, 0), &[1], &[1, 1, 1], "SSSSSS---"),
            kind((1, 0), &[12], &[1, 12, 11], "---SSS---"),
            kind((1, 1), &[6], &[7, 6, 5], "---SD----"),
            kind((1, 2), &[3], &[4, 3, 2], "---D-----"),
            kind((2, 0), &[1], &[2, 1, 1], "SSS------"),
            kind((2, 0), &[12], &[2, 1, 12], "SSS------"),
            kind((2, 1), &[6], &[8, 7, 6], "SD-------"),
            kind((2, 2), &[3], &[5, 4, 3], "D--------"),
        ],
        protected_by: vec![2, 2, 2, 1, 1, 1, 0, 0, 0],
        sizes: vec![],
    }
}

/// Two encodings in one stream.
fn s2t1() -> Layout {
    Layout {
        id_offset: 10,
        kinds: vec![
            kind((0, 0), &[], &[0, 0], "S-"),
            kind((0, 0), &[2], &[2, 1], "S-"),
            kind((1, 0), &[], &[1, 0], "-S"),
            kind((1, 0), &[2], &[1, 2], "-S"),
        ],
        protected_by: vec![0, 1],
        sizes: vec![(640, 360), (1_280, 720)],
    }
}

fn l1t2() -> Layout {
    Layout {
        id_offset: 0,
        kinds: vec![
            kind((0, 0), &[], &[0], "SS"),
            kind((0, 0), &[2], &[2], "SS"),
            kind((0, 1), &[1], &[1], "-D"),
        ],
        protected_by: vec![0, 0],
        sizes: vec![],
    }
}

/// Plays kinds of frames from a keyframe at number 65,530 on, so many to a picture.
fn play(layout: Layout, per_picture: u32, kinds: &[usize], expected: &[&str]) {
    let mut stream = Stream::new(layout);
    let mut said = vec![];
    for (index, kind) in kinds.iter().enumerate() {
        let number = 65_530u16.wrapping_add(index as u16);
        let descriptor = Descriptor {
            brings_structure: index == 0,
            ..Descriptor::frame(*kind, number)
        };
        said.push(stream.say(index as u32 / per_picture, &descriptor));
    }
    assert_eq!(said, expected);
}

#[test]
fn one_spatial_layer_with_three_temporal_ones() {
    play(
        l1t3(),
        1,
        &[0, 3, 2, 4, 1, 3, 2, 4],
        &[
            "00 KTS", "02 TD", "01 T", "02 TD", "00 ", "02 TD", "01 T", "02 TD",
        ],
    );
}

#[test]
fn three_spatial_layers_all_the_way() {
    let picture = [
        "02 T", "12 T", "22 TD", // Pictures of the other temporal layers.
        "01 T", "11 T", "21 T",
    ];
    let key = ["00 KTS", "10 KTS", "20 KTS"];
    // Though layers 1 and 2 carry switch indications, they depend on their own past.
    let lowest = ["00 ", "10 ", "20 "];
    play(
        l3t3(),
        3,
        &[0, 4, 8, 3, 7, 11, 2, 6, 10, 3, 7, 11, 1, 5, 9],
        &[&key[..], &picture, &picture[..3], &lowest].concat(),
    );
}

#[test]
fn three_spatial_layers_that_part_after_keyframes() {
    play(
        l3t3_key(),
        3,
        &[0, 4, 8, 3, 7, 11, 2, 6, 10, 3, 7, 11, 1, 5, 9],
        &[
            "00 KTS", "10 KTS", "20 KTS", "02 TD", "12 TD", "22 TD", "01 T", "11 T", "21 T",
            "02 TD", "12 TD", "22 TD", "00 ", "10 ", "20 ",
        ],
    );
}

#[test]
fn two_encodings_in_one_stream() {
    play(
        s2t1(),
        2,
        &[0, 2, 1, 3, 1, 3],
        &["00 KTS", "10 KTS", "00 ", "10 ", "00 ", "10 "],
    );
}

#[test]
fn custom_fields_take_the_place_of_the_templates() {
    let mut stream = Stream::new(l1t2());
    assert_eq!(stream.say(0, &Descriptor::key(5)), "00 KTS");
    assert_eq!(stream.say(1, &Descriptor::frame(2, 6)), "01 TD");
    // Depends on the frame before in its own layer, too.
    let with_fdiffs = |number, fdiffs: &[u16]| Descriptor {
        fdiffs: Some(fdiffs.to_vec()),
        ..Descriptor::frame(2, number)
    };
    assert_eq!(stream.say(2, &with_fdiffs(7, &[1, 2])), "01 D");
    assert_eq!(stream.say(3, &with_fdiffs(8, &[3])), "01 TD");
    // On frames that nobody knows.
    assert_eq!(stream.say(4, &with_fdiffs(9, &[300, 4])), "01 D");
    assert_eq!(stream.say(4, &with_fdiffs(9, &[4_096])), "01 D");
    // On nothing.
    assert_eq!(stream.say(5, &with_fdiffs(10, &[])), "01 TD");
    let needed = Descriptor {
        indications: Some(letters("-R")),
        chains: Some(vec![200]),
        fdiffs: Some(vec![6]),
        ..Descriptor::frame(2, 11)
    };
    assert_eq!(stream.say(6, &needed), "01 ");
    let switch = Descriptor {
        indications: Some(letters("-S")),
        ..needed
    };
    assert_eq!(stream.say(6, &switch), "01 T");
}

/// Section A.10.1.2: the indication may stand in the frame of the layer below, or in the upper one.
#[test]
fn one_may_go_up_where_a_refreshed_layer_says_so() {
    let layout = Layout {
        id_offset: 0,
        kinds: vec![
            kind((0, 0), &[], &[0, 0], "SS"),
            kind((0, 0), &[2], &[2, 1], "SR"),
            kind((1, 0), &[1], &[1, 1], "-S"),
            kind((1, 0), &[1, 2], &[1, 1], "-R"),
        ],
        protected_by: vec![0, 1],
        sizes: vec![],
    };
    for below in [true, false] {
        let mut stream = Stream::new(layout.clone());
        assert_eq!(stream.say(0, &Descriptor::key(101)), "00 KTS");
        assert_eq!(stream.say(0, &Descriptor::frame(2, 102)), "10 KTS");
        assert_eq!(stream.say(1, &Descriptor::frame(1, 103)), "00 ");
        assert_eq!(stream.say(1, &Descriptor::frame(3, 104)), "10 ");
        let lower = Descriptor {
            indications: below.then(|| letters("SS")),
            ..Descriptor::frame(1, 105)
        };
        assert_eq!(stream.say(2, &lower), "00 ");
        let upper = Descriptor {
            indications: below.then(|| letters("-R")),
            ..Descriptor::frame(2, 106)
        };
        let said = stream.say(2, &upper);
        assert!(said.contains('S') && !said.contains('K'), "{below} {said}");
        // The same without either indication, and depending on a picture before.
        let neither = Descriptor {
            indications: Some(letters("-R")),
            ..Descriptor::frame(2, 108)
        };
        assert_eq!(stream.say(3, &Descriptor::frame(1, 107)), "00 ");
        assert!(!stream.say(3, &neither).contains('S'));
        assert!(!stream.say(3, &Descriptor::frame(3, 108)).contains('S'));
    }
}

#[test]
fn what_is_lost_is_no_ground_to_go_up_from() {
    let mut stream = Stream::new(l1t3());
    assert_eq!(stream.say(0, &Descriptor::key(0)), "00 KTS");
    // Frame 2 did not come.
    assert_eq!(stream.say(3, &Descriptor::frame(4, 3)), "02 D");
    assert_eq!(stream.say(2, &Descriptor::frame(2, 2)), "01 T");
    assert_eq!(stream.say(3, &Descriptor::frame(4, 3)), "02 TD");
}

#[test]
fn all_packets_of_a_key_picture_are_told_and_the_structure_outlives_it() {
    let mut stream = Stream::new(l3t3());
    let first = Descriptor {
        end: false,
        ..Descriptor::key(7)
    };
    let last = Descriptor {
        start: false,
        ..Descriptor::frame(0, 7)
    };
    // Without the first packet nothing is known.
    assert_eq!(stream.say(0, &last), "none");
    assert_eq!(stream.say(0, &first), "00 KTS");
    assert_eq!(stream.say(0, &last), "00 KTS");
    assert_eq!(stream.say(0, &Descriptor::frame(4, 8)), "10 KTS");
    assert_eq!(stream.say(1, &Descriptor::frame(3, 10)), "02 T");
    // A template that does not exist, descriptors that are too long, and that are cut short.
    assert_eq!(stream.say(1, &Descriptor::frame(12, 11)), "none");
    let bytes = first.write(&stream.layout);
    let mut long = bytes.clone();
    long.resize(256, 0);
    assert_eq!(stream.reader.read(&long, 9), None);
    for len in 0..bytes.len() - 1 {
        let read = stream.reader.read(&bytes[..len], 9);
        // The mandatory fields alone are a descriptor.
        assert_eq!(read.is_some(), len == 3, "{len}");
    }
}

#[test]
fn targets_are_active_until_another_word() {
    let mut stream = Stream::new(l3t3());
    assert_eq!(stream.reader.active_targets(), 0);
    stream.read(0, &Descriptor::key(0)).unwrap();
    assert_eq!(stream.reader.active_targets(), 0x1ff);
    let with = |number, active| Descriptor {
        active: Some(active),
        ..Descriptor::frame(1, number)
    };
    stream.read(4, &with(12, 0x1f8)).unwrap();
    stream.read(8, &Descriptor::frame(1, 24)).unwrap();
    assert_eq!(stream.reader.active_targets(), 0x1f8);
    let structure = stream.reader.structure().unwrap();
    assert_eq!(structure.top_layer(0x1ff), Some((2, 2)));
    assert_eq!(structure.top_layer(0x1f8), Some((1, 2)));
    assert_eq!(structure.top_layer(0x180), Some((0, 1)));
    assert_eq!(structure.top_layer(0), None);
    // One that comes late undoes nothing.
    stream.read(2, &with(6, 0x1ff)).unwrap();
    assert_eq!(stream.reader.active_targets(), 0x1f8);
}

#[test]
fn a_late_keyframe_does_not_bring_back_its_structure() {
    let mut stream = Stream::new(l1t3());
    let old = Descriptor::key(100).write(&l1t2());
    assert!(stream.reader.read(&old, 0).is_some());
    assert_eq!(stream.say(1, &Descriptor::key(105)), "00 KTS");
    let late = stream.reader.read(&old, 0).unwrap();
    assert!(late.starts_sequence && late.tag.keyframe);
    assert_eq!(stream.say(3, &Descriptor::frame(2, 107)), "01 T");
    // A stream that begins anew has any number.
    assert!(
        stream
            .reader
            .read(&Descriptor::key(9).write(&l1t2()), 0)
            .is_some()
    );
    assert_eq!(stream.reader.structure().unwrap().template_count(), 3);
}

#[test]
fn sizes_are_told_for_each_spatial_layer() {
    let mut stream = Stream::new(l3t3());
    stream.read(0, &Descriptor::key(0)).unwrap();
    let codec = Codec::Av1 { profile: 0 };
    let sizes = frame_size(codec, &[], stream.reader.structure()).unwrap();
    assert_eq!(sizes.largest(), Some((1_280, 720)));
    assert_eq!(sizes.layer(0), Some((320, 180)));
    assert_eq!(sizes.layer(1), Some((640, 360)));
    assert_eq!(sizes.layer(3), None);
    let mut stream = Stream::new(l3t3_key());
    stream.read(0, &Descriptor::key(0)).unwrap();
    assert_eq!(frame_size(codec, &[], stream.reader.structure()), None);
}

/// Structures of any shape that 255 bytes can hold.
fn layouts() -> impl Strategy<Value = Layout> {
    let shape = (1usize..=32, 0usize..=4, 1usize..=16, 0u8..64, any::<bool>());
    shape.prop_flat_map(|(targets, chains, kinds, id_offset, sized)| {
        let chains = chains.min(targets);
        let kind = (
            0u8..3,
            proptest::collection::vec(1u8..=16, 0..4),
            proptest::collection::vec(0u8..16, chains),
            proptest::collection::vec(0u8..4, targets),
        );
        let protected_by = proptest::collection::vec(0..chains.max(1) as u8, targets);
        let kinds = proptest::collection::vec(kind, kinds);
        (kinds, protected_by).prop_map(move |(steps, protected_by)| {
            let (mut spatial, mut temporal) = (0, 0);
            let mut kinds = vec![];
            for (index, (step, fdiffs, chains, indications)) in steps.into_iter().enumerate() {
                match step {
                    1 if temporal < 7 && index > 0 => temporal += 1,
                    2 if spatial < 7 && index > 0 => (spatial, temporal) = (spatial + 1, 0),
                    _ => {}
                }
                kinds.push(Kind {
                    spatial,
                    temporal,
                    fdiffs,
                    chains,
                    indications,
                });
            }
            let size = |layer| (u16::from(layer) * 100 + 1, 65_535 - u16::from(layer));
            Layout {
                id_offset,
                kinds,
                protected_by: if chains == 0 { vec![] } else { protected_by },
                sizes: (0..=spatial).filter(|_| sized).map(size).collect(),
            }
        })
    })
}

fn indication(value: u8) -> Indication {
    [
        Indication::NotPresent,
        Indication::Discardable,
        Indication::Switch,
        Indication::Required,
    ][usize::from(value)]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        layout in layouts(),
        kinds in proptest::collection::vec(
            (any::<prop::sample::Index>(), any::<u16>(), any::<[bool; 6]>(),
             proptest::collection::vec(1u16..=4_096, 0..5), any::<u32>()), 1..20),
    ) {
        let mut stream = Stream::new(layout.clone());
        let tag = stream.read(0, &Descriptor::key(0)).unwrap();
        prop_assert!(tag.keyframe && tag.temporal_switch && tag.spatial_switch);

        let structure = stream.reader.structure().unwrap();
        prop_assert_eq!(structure.template_count(), layout.kinds.len());
        prop_assert_eq!(structure.targets().len(), layout.targets());
        prop_assert_eq!(usize::from(structure.chain_count()), layout.kinds[0].chains.len());
        for (index, kind) in layout.kinds.iter().enumerate() {
            prop_assert_eq!(structure.template_layer(index), Some((kind.spatial, kind.temporal)));
            prop_assert_eq!(structure.fdiffs(index), Some(&kind.fdiffs[..]));
            prop_assert_eq!(structure.chain_fdiffs(index), Some(&kind.chains[..]));
            for (target, value) in kind.indications.iter().enumerate() {
                prop_assert_eq!(structure.indication(index, target), Some(indication(*value)));
            }
        }
        for (target, layer) in structure.targets().iter().enumerate() {
            let present = layout.kinds.iter().filter(|k| k.indications[target] != 0);
            let spatial = present.clone().map(|k| k.spatial).max().unwrap_or(0);
            let temporal = present.map(|k| k.temporal).max().unwrap_or(0);
            prop_assert_eq!(*layer, (spatial, temporal));
            prop_assert_eq!(structure.protected_by(target), layout.protected_by.get(target).copied());
        }
        for (spatial, size) in layout.sizes.iter().enumerate() {
            prop_assert_eq!(structure.sizes().unwrap().layer(spatial as u8), Some(*size));
        }
        prop_assert_eq!(structure.sizes().is_some(), !layout.sizes.is_empty());

        for (index, number, [start, end, active, dtis, fdiffs, chains], own, mask) in kinds {
            let index = index.index(layout.kinds.len());
            let kind = &layout.kinds[index];
            let mask = mask & (u32::MAX >> (32 - layout.targets()));
            let descriptor = Descriptor {
                start,
                end,
                kind: index,
                number,
                brings_structure: false,
                active: active.then_some(mask),
                indications: dtis.then(|| kind.indications.iter().map(|v| 3 - v).collect()),
                fdiffs: fdiffs.then_some(own),
                chains: chains.then(|| kind.chains.clone()),
            };
            let before = stream.reader.active_targets();
            let tag = stream.read(1, &descriptor).unwrap();
            prop_assert_eq!((tag.spatial, tag.temporal), (kind.spatial, kind.temporal));
            let dtis = descriptor.indications.as_ref().unwrap_or(&kind.indications);
            let discardable = dtis.contains(&1) && dtis.iter().all(|v| *v < 2);
            prop_assert_eq!(tag.discardable, discardable);
            prop_assert!(!tag.keyframe);
            let after = stream.reader.active_targets();
            prop_assert!(after == before || active && after == mask);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        packets in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..256), any::<bool>(), any::<u32>()), 0..20),
    ) {
        let mut reader = DescriptorReader::default();
        for (mut bytes, structure, timestamp) in packets {
            if let Some(flags) = bytes.get_mut(3) {
                *flags |= u8::from(structure) << 7;
            }
            let before = reader.clone();
            let summary = reader.read(&bytes, timestamp);
            if summary.is_none() {
                prop_assert_eq!(before.structure(), reader.structure());
                prop_assert_eq!(before.active_targets(), reader.active_targets());
            }
        }
    }

    /// Bytes that begin as a structure does get further.
    #[test]
    fn damaged_structures_never_panic(
        layout in layouts(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        rest: [u8; 8],
    ) {
        let mut bytes = Descriptor::key(0).write(&layout);
        for (index, mask) in damage {
            let index = index.index(bytes.len());
            bytes[index] ^= mask;
        }
        let mut reader = DescriptorReader::default();
        let _ = reader.read(&bytes, 0);
        let _ = reader.read(&rest, 1);
        let _ = reader.read(&rest[..3], 1);
    }
}
