//! RTP of a publisher in a call, encrypted with its key: headers, extensions and payloads of every shape, in any
//! order, with the subscribers' wishes and requests between them.

use std::cell::RefCell;

use crosspoint::rtp::rtcp::{write_nack, write_pli};
use crosspoint::rtp::{Extension, ExtensionBuffer, HeaderFields, write_header};
use crosspoint::shard::{Command, Wish};

use super::call::{Call, MEDIA, MID, OPUS, RIDS, RTX};
use super::input::Input;

/// Steps of one input.
const MAX_STEPS: usize = 40;

thread_local! {
    // Handshakes take longer than thousands of inputs, and each input has a track of its own.
    static STAGE: RefCell<Option<Call>> = const { RefCell::new(None) };
}

/// What the next packet begins with.
#[derive(Default)]
struct Stream {
    sequence: [u16; 4],
    rtx_sequence: [u16; 4],
    timestamp: u32,
    transport_cc: u16,
}

/// Sends the packets that the input says.
pub fn run(data: &[u8]) {
    STAGE.with_borrow_mut(|call| {
        let call = call.get_or_insert_with(Call::new);
        let mut input = Input::new(data);
        call.begin(&mut input);
        let mut stream = Stream::default();
        for _ in 0..MAX_STEPS {
            if input.is_empty() {
                break;
            }
            step(call, &mut stream, &mut input);
        }
        call.end();
    });
}

fn step(call: &mut Call, stream: &mut Stream, input: &mut Input<'_>) {
    match input.u8() % 16 {
        0 => call.pass(u64::from(input.u8())),
        1 => call.pass(u64::from(input.u8()) * 8),
        2 => {
            // As it is, but for its being RTP and of a stream that is looked at.
            let mut plain = input.bytes().to_vec();
            if let Some(first) = plain.first_mut() {
                *first = *first & 0x3f | 0x80;
            }
            if let Some(ssrc) = plain.get_mut(8..12) {
                let offset = u32::from(ssrc[3] % 8);
                ssrc.copy_from_slice(&(call.ssrc + offset).to_be_bytes());
            }
            call.send(&plain);
        }
        3 => {
            let receiver = usize::from(input.u8() % 2);
            let wish = Wish {
                paused: input.u8() & 3 == 0,
                width: Some(input.u16()).filter(|width| *width != 0),
                height: None,
                priority: input.u8().into(),
            };
            call.wire.command(Command::SetWish {
                peer: call.subscriber(receiver),
                track: call.track,
                wish,
            });
        }
        4 => call.wire.command(Command::SetMuted {
            peer: call.wire.clients[0].peer,
            track: call.track,
            muted: input.u8() & 1 == 0,
        }),
        5 => {
            let receiver = usize::from(input.u8() % 2);
            let (mut rtcp, ssrc) = (Vec::new(), call.copy(receiver));
            let from = input.u16();
            if input.u8() & 1 == 0 {
                write_nack(&mut rtcp, 1, ssrc, (0..8).map(|n| from.wrapping_add(n)));
            } else {
                write_pli(&mut rtcp, 1, ssrc);
            }
            call.wire.send_rtcp(1 + receiver, &rtcp);
        }
        _ => {
            let plain = packet(call, stream, input);
            call.send(&plain);
        }
    }
    call.check();
}

/// A whole packet with the stream's next numbers, or numbers near them.
fn packet(call: &Call, stream: &mut Stream, input: &mut Input<'_>) -> Vec<u8> {
    let flags = input.u8();
    let layer = usize::from(flags & 3);
    let is_rtx = flags & 0x0c == 0x0c;
    let mut sequence = &mut stream.sequence[layer];
    if is_rtx {
        sequence = &mut stream.rtx_sequence[layer];
    }
    if flags & 0x10 != 0 {
        *sequence = sequence.wrapping_add(input.u16());
    }
    *sequence = sequence.wrapping_add(1);
    if flags & 0x20 == 0 {
        stream.timestamp = stream.timestamp.wrapping_add(3_000);
    }
    let fields = HeaderFields {
        marker: flags & 0x40 == 0,
        payload_type: match (is_rtx, input.u8()) {
            (true, _) => RTX,
            (false, 0) => input.u8() & 0x7f,
            (false, 1..=15) => OPUS,
            (false, _) => MEDIA,
        },
        sequence: *sequence,
        timestamp: stream.timestamp,
        ssrc: call.ssrc + 2 * layer as u32 + u32::from(is_rtx),
    };
    let map = &call.wire.clients[0].extensions;
    let mut extensions = ExtensionBuffer::default();
    let mut push = |extension, data: &[u8]| {
        extensions.push(map.id(extension).unwrap_or(1), data);
    };
    stream.transport_cc = stream.transport_cc.wrapping_add(1);
    push(Extension::TransportCc, &stream.transport_cc.to_be_bytes());
    push(Extension::Mid, MID.as_bytes());
    let rid = if is_rtx {
        Extension::RepairedRid
    } else {
        Extension::Rid
    };
    push(rid, RIDS[layer.min(2)].as_bytes());
    for _ in 0..input.u8() % 4 {
        let extension = input.choose(&Extension::ALL);
        push(extension, input.bytes());
    }
    let mut plain = Vec::new();
    write_header(&mut plain, &fields, &extensions);
    if is_rtx {
        let original = stream.sequence[layer].wrapping_sub(u16::from(input.u8() % 8));
        plain.extend(original.to_be_bytes());
    }
    plain.extend(input.bytes());
    // Payloads of a real size.
    plain.extend(std::iter::repeat_n(
        0x5a,
        usize::from(input.u8() & 0x7f) * 8,
    ));
    if flags & 0x80 != 0 {
        plain[0] |= 0x20;
        plain.push(input.u8());
    }
    plain
}
