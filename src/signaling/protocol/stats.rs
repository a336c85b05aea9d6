//! `stats`: the server's view of a connection, in the names of W3C's webrtc-stats.
//!
//! What a client publishes is `inbound-rtp` here, what it is sent is `outbound-rtp`: the server is the one that
//! measures. `roundTripTime` is in seconds.

use serde::Serialize;

use crate::rtp::{Codec, MediaKind};
use crate::shard::PeerStats;

/// One entry of `stats`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum StatsEntry {
    /// The one transport of the bundle.
    Transport {
        /// Unique in the report.
        id: String,
        /// `connected` or `connecting`.
        dtls_state: &'static str,
        /// Of all datagrams from the client.
        bytes_received: u64,
        /// Of all datagrams to the client.
        bytes_sent: u64,
        /// All datagrams from the client.
        packets_received: u64,
        /// All datagrams to the client.
        packets_sent: u64,
        /// The SRTP profile, as IANA names it.
        #[serde(skip_serializing_if = "Option::is_none")]
        srtp_cipher: Option<&'static str>,
        /// Seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        round_trip_time: Option<f64>,
        /// What the network is estimated to carry to the client, in bit/s; absent where the client says nothing about
        /// the arrival of packets.
        #[serde(skip_serializing_if = "Option::is_none")]
        available_outgoing_bitrate: Option<u64>,
    },
    /// One stream from the client.
    InboundRtp {
        /// Unique in the report.
        id: String,
        /// Its m-line.
        mid: String,
        /// The server's id of the track.
        track_identifier: String,
        /// Its SSRC.
        ssrc: u32,
        /// `audio` or `video`, once a packet came.
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<&'static str>,
        /// Such as `video/VP8`, once a packet came.
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
        /// Hz, once a packet came.
        #[serde(skip_serializing_if = "Option::is_none")]
        clock_rate: Option<u32>,
        /// Without retransmissions.
        packets_received: u64,
        /// Packets that never came.
        packets_lost: i64,
        /// Of payload.
        bytes_received: u64,
        /// Sent to the client.
        nack_count: u64,
        /// Sent to the client.
        pli_count: u64,
        /// Seconds.
        jitter: f64,
        /// Keyframes that came.
        key_frames_received: u64,
    },
    /// One stream to the client.
    OutboundRtp {
        /// Unique in the report.
        id: String,
        /// Its m-line.
        mid: String,
        /// The server's id of the track.
        track_identifier: String,
        /// Its SSRC.
        ssrc: u32,
        /// `audio` or `video`, once a packet was forwarded.
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<&'static str>,
        /// Such as `video/VP8`, once a packet was forwarded.
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
        /// Hz, once a packet was forwarded.
        #[serde(skip_serializing_if = "Option::is_none")]
        clock_rate: Option<u32>,
        /// Without retransmissions.
        packets_sent: u64,
        /// Of payload.
        bytes_sent: u64,
        /// Answers to NACKs.
        retransmitted_packets_sent: u64,
        /// From the client.
        nack_count: u64,
        /// PLIs and FIRs from the client.
        pli_count: u64,
        /// Of the client's last report, 0 to 1.
        fraction_lost: f32,
        /// The simulcast layer that is forwarded.
        #[serde(skip_serializing_if = "Option::is_none")]
        rid: Option<String>,
        /// The spatial and temporal layers that are forwarded, such as `L1T2`, where there are layers to choose from.
        #[serde(skip_serializing_if = "Option::is_none")]
        scalability_mode: Option<String>,
    },
}

/// The report of one peer.
pub fn stats_entries(stats: &PeerStats) -> Vec<StatsEntry> {
    let transport = StatsEntry::Transport {
        id: "transport".to_owned(),
        dtls_state: if stats.connected {
            "connected"
        } else {
            "connecting"
        },
        bytes_received: stats.bytes_received,
        bytes_sent: stats.bytes_sent,
        packets_received: stats.packets_received,
        packets_sent: stats.packets_sent,
        srtp_cipher: stats.srtp,
        round_trip_time: stats.rtt.map(|rtt| rtt.as_secs_f64()),
        available_outgoing_bitrate: stats.estimate,
    };
    let inbound = stats.inbound.iter().map(|stream| StatsEntry::InboundRtp {
        id: format!("inbound-{}", stream.ssrc),
        mid: stream.mid.to_string(),
        track_identifier: stream.track.to_string(),
        ssrc: stream.ssrc,
        kind: stream.codec.map(kind),
        mime_type: stream.codec.map(mime_type),
        clock_rate: stream.codec.map(Codec::clock_rate),
        packets_received: stream.packets_received,
        packets_lost: stream.packets_lost,
        bytes_received: stream.bytes_received,
        nack_count: stream.nack_count,
        pli_count: stream.pli_count,
        jitter: stream.jitter,
        key_frames_received: stream.key_frames,
    });
    let outbound = stats.outbound.iter().map(|stream| StatsEntry::OutboundRtp {
        id: format!("outbound-{}", stream.ssrc),
        mid: stream.mid.to_string(),
        track_identifier: stream.track.to_string(),
        ssrc: stream.ssrc,
        kind: stream.codec.map(kind),
        mime_type: stream.codec.map(mime_type),
        clock_rate: stream.codec.map(Codec::clock_rate),
        packets_sent: stream.packets_sent,
        bytes_sent: stream.bytes_sent,
        retransmitted_packets_sent: stream.retransmitted_packets_sent,
        nack_count: stream.nack_count,
        pli_count: stream.pli_count,
        fraction_lost: stream.fraction_lost,
        rid: stream
            .layer
            .and_then(|layer| layer.rid)
            .map(|rid| rid.to_string()),
        scalability_mode: stream
            .layer
            .map(|layer| format!("L{}T{}", layer.spatial + 1, layer.temporal + 1)),
    });
    std::iter::once(transport)
        .chain(inbound)
        .chain(outbound)
        .collect()
}

fn kind(codec: Codec) -> &'static str {
    match codec.kind() {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

fn mime_type(codec: Codec) -> String {
    format!("{}/{}", kind(codec), codec.name())
}
