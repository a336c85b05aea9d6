//! RTP headers and header extensions: read, compared with what a second implementation reads, and written again for
//! somebody who numbers them in another way.

use crosspoint::rtp::{
    Extension, ExtensionBuffer, ExtensionMap, HeaderView, LayersAllocation, Mid, OwnWords,
    PassedOn, pad, write_copied_header, write_header,
};
use rtp::header::Header;
use shared::marshal::Unmarshal;

use super::input::Input;

/// What a forwarder passes on.
const PASSED_ON: [Extension; 6] = [
    Extension::AudioLevel,
    Extension::VideoOrientation,
    Extension::PlayoutDelay,
    Extension::DependencyDescriptor,
    Extension::AbsCaptureTime,
    Extension::ColorSpace,
];

/// Takes two maps of ids and a packet out of the input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (theirs, ours) = (map(&mut input), map(&mut input));
    let mid = Mid::from_bytes(input.bytes()).unwrap_or_else(|_| "0".parse().expect("a mid"));
    let own = OwnWords {
        transport_cc: Some(input.u16()),
        frame_number: Some(input.u16()).filter(|number| *number != 0),
    };
    let made = packet(&mut input);
    for packet in [made.as_slice(), input.rest()] {
        let Ok(view) = HeaderView::parse(packet) else {
            continue;
        };
        assert!(view.header_len() <= packet.len());
        assert_eq!(view.csrc().len() % 4, 0);
        if let Ok(payload) = view.payload() {
            let padding = view.padding_len().expect("with a payload");
            assert_eq!(view.header_len() + payload.len() + padding, packet.len());
        }
        assert_read_as_others_do(packet, &view);
        assert_copied(&view, &theirs, &ours, mid, &own);
        assert_written_again(&view);
        for element in view.elements() {
            if let Some(allocation) = LayersAllocation::parse(element.data) {
                assert!(allocation.stream < 4);
                assert!(!allocation.is_active(4) && !allocation.is_active(255));
            }
        }
    }
}

/// Ids for some of the extensions.
fn map(input: &mut Input<'_>) -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for _ in 0..input.u8() % 16 {
        let (id, extension) = (input.u8(), input.choose(&Extension::ALL));
        if map.insert(id, extension) {
            assert_eq!(map.id(extension), Some(id));
            assert_eq!(map.extension(id), Some(extension));
        }
    }
    for (id, extension) in map.iter() {
        assert_eq!(map.extension(id), Some(extension));
        assert_eq!(Extension::from_uri(extension.uri()), Some(extension));
    }
    map
}

/// A packet whose block of extensions is as long as it says.
fn packet(input: &mut Input<'_>) -> Vec<u8> {
    let first = 0x90 | input.u8() & 0x2f;
    let mut packet = vec![first, input.u8()];
    packet.extend(input.array::<10>());
    packet.resize(12 + 4 * usize::from(first & 0x0f), 7);
    let profile = match input.u8() % 4 {
        0 => input.u16(),
        1 | 2 => 0xbede,
        _ => 0x1000,
    };
    let mut block = input.bytes().to_vec();
    block.resize(block.len().next_multiple_of(4), 0);
    packet.extend(profile.to_be_bytes());
    packet.extend((block.len() as u16 / 4).to_be_bytes());
    packet.extend(block);
    packet.extend(input.bytes());
    packet
}

