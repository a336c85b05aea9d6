//! The client's own descriptions.

use std::fmt::Write;
use std::net::SocketAddr;

use super::local::Local;
use super::machine::Line;
use crate::rtp::Codec;
use crate::shard::{DtlsRole, FingerprintHash};

/// Which description it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Offer,
    Answer,
}

/// Writes one line; a `String` takes everything.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        let _ = write!($out, $($text)*);
        $out.push_str("\r\n");
    };
}

/// Writes a description. An answer needs the role that was agreed on.
pub(super) fn describe(
    kind: Kind,
    local: &Local,
    version: u64,
    role: Option<DtlsRole>,
    lines: &[Line],
) -> String {
    let mut sdp = String::with_capacity(512 + lines.len() * 1_024);
    let alive = || lines.iter().filter(|line| !line.declined);
    line!(sdp, "v=0");
    line!(sdp, "o=- {} {version} IN IP4 127.0.0.1", local.session);
    line!(sdp, "s=-");
    line!(sdp, "t=0 0");
    let mids: Vec<&str> = alive().map(|line| line.mid.as_str()).collect();
    line!(sdp, "a=group:BUNDLE {}", mids.join(" "));
    line!(sdp, "a=extmap-allow-mixed");
    line!(sdp, "a=msid-semantic: WMS");
    let setup = match (kind, role) {
        (Kind::Offer, _) => "actpass",
        (Kind::Answer, Some(DtlsRole::Server)) => "passive",
        (Kind::Answer, Some(DtlsRole::Client) | None) => "active",
    };
    let first = alive().next().map(|line| line.mid);
    for line in lines {
        media(&mut sdp, local, setup, first == Some(line.mid), line);
    }
    sdp
}

fn media(sdp: &mut String, local: &Local, setup: &str, is_first: bool, line: &Line) {
    let (media, protocol) = (&line.media, &line.protocol);
    let Some(format) = line.format.as_ref().filter(|_| !line.declined) else {
        let other = match &line.format {
            Some(format) => format.payload_type.to_string(),
            None => line.other_format.clone(),
        };
        line!(sdp, "m={media} 0 {protocol} {other}");
        line!(sdp, "c=IN IP4 0.0.0.0");
        line!(sdp, "a=mid:{}", line.mid);
        line!(sdp, "a=inactive");
        return;
    };
    let number = format.payload_type;
    match &format.rtx {
        Some(rtx) => {
            line!(sdp, "m={media} 9 {protocol} {number} {}", rtx.payload_type);
        }
        None => {
            line!(sdp, "m={media} 9 {protocol} {number}");
        }
    }
    line!(sdp, "c=IN IP4 0.0.0.0");
    line!(sdp, "a=rtcp:9 IN IP4 0.0.0.0");
    if is_first {
        candidate(sdp, local.candidate);
    }
    transport(sdp, local, setup);
    line!(sdp, "a=mid:{}", line.mid);
    for (id, extension) in &line.extensions {
        line!(sdp, "a=extmap:{id} {}", extension.uri());
    }
    line!(sdp, "a={}", line.direction);
    line!(sdp, "a=rtcp-mux");
    line!(sdp, "a=rtcp-rsize");
    let rate = format.codec.clock_rate();
    let channels = if format.codec == Codec::Opus {
        "/2"
    } else {
        ""
    };
    line!(
        sdp,
        "a=rtpmap:{number} {}/{rate}{channels}",
        format.codec.name()
    );
    let feedback = format.feedback;
    for (agreed, name) in [
        (feedback.transport_cc, "transport-cc"),
        (feedback.fir, "ccm fir"),
        (feedback.nack, "nack"),
        (feedback.pli, "nack pli"),
    ] {
        if agreed {
            line!(sdp, "a=rtcp-fb:{number} {name}");
        }
    }
    if let Some(fmtp) = &format.fmtp {
        line!(sdp, "a=fmtp:{number} {fmtp}");
    }
    if let Some(rtx) = &format.rtx {
        line!(sdp, "a=rtpmap:{} rtx/{rate}", rtx.payload_type);
        line!(sdp, "a=fmtp:{} {}", rtx.payload_type, rtx.fmtp);
    }
    streams(sdp, local, line, format.rtx.is_some());
}

fn candidate(sdp: &mut String, address: SocketAddr) {
    line!(
        sdp,
        "a=candidate:1 1 udp 2130706431 {} {} typ host",
        address.ip(),
        address.port()
    );
    line!(sdp, "a=end-of-candidates");
}

fn transport(sdp: &mut String, local: &Local, setup: &str) {
    line!(sdp, "a=ice-ufrag:{}", local.ice.ufrag);
    line!(sdp, "a=ice-pwd:{}", local.ice.pwd);
    line!(sdp, "a=ice-options:trickle");
    let hash = match local.fingerprint.hash {
        FingerprintHash::Sha256 => "sha-256",
        FingerprintHash::Sha384 => "sha-384",
        FingerprintHash::Sha512 => "sha-512",
    };
    let digest = local.fingerprint.bytes.iter();
    let digest: Vec<String> = digest.map(|byte| format!("{byte:02X}")).collect();
    line!(sdp, "a=fingerprint:{hash} {}", digest.join(":"));
    line!(sdp, "a=setup:{setup}");
}

/// The streams that are sent: layers by their ids alone (RFC 8853), others by their SSRCs (RFC 5576).
fn streams(sdp: &mut String, local: &Local, line: &Line, has_rtx: bool) {
    let Some(sender) = &line.sender else {
        return;
    };
    let (session, media) = (local.session, &line.media);
    line!(sdp, "a=msid:load-{session} {media}-{}", line.mid);
    let rids: Vec<&str> = sender
        .streams
        .iter()
        .filter_map(|stream| stream.rid.as_ref())
        .map(|rid| rid.as_str())
        .collect();
    if !rids.is_empty() {
        for rid in &rids {
            line!(sdp, "a=rid:{rid} send");
        }
        line!(sdp, "a=simulcast:send {}", rids.join(";"));
        return;
    }
    for stream in &sender.streams {
        if has_rtx {
            line!(sdp, "a=ssrc-group:FID {} {}", stream.ssrc, stream.rtx_ssrc);
        }
        for ssrc in [stream.ssrc, stream.rtx_ssrc]
            .iter()
            .take(1 + usize::from(has_rtx))
        {
            line!(sdp, "a=ssrc:{ssrc} cname:load-{session}");
        }
    }
}
