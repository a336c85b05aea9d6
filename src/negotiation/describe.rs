//! Our own descriptions, as text.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::negotiation::candidate;
use crate::negotiation::line::MediaLine;
use crate::negotiation::remote::{LineExtension, LineKind};
use crate::negotiation::state::State;
use crate::negotiation::{Config, Description};
use crate::rtp::{Codec, Mid};
use crate::shard::{DtlsRole, Fingerprint, FingerprintHash};

/// Our `a=sctp-port`.
const SCTP_PORT: u16 = 5_000;

/// Which of the two a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It proposes.
    Offer,
    /// It agrees.
    Answer,
}

/// Writes the state as a description. Writing to a `String` cannot fail, so its results are dropped.
pub(crate) fn describe(state: &State, kind: Kind, config: &Config, version: u64) -> Description {
    let mut writer = Writer {
        sdp: String::with_capacity(2_048 * (state.lines.len() + 1)),
        state,
        kind,
        config,
    };
    writer.session(version);
    let tagged = writer.bundle().next();
    for line in &state.lines {
        writer.line(line, tagged);
    }
    Description {
        sdp: writer.sdp,
        tracks: state.sent().collect(),
    }
}

struct Writer<'a> {
    sdp: String,
    state: &'a State,
    kind: Kind,
    config: &'a Config,
}

/// Appends one formatted line.
macro_rules! line {
    ($writer:expr, $($part:tt)*) => {{
        let _ = write!($writer.sdp, $($part)*);
        $writer.sdp.push_str("\r\n");
    }};
}