/// Where the supplier's reader reads it as well.
fn assert_read_as_others_do(packet: &[u8], view: &HeaderView<'_>) {
    let Ok(other) = Header::unmarshal(&mut &*packet) else {
        return;
    };
    let fields = view.fields();
    assert_eq!(other.marker, fields.marker);
    assert_eq!(other.payload_type, fields.payload_type);
    assert_eq!(other.sequence_number, fields.sequence);
    assert_eq!(other.timestamp, fields.timestamp);
    assert_eq!(other.ssrc, fields.ssrc);
    assert_eq!(other.padding, view.has_padding());
    let csrc = view.csrc().as_chunks::<4>().0;
    assert!(
        csrc.iter()
            .map(|csrc| u32::from_be_bytes(*csrc))
            .eq(other.csrc)
    );
    if matches!(other.extension_profile, 0xbede | 0x1000) {
        let theirs = other
            .extensions
            .iter()
            .map(|one| (one.id, &one.payload[..]));
        let ours = view.elements().map(|one| (one.id, one.data));
        let (theirs, ours): (Vec<_>, Vec<_>) = (theirs.collect(), ours.collect());
        // It goes on behind an id 0 that has a length, where reading must end (RFC 8285 section 4.2).
        assert!(theirs.starts_with(&ours), "{ours:x?} for {theirs:x?}");
    }
}

/// What is passed on arrives, under the receiver's ids, and nothing else does.
fn assert_copied(
    view: &HeaderView<'_>,
    theirs: &ExtensionMap,
    ours: &ExtensionMap,
    mid: Mid,
    own: &OwnWords,
) {
    let said = view.extensions(theirs);
    let passed = PassedOn::read(view.elements(), theirs);
    let mut out = vec![1, 2, 3];
    write_copied_header(&mut out, &view.fields(), &passed, ours, &mid, own);
    let header = &out[3..];
    let copy = HeaderView::parse(header).expect("a header");
    assert_eq!(copy.header_len(), header.len());
    assert_eq!(copy.fields(), view.fields());
    let mut seen = Vec::new();
    for element in copy.elements() {
        let extension = ours.extension(element.id).expect("one that was agreed");
        assert!(!seen.contains(&extension), "{extension:?} twice");
        seen.push(extension);
        let first = view
            .elements()
            .find(|one| theirs.extension(one.id) == Some(extension));
        match extension {
            Extension::Mid => assert_eq!(element.data, mid.as_bytes()),
            Extension::TransportCc => {
                assert_eq!(
                    Some(element.data),
                    own.transport_cc
                        .map(u16::to_be_bytes)
                        .as_ref()
                        .map(|n| &n[..])
                );
            }
            Extension::DependencyDescriptor => {
                let first = first.expect("one of theirs").data;
                assert_eq!(element.data.len(), first.len());
                let (ours, theirs) = (element.data, first);
                assert_eq!(ours.first(), theirs.first());
                assert_eq!(ours.get(3..), theirs.get(3..));
            }
            other => {
                assert!(PASSED_ON.contains(&other), "{other:?} is between two only");
                assert_eq!(element.data, first.expect("one of theirs").data);
            }
        }
    }
    // Of several of one kind the first is passed on, and the first of a right length is read.
    let heard = copy.extensions(ours);
    let once = |extension| {
        let of_kind = |id: u8| theirs.extension(id) == Some(extension);
        let count = view.elements().filter(|one| of_kind(one.id)).count();
        ours.id(extension).is_some() && count == 1
    };
    if once(Extension::AudioLevel) {
        assert_eq!(heard.audio_level, said.audio_level);
    }
    if once(Extension::ColorSpace) {
        assert_eq!(heard.color_space, said.color_space);
    }
}

/// Elements that are written are read again, and padding is taken off again.
fn assert_written_again(view: &HeaderView<'_>) {
    let mut buffer = ExtensionBuffer::default();
    let mut kept = Vec::new();
    for element in view.elements() {
        if buffer.push(element.id, element.data) {
            kept.push(element);
        }
    }
    assert!(buffer.iter().eq(kept.iter().copied()));
    let mut out = Vec::new();
    write_header(&mut out, &view.fields(), &buffer);
    let header_len = out.len();
    out.extend([9; 5]);
    pad(&mut out, 0, view.payload_type());
    let again = HeaderView::parse(&out).expect("a header");
    assert_eq!(again.header_len(), header_len);
    assert_eq!(again.payload(), Ok(&[9; 5][..]));
    assert_eq!(again.fields(), view.fields());
    // Id 15 has no meaning in the one-byte form, and is no id of ours (RFC 8285 section 4.2).
    assert!(again.elements().eq(kept));
}
