//! The negotiation against model browsers in every order of events, and against what Chromium 156 and
//! Firefox 153 really said.

mod browser;
mod calls;
mod fixtures;
mod mutations;
mod random;
mod view;

use crate::negotiation::{Config, Limits, Negotiation, SubscribedTrack};
use crate::rtp::{Codec, MediaKind};
use crate::shard::{Fingerprint, FingerprintHash, IceCredentials, ParticipantId, PeerId, TrackId};
use crate::transport::Endpoint;

/// A server's end before any description.
fn negotiation() -> Negotiation {
    Negotiation::new(config())
}

/// What it is told.
fn config() -> Config {
    Config {
        peer: PeerId(1),
        local_ice: IceCredentials {
            ufrag: "srvr".to_owned(),
            pwd: "0123456789abcdefghijkl".to_owned(),
        },
        fingerprint: Fingerprint {
            hash: FingerprintHash::Sha256,
            bytes: vec![0xab; 32],
        },
        candidates: vec![
            Endpoint::udp("192.0.2.1:7880".parse().unwrap()),
            Endpoint::udp("[2001:db8::1]:7880".parse().unwrap()),
        ],
        limits: Limits::default(),
        may_publish: crate::negotiation::Sources::ALL,
        data_channels: true,
        red: true,
        session_id: 42,
        seed: 7,
    }
}

/// A track of participant 9.
fn track(id: u64, kind: MediaKind) -> SubscribedTrack {
    SubscribedTrack {
        track: TrackId(id),
        participant: ParticipantId(9),
        home: 0,
        kind,
        codecs: match kind {
            MediaKind::Audio => vec![Codec::Opus, Codec::Red, Codec::Pcmu],
            MediaKind::Video => vec![Codec::Vp8, Codec::Vp9 { profile: 0 }],
        },
    }
}