impl<'a> Writer<'a> {
    /// The mids that share the transport: in the client's order in an answer, in ours in an offer.
    fn bundle(&self) -> impl Iterator<Item = Mid> + use<'a> {
        let state = self.state;
        let alive = |line: &MediaLine| line.mid.filter(|_| !line.stopped);
        let order: Vec<Mid> = match self.kind {
            Kind::Offer => state.lines.iter().filter_map(alive).collect(),
            Kind::Answer => {
                let alive: std::collections::BTreeSet<Mid> =
                    state.lines.iter().filter_map(alive).collect();
                let mut order = state.bundle.clone();
                order.retain(|mid| alive.contains(mid));
                order
            }
        };
        order.into_iter()
    }

    fn session(&mut self, version: u64) {
        line!(self, "v=0");
        // A number of 63 bits (RFC 9429 section 5.2.1).
        let session = self.config.session_id & (u64::MAX >> 1);
        line!(self, "o=crosspoint {session} {version} IN IP4 127.0.0.1");
        line!(self, "s=-");
        line!(self, "t=0 0");
        line!(self, "a=ice-lite");
        let bundle: Vec<Mid> = self.bundle().collect();
        if !bundle.is_empty() {
            self.sdp.push_str("a=group:BUNDLE");
            for mid in bundle {
                let _ = write!(self.sdp, " {mid}");
            }
            self.sdp.push_str("\r\n");
        }
        if self.state.allow_mixed {
            line!(self, "a=extmap-allow-mixed");
        }
        line!(self, "a=msid-semantic:WMS *");
    }

    fn line(&mut self, line: &MediaLine, tagged: Option<Mid>) {
        let [media, protocol, format] = &line.words;
        let candidates = &self.config.candidates;
        let address = candidates.first().map(|first| first.address);
        if line.stopped {
            line!(self, "m={media} 0 {protocol} {format}");
            line!(self, "c=IN IP4 0.0.0.0");
            if let Some(mid) = line.mid {
                line!(self, "a=mid:{mid}");
            }
            line!(self, "a=inactive");
            return;
        }
        let port = address.map_or(9, |address| address.port());
        match line.kind {
            LineKind::Rtp(_) => {
                let _ = write!(self.sdp, "m={media} {port} {protocol}");
                for format in &line.formats {
                    let _ = write!(self.sdp, " {}", format.payload_type);
                    if let Some(rtx) = &format.rtx {
                        let _ = write!(self.sdp, " {}", rtx.payload_type);
                    }
                }
                self.sdp.push_str("\r\n");
            }
            LineKind::DataChannel | LineKind::Unserved => {
                line!(self, "m={media} {port} {protocol} {format}");
            }
        }
        match address {
            Some(SocketAddr::V6(address)) => line!(self, "c=IN IP6 {}", address.ip()),
            Some(SocketAddr::V4(address)) => line!(self, "c=IN IP4 {}", address.ip()),
            None => line!(self, "c=IN IP4 0.0.0.0"),
        }
        if line.mid == tagged {
            candidate::write(&mut self.sdp, &self.config.candidates);
        }
        self.transport();
        if let Some(mid) = line.mid {
            line!(self, "a=mid:{mid}");
        }
        match line.kind {
            LineKind::Rtp(_) => self.rtp(line),
            LineKind::DataChannel | LineKind::Unserved => {
                line!(self, "a=sctp-port:{SCTP_PORT}");
                let max = self.config.limits.max_message_bytes;
                line!(self, "a=max-message-size:{max}");
            }
        }
    }

    fn transport(&mut self) {
        let ice = &self.state.local_ice;
        line!(self, "a=ice-ufrag:{}", ice.ufrag);
        line!(self, "a=ice-pwd:{}", ice.pwd);
        line!(self, "a=ice-options:trickle");
        let Fingerprint { hash, bytes } = &self.config.fingerprint;
        let hash = match hash {
            FingerprintHash::Sha256 => "sha-256",
            FingerprintHash::Sha384 => "sha-384",
            FingerprintHash::Sha512 => "sha-512",
        };
        let digest: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        line!(self, "a=fingerprint:{hash} {}", digest.join(":"));
        let role = self.state.transport.as_ref().map(|t| t.role);
        let setup = match (self.kind, role) {
            (Kind::Offer, _) => "actpass",
            (Kind::Answer, Some(DtlsRole::Client)) => "active",
            (Kind::Answer, Some(DtlsRole::Server) | None) => "passive",
        };
        line!(self, "a=setup:{setup}");
    }

    fn rtp(&mut self, line: &MediaLine) {
        if line.allow_mixed && !self.state.allow_mixed {
            line!(self, "a=extmap-allow-mixed");
        }
        for LineExtension {
            id,
            extension,
            direction,
        } in &line.extensions
        {
            let uri = extension.uri();
            match direction {
                Some(direction) => line!(self, "a=extmap:{id}/{direction} {uri}"),
                None => line!(self, "a=extmap:{id} {uri}"),
            }
        }
        line!(self, "a={}", line.direction);
        if let Some(send) = &line.send {
            line!(self, "a=msid:{} {}", send.participant, send.track);
        }
        line!(self, "a=rtcp-mux");
        if line.rtcp_rsize {
            line!(self, "a=rtcp-rsize");
        }
        self.formats(line);
        self.layers(line);
        self.ssrcs(line);
    }

    fn formats(&mut self, line: &MediaLine) {
        for format in &line.formats {
            let (number, codec) = (format.payload_type, format.codec);
            let channels = match codec {
                Codec::Opus | Codec::Red => "/2",
                _ => "",
            };
            let rate = codec.clock_rate();
            line!(self, "a=rtpmap:{number} {}/{rate}{channels}", codec.name());
            let feedback = format.feedback;
            for (agreed, name) in [
                (feedback.transport_cc, "transport-cc"),
                (feedback.remb, "goog-remb"),
                (feedback.fir, "ccm fir"),
                (feedback.nack, "nack"),
                (feedback.pli, "nack pli"),
            ] {
                if agreed {
                    line!(self, "a=rtcp-fb:{number} {name}");
                }
            }
            if let Some(fmtp) = &format.fmtp {
                line!(self, "a=fmtp:{number} {fmtp}");
            }
            if let Some(rtx) = &format.rtx {
                line!(self, "a=rtpmap:{} rtx/{rate}", rtx.payload_type);
                line!(self, "a=fmtp:{} {}", rtx.payload_type, rtx.fmtp);
            }
        }
    }

    /// The layers that we receive (RFC 8853 section 5.3). An offer of ours repeats them, since a client
    /// takes their absence for a refusal.
    fn layers(&mut self, line: &MediaLine) {
        if line.layers.is_empty() || !line.direction.receive {
            return;
        }
        let mut list = Vec::with_capacity(line.layers.len());
        for layer in &line.layers {
            line!(self, "a=rid:{} recv", layer.rid);
            let paused = if layer.paused { "~" } else { "" };
            list.push(format!("{paused}{}", layer.rid));
        }
        line!(self, "a=simulcast:recv {}", list.join(";"));
    }

    fn ssrcs(&mut self, line: &MediaLine) {
        let Some(send) = line.send else {
            return;
        };
        let mut ssrcs = vec![send.ssrc];
        if line.has_rtx() {
            line!(self, "a=ssrc-group:FID {} {}", send.ssrc, send.rtx_ssrc);
            ssrcs.push(send.rtx_ssrc);
        }
        for ssrc in ssrcs {
            // One cname for all tracks of a participant: what it sends at once is played at once.
            line!(self, "a=ssrc:{ssrc} cname:{}", send.participant);
            line!(
                self,
                "a=ssrc:{ssrc} msid:{} {}",
                send.participant,
                send.track
            );
        }
    }
}
