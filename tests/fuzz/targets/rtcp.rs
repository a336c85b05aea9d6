//! RTCP from both sides of a call, encrypted with the right keys: reports, requests and feedback about streams that
//! flow, put together field by field, and bytes of every shape.

use std::cell::RefCell;

use crosspoint::rtp::rtcp::{
    ReportBlock, SenderInfo, write_bye, write_cname, write_fir, write_nack, write_pli,
    write_receiver_report, write_sender_report,
};
use crosspoint::rtp::{Extension, ExtensionBuffer, HeaderFields, write_header};

use super::call::{Call, MEDIA, MID};
use super::input::Input;

/// Steps of one input.
const MAX_STEPS: usize = 24;

thread_local! {
    // Handshakes take longer than thousands of inputs, and each input has a track of its own.
    static STAGE: RefCell<Option<Call>> = const { RefCell::new(None) };
}

/// Sends the reports that the input says, about media that flows beside them.
pub fn run(data: &[u8]) {
    STAGE.with_borrow_mut(|call| {
        let call = call.get_or_insert_with(Call::new);
        let mut input = Input::new(data);
        call.begin(&mut input);
        let mut sequence = 0;
        for _ in 0..2 {
            frame(call, &mut sequence);
        }
        for _ in 0..MAX_STEPS {
            if input.is_empty() {
                break;
            }
            match input.u8() % 8 {
                0 => call.pass(u64::from(input.u8())),
                1 => call.pass(u64::from(input.u8()) * 8),
                2 => frame(call, &mut sequence),
                _ => {
                    let client = usize::from(input.u8() % 3);
                    let mut rtcp = Vec::new();
                    for _ in 0..=input.u8() % 4 {
                        report(call, client, &mut rtcp, &mut input);
                    }
                    if rtcp.len() >= 8 {
                        call.wire.send_rtcp(client, &rtcp);
                    }
                }
            }
            call.check();
        }
        call.end();
    });
}

/// A frame of the publisher's, in a few packets. What it is encoded with does not matter here, but that it starts.
fn frame(call: &mut Call, sequence: &mut u16) {
    for part in 0..4 {
        *sequence = sequence.wrapping_add(1);
        let fields = HeaderFields {
            marker: part == 3,
            payload_type: MEDIA,
            sequence: *sequence,
            timestamp: u32::from(*sequence / 4) * 3_000,
            ssrc: call.ssrc,
        };
        let map = &call.wire.clients[0].extensions;
        let mut extensions = ExtensionBuffer::default();
        for (extension, data) in [
            (Extension::TransportCc, &sequence.to_be_bytes()[..]),
            (Extension::Mid, MID.as_bytes()),
            (Extension::Rid, b"h"),
        ] {
            extensions.push(map.id(extension).unwrap_or(1), data);
        }
        let mut plain = Vec::new();
        write_header(&mut plain, &fields, &extensions);
        // Of VP8 it is a keyframe of 320 by 240.
        plain.extend([
            0x10 * u8::from(part == 0),
            0x10,
            0,
            0,
            0x9d,
            0x01,
            0x2a,
            0x40,
            0x01,
            0xf0,
            0x00,
        ]);
        plain.resize(plain.len() + 300, 0x5a);
        call.send(&plain);
    }
    call.pass(5);
}

/// One packet of a compound, of a client that publishes (the first) or receives.
fn report(call: &Call, client: usize, rtcp: &mut Vec<u8>, input: &mut Input<'_>) {
    let media = match client {
        0 => call.ssrc + u32::from(input.u8() % 4),
        _ => call.copy(client - 1) + u32::from(input.u8() % 2),
    };
    match input.u8() % 11 {
        0 => {
            // A packet of any type whose length is right, about a stream that is looked at.
            let head = [0x80 | input.u8() & 0x3f, 192 + input.u8() % 32];
            let mut body = media.to_be_bytes().to_vec();
            body.extend(media.to_be_bytes());
            body.extend(input.bytes());
            body.resize(body.len().next_multiple_of(4), 0);
            rtcp.extend(head);
            rtcp.extend((body.len() as u16 / 4).to_be_bytes());
            rtcp.extend(body);
        }
        1 => rtcp.extend(input.bytes()),
        2 => {
            let info = SenderInfo {
                ntp: u64::from_be_bytes(input.array()),
                rtp_timestamp: input.u32(),
                packet_count: input.u32(),
                octet_count: input.u32(),
            };
            let blocks = blocks(media, input);
            write_sender_report(rtcp, media, &info, &blocks);
        }
        3 => {
            let blocks = blocks(media, input);
            write_receiver_report(rtcp, 1, &blocks);
        }
        4 => {
            let (from, step) = (input.u16(), u16::from(input.u8()));
            let missing =
                (0..u16::from(input.u8())).map(|n| from.wrapping_add(n.wrapping_mul(step)));
            write_nack(rtcp, 1, media, missing);
        }
        5 => write_pli(rtcp, 1, media),
        6 => write_fir(rtcp, 1, media, input.u8()),
        7 => write_bye(rtcp, &[media]),
        8 => write_cname(rtcp, media, &String::from_utf8_lossy(input.bytes())),
        9 => {
            // Transport-wide feedback (draft-holmer, section 3.1).
            let body = input.bytes();
            let mut feedback = Vec::new();
            feedback.extend(1u32.to_be_bytes());
            feedback.extend(media.to_be_bytes());
            feedback.extend(u16::from(input.u8()).to_be_bytes());
            feedback.extend(input.u16().to_be_bytes());
            feedback.extend([0, input.u8(), input.u8(), input.u8()]);
            feedback.extend(body);
            feedback.resize(feedback.len().next_multiple_of(4), 0);
            rtcp.extend([0x8f, 205]);
            rtcp.extend((feedback.len() as u16 / 4).to_be_bytes());
            rtcp.extend(feedback);
        }
        _ => {
            // REMB (draft-alvestrand-rmcat-remb, section 2.2).
            rtcp.extend([0x8f, 206, 0, 5]);
            rtcp.extend([0, 0, 0, 1, 0, 0, 0, 0]);
            rtcp.extend(b"REMB");
            rtcp.extend([1]);
            rtcp.extend(input.array::<3>());
            rtcp.extend(media.to_be_bytes());
        }
    }
}

fn blocks(ssrc: u32, input: &mut Input<'_>) -> Vec<ReportBlock> {
    (0..input.u8() % 4)
        .map(|_| ReportBlock {
            ssrc,
            fraction_lost: input.u8(),
            cumulative_lost: i32::from(input.u16() as i16),
            highest_sequence: input.u32(),
            jitter: input.u32(),
            last_sender_report: input.u32(),
            delay: input.u32(),
        })
        .collect()
}
