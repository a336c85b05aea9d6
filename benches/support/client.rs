//! The other end of one peer connection: keys from a real handshake, and the commands that make a shard know it.

use std::net::SocketAddr;
use std::time::Instant;

use crosspoint::rtp::{Codec, Extension, ExtensionMap, MediaKind};
use crosspoint::shard::{
    CallId, CodecParameters, Command, DtlsRole, IceCredentials, ParticipantId, PeerId,
    ReceiveParameters, SctpParameters, SendParameters, SsrcPair, TrackId, TransportParameters,
};
use crosspoint::transport::{ChannelLimits, Identity, Path, Transport};
use crypto::default_provider;
use stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

/// What its data channels may use.
pub(crate) const LIMITS: ChannelLimits = ChannelLimits {
    max_message_bytes: 65_536,
    max_channels: 8,
    max_buffered_bytes: 262_144,
};

/// A track as its publisher sends it.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) track: TrackId,
    pub(crate) kind: MediaKind,
    pub(crate) ssrc: u32,
}

impl Source {
    /// The track of those who have one.
    pub(crate) const VIDEO: Self = Self {
        track: TrackId(1),
        kind: MediaKind::Video,
        ssrc: 0x1234_5678,
    };

    fn codec(&self) -> CodecParameters {
        match self.kind {
            MediaKind::Video => CodecParameters {
                payload_type: 96,
                codec: Codec::Vp8,
                rtx: Some(97),
                nack: true,
                pli: true,
                fir: false,
                transport_cc: true,
            },
            MediaKind::Audio => CodecParameters {
                payload_type: 111,
                codec: Codec::Opus,
                rtx: None,
                nack: false,
                pli: false,
                fir: false,
                transport_cc: true,
            },
        }
    }
}

/// A client, and what the shard must be told before it can connect.
pub(crate) struct Client {
    /// The shard that it is on, the first at first.
    pub(crate) shard: usize,
    pub(crate) peer: PeerId,
    pub(crate) address: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) connected: bool,
    ice: IceCredentials,
    server_ice: IceCredentials,
}

impl Client {
    /// The client of this number, which is in the one call there is.
    pub(crate) fn new(
        now: Instant,
        identity: &Identity,
        index: usize,
        address: SocketAddr,
        data: bool,
    ) -> (Self, [Command; 3]) {
        let peer = PeerId(1 + index as u64);
        let ice = credentials("client", index);
        let server_ice = credentials("server", index);
        let mut transport = Transport::new(identity, ice.clone(), LIMITS);
        let ours = TransportParameters {
            local_ice: ice.clone(),
            remote_ice: server_ice.clone(),
            fingerprints: vec![identity.fingerprint()],
            role: DtlsRole::Client,
            sctp: data.then_some(SctpParameters {
                remote_port: 5000,
                max_message_size: 65_536,
            }),
        };
        transport.set_parameters(now, &ours);
        let commands = [
            Command::AddPeer {
                peer,
                call: CallId(1),
                participant: ParticipantId(index as u64),
                shards: Vec::new(),
                local_ice: server_ice.clone(),
            },
            Command::SetTransport {
                peer,
                transport: TransportParameters {
                    local_ice: server_ice.clone(),
                    remote_ice: ice.clone(),
                    role: DtlsRole::Server,
                    ..ours
                },
            },
            Command::SetExtensions {
                peer,
                extensions: Box::new(extensions()),
            },
        ];
        let client = Self {
            shard: 0,
            peer,
            address,
            transport,
            connected: false,
            ice,
            server_ice,
        };
        (client, commands)
    }

    /// A check as a controlling agent sends it, for the server at `server`. The client takes one from
    /// there for its own, which opens its end.
    pub(crate) fn check(&mut self, now: Instant, server: Path) -> Vec<u8> {
        let mirrored = check(&self.ice, &self.server_ice);
        let mirrored = self.transport.handle_stun(now, server, &mirrored);
        mirrored.expect("a valid check");
        check(&self.server_ice, &self.ice)
    }
}

/// The command that makes a peer the publisher of a track.
pub(crate) fn publish(peer: PeerId, source: &Source) -> Command {
    let mid = mid("p", source.track.0);
    let codec = source.codec();
    Command::SetReceiver {
        peer,
        mid,
        parameters: Some(ReceiveParameters {
            mid,
            track: source.track,
            kind: source.kind,
            voice: source.kind == MediaKind::Audio,
            codecs: vec![codec],
            ssrcs: vec![SsrcPair {
                ssrc: source.ssrc,
                rtx: codec.rtx.map(|_| source.ssrc + 1),
            }],
            rids: Vec::new(),
        }),
    }
}

/// The command that gives a peer a track on the m-line of this number, as the SSRC 0x5000 and twice that number.
/// The track's publisher is on the first shard.
pub(crate) fn subscribe(peer: PeerId, line: u32, source: &Source) -> Command {
    let mid = mid("s", line.into());
    let codec = source.codec();
    let ssrc = 0x5000 + 2 * line;
    Command::SetSender {
        peer,
        mid,
        parameters: Some(SendParameters {
            mid,
            track: source.track,
            participant: ParticipantId(0),
            home: 0,
            kind: source.kind,
            ssrc,
            rtx_ssrc: codec.rtx.map(|_| ssrc + 1),
            codecs: vec![codec],
        }),
    }
}

/// What every client negotiated.
pub(crate) fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::default();
    map.insert(1, Extension::Mid);
    map.insert(3, Extension::TransportCc);
    map
}

fn mid(prefix: &str, number: u64) -> crosspoint::rtp::Mid {
    format!("{prefix}{number}").parse().expect("a mid")
}

fn credentials(name: &str, client: usize) -> IceCredentials {
    IceCredentials {
        ufrag: format!("{name}{client}"),
        pwd: format!("the-password-of-{name}-{client}"),
    }
}

fn check(to: &IceCredentials, from: &IceCredentials) -> Vec<u8> {
    let provider = default_provider().expect("a provider");
    let integrity =
        MessageIntegrity::new_short_term_integrity_with_provider(to.pwd.clone(), provider.crypto());
    let mut message = Message::new();
    message.set_type(BINDING_REQUEST);
    message.write_header();
    TransactionId::new().add_to(&mut message).expect("an id");
    let username = format!("{}:{}", to.ufrag, from.ufrag);
    message.add(ATTR_USERNAME, username.as_bytes());
    message.add(ATTR_PRIORITY, &1000u32.to_be_bytes());
    message.add(ATTR_USE_CANDIDATE, &[]);
    message.add(ATTR_ICE_CONTROLLING, &[7; 8]);
    integrity.add_to(&mut message).expect("integrity");
    FINGERPRINT.add_to(&mut message).expect("a fingerprint");
    message.raw
}
