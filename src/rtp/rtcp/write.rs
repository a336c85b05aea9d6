//! The writing half: each function appends one packet, and several make a compound.

use super::{
    FIR, GOODBYE, NACK, PAYLOAD_FEEDBACK, PLI, RECEIVER_REPORT, ReportBlock, SENDER_REPORT,
    SOURCE_DESCRIPTION, SenderInfo, TRANSPORT_FEEDBACK,
};

/// The count field has five bits.
const MAX_COUNT: usize = 31;
/// A NACK longer than this would not fit a datagram.
const MAX_NACK_ITEMS: usize = 250;

/// Appends a sender report. Of more than 31 blocks the first 31 are written.
pub fn write_sender_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    info: &SenderInfo,
    reports: &[ReportBlock],
) {
    let start = begin(out, SENDER_REPORT, reports.len().min(MAX_COUNT) as u8);
    put(out, ssrc);
    out.extend_from_slice(&info.ntp.to_be_bytes());
    put(out, info.rtp_timestamp);
    put(out, info.packet_count);
    put(out, info.octet_count);
    put_reports(out, reports);
    finish(out, start);
}

/// Appends a receiver report. Of more than 31 blocks the first 31 are written.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, reports: &[ReportBlock]) {
    let start = begin(out, RECEIVER_REPORT, reports.len().min(MAX_COUNT) as u8);
    put(out, ssrc);
    put_reports(out, reports);
    finish(out, start);
}

/// Appends a source description with a canonical name (RFC 3550 section 6.5.1), of which 255 bytes count.
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    const CNAME: u8 = 1;
    let start = begin(out, SOURCE_DESCRIPTION, 1);
    let name = cname.as_bytes();
    let name = name.get(..255).unwrap_or(name);
    put(out, ssrc);
    out.extend_from_slice(&[CNAME, name.len() as u8]);
    out.extend_from_slice(name);
    // The list of items ends with at least one zero, and fills its word.
    out.push(0);
    pad(out, start);
    finish(out, start);
}

/// Appends a goodbye. Of more than 31 streams the first 31 are written.
pub fn write_bye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    let start = begin(out, GOODBYE, ssrcs.len().min(MAX_COUNT) as u8);
    for ssrc in ssrcs.iter().take(MAX_COUNT) {
        put(out, *ssrc);
    }
    finish(out, start);
}

/// Appends a request for packets, best given in ascending order: up to 17 neighbours share a word. Returns
/// how many words there are, at most 250; with none nothing is written.
pub fn write_nack(
    out: &mut Vec<u8>,
    sender_ssrc: u32,
    media_ssrc: u32,
    sequences: impl IntoIterator<Item = u16>,
) -> usize {
    let start = begin_feedback(out, TRANSPORT_FEEDBACK, NACK, sender_ssrc, media_ssrc);
    let mut items = 0;
    let mut item: Option<(u16, u16)> = None;
    for sequence in sequences {
        if let Some((pid, bitmask)) = item {
            let ahead = sequence.wrapping_sub(pid);
            if ahead <= 16 {
                let bit = 1u16.checked_shl(u32::from(ahead).wrapping_sub(1));
                item = Some((pid, bitmask | bit.unwrap_or(0)));
                continue;
            }
            put_nack(out, pid, bitmask);
            items += 1;
        }
        item = Some((sequence, 0));
        if items == MAX_NACK_ITEMS - 1 {
            break;
        }
    }
    match item {
        Some((pid, bitmask)) => {
            put_nack(out, pid, bitmask);
            finish(out, start);
            items + 1
        }
        None => {
            out.truncate(start);
            0
        }
    }
}

/// Appends a picture loss indication.
pub fn write_pli(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) {
    let start = begin_feedback(out, PAYLOAD_FEEDBACK, PLI, sender_ssrc, media_ssrc);
    finish(out, start);
}

/// Appends a full intra request. `command` counts up with each new request of a stream, and stays when a
/// request is repeated.
pub fn write_fir(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, command: u8) {
    // The common field for the media stream is unused (RFC 5104 section 4.3.1.2).
    let start = begin_feedback(out, PAYLOAD_FEEDBACK, FIR, sender_ssrc, 0);
    put(out, media_ssrc);
    out.extend_from_slice(&[command, 0, 0, 0]);
    finish(out, start);
}

/// Begins a feedback packet; what [`finish_feedback`] wants is returned.
pub(crate) fn begin_feedback(
    out: &mut Vec<u8>,
    packet_type: u8,
    format: u8,
    sender_ssrc: u32,
    media_ssrc: u32,
) -> usize {
    let start = begin(out, packet_type, format);
    put(out, sender_ssrc);
    put(out, media_ssrc);
    start
}

/// Fills a feedback packet to whole words, with padding that says how long it is, and writes its length.
pub(crate) fn finish_feedback(out: &mut Vec<u8>, start: usize) {
    let filled = out.len();
    pad(out, start);
    let padding = out.len() - filled;
    if padding > 0 {
        if let Some(last) = out.last_mut() {
            *last = padding as u8;
        }
        if let Some(first) = out.get_mut(start) {
            *first |= 0x20;
        }
    }
    finish(out, start);
}

fn begin(out: &mut Vec<u8>, packet_type: u8, count: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count, packet_type, 0, 0]);
    start
}

/// Writes the length in words, the first not counted.
fn finish(out: &mut [u8], start: usize) {
    let words = (out.len() - start) / 4 - 1;
    if let Some(len) = out.get_mut(start + 2..start + 4) {
        len.copy_from_slice(&(words as u16).to_be_bytes());
    }
}

fn pad(out: &mut Vec<u8>, start: usize) {
    let len = (out.len() - start).next_multiple_of(4);
    out.resize(start + len, 0);
}

fn put(out: &mut Vec<u8>, word: u32) {
    out.extend_from_slice(&word.to_be_bytes());
}

fn put_nack(out: &mut Vec<u8>, pid: u16, bitmask: u16) {
    out.extend_from_slice(&pid.to_be_bytes());
    out.extend_from_slice(&bitmask.to_be_bytes());
}

fn put_reports(out: &mut Vec<u8>, reports: &[ReportBlock]) {
    for block in reports.iter().take(MAX_COUNT) {
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        put(out, block.ssrc);
        put(out, u32::from(block.fraction_lost) << 24 | lost);
        put(out, block.highest_sequence);
        put(out, block.jitter);
        put(out, block.last_sender_report);
        put(out, block.delay);
    }
}
