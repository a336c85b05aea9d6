//! Data channels (RFC 8831) over SCTP (RFC 9260) over DTLS.
//!
//! Called by [`super::Transport`] with what DTLS decrypted, once both DTLS and the m-line are there. One
//! association in all, never another after it ended. The DTLS client starts it.

mod channels;
mod dcep;
mod guard;
mod packet;
mod sink;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use ::sctp::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, ServerConfig, StreamEvent, TransportConfig,
};
use ::shared::TransportProtocol;
use bytes::{Bytes, BytesMut};

use self::channels::{Channel, ChannelState};
use self::guard::{Guard, MAX_STREAMS, Verdict};
use self::packet::{Chunk, Chunks};
use super::channel::{ChannelLimits, ChannelReliability};
use super::wire::TransportEvent;
use crate::shard::SctpParameters;

/// Streams that a peer may use beyond the limit of channels, so that what it opens too much can be reset.
const EXTRA_STREAMS: usize = 16;
/// Streams that one association may ever make; the supplier remembers resets that go unanswered.
const MAX_STREAMS_EVER: usize = 16_384;
/// The supplier wants an address; ours has none.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// One peer's association.
pub(super) struct Sctp {
    limits: ChannelLimits,
    is_client: bool,
    /// The longest message that the remote side takes.
    max_remote_message: usize,
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    guard: Guard,
    channels: BTreeMap<u16, Channel>,
    streams_ever: usize,
    connected: bool,
    ended: bool,
    /// Bytes written that were not yet acknowledged or given up.
    buffered: usize,
    /// Our INIT ACK, for when the INIT comes again: the supplier would begin a second association.
    init_ack: Vec<Bytes>,
}

impl Sctp {
    pub(super) fn new(limits: ChannelLimits, is_client: bool) -> Self {
        let server = Arc::new(ServerConfig::new(config(&limits)));
        Self {
            limits,
            is_client,
            max_remote_message: limits.max_message_bytes,
            endpoint: Endpoint::new(
                PEER,
                TransportProtocol::UDP,
                Arc::new(EndpointConfig::new()),
                Some(server),
            ),
            association: None,
            guard: Guard::new(receive_buffer(&limits)),
            channels: BTreeMap::new(),
            streams_ever: 0,
            connected: false,
            ended: false,
            buffered: 0,
            init_ack: Vec::new(),
        }
    }

    pub(super) fn set_remote(&mut self, parameters: &SctpParameters) {
        self.max_remote_message = match parameters.max_message_size {
            0 => usize::MAX,
            size => size as usize,
        };
    }

    /// Sends INIT, if that is ours to do and was not done.
    pub(super) fn begin(&mut self, now: Instant) {
        if !self.is_client || self.association.is_some() || self.ended {
            return;
        }
        // It fails only for an endpoint with billions of associations.
        let connected = self
            .endpoint
            .connect(now, ClientConfig::new(config(&self.limits)), PEER);
        self.association = connected.ok();
    }

    /// Reads a packet.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        packet: BytesMut,
        events: &mut VecDeque<TransportEvent>,
    ) -> Vec<Bytes> {
        if self.ended {
            return Vec::new();
        }
        let init = matches!(
            Chunks::new(&packet).next(),
            Some(Some(Chunk::Init { ack: false, .. }))
        );
        if init && self.association.is_some() {
            // Either a repetition, or the DTLS server's own INIT, which needs no answer since the client's
            // makes the association too (RFC 9260 section 5.2.1).
            return if self.connected {
                Vec::new()
            } else {
                self.init_ack.clone()
            };
        }
        let (channels, limit) = (&self.channels, self.limits.max_channels + EXTRA_STREAMS);
        let room = channels.len() < limit && self.streams_ever < MAX_STREAMS_EVER;
        let takes = |stream| room || channels.contains_key(&stream);
        match self.guard.admit(&packet, takes) {
            Verdict::Pass => {}
            Verdict::Drop => return Vec::new(),
            Verdict::Abort => {
                if let Some((_, association)) = &mut self.association {
                    let _ = association.abort();
                }
                return self.drive(now, events);
            }
        }
        let is_closing = |stream| channels.get(&stream).is_some_and(Channel::is_closing);
        let packet = sink::divert(packet, is_closing);
        match self.endpoint.handle(now, PEER, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association)))
                if !self.is_client && self.association.is_none() =>
            {
                self.association = Some((handle, association));
                let out = self.drive(now, events);
                self.init_ack.clone_from(&out);
                return out;
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((known, association)) = &mut self.association
                    && *known == handle
                {
                    association.handle_event(event);
                }
            }
            _ => {}
        }
        self.drive(now, events)
    }

    /// Ends the association, when the wire does.
    pub(super) fn abort(&mut self, now: Instant) -> Vec<Bytes> {
        if let Some((_, association)) = &mut self.association {
            let _ = association.abort();
        }
        let out = self.flush(now);
        self.ended = true;
        self.connected = false;
        out
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let (_, association) = self.association.as_ref()?;
        association.poll_timeout()
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        events: &mut VecDeque<TransportEvent>,
    ) -> Vec<Bytes> {
        let due = self.poll_timeout().is_some_and(|due| due <= now);
        match &mut self.association {
            Some((_, association)) if due => association.handle_timeout(now),
            _ => return Vec::new(),
        }
        self.drive(now, events)
    }

    /// Moves out what the supplier wants to send.
    pub(super) fn flush(&mut self, now: Instant) -> Vec<Bytes> {
        let mut out = Vec::new();
        if let Some((_, association)) = &mut self.association {
            while let Some(transmit) = association.poll_transmit(now) {
                if let Payload::RawEncode(packets) = transmit.message {
                    out.extend(packets);
                }
            }
        }
        for packet in &out {
            self.guard.observe(packet);
        }
        out
    }

    /// Acts on what the supplier reports, then sends.
    fn drive(&mut self, now: Instant, events: &mut VecDeque<TransportEvent>) -> Vec<Bytes> {
        while let Some((_, association)) = &mut self.association {
            let Some(event) = association.poll() else {
                break;
            };
            match event {
                Event::Connected => {
                    self.connected = true;
                    self.init_ack = Vec::new();
                    // Data may have come along with the last packet of the handshake.
                    let streams = association.stream_ids();
                    streams
                        .into_iter()
                        .for_each(|id| self.read(now, id, events));
                }
                Event::HandshakeFailed { .. } => self.ended = true,
                Event::AssociationLost { id, .. } => {
                    if let Some(channel) = self.channels.remove(&id)
                        && channel.is_known_above()
                    {
                        events.push_back(TransportEvent::ChannelClosed { id });
                    }
                }
                Event::Stream(StreamEvent::Opened { id }) => {
                    self.streams_ever += 1;
                    self.channels.entry(id).or_insert(Channel {
                        state: ChannelState::Unnamed,
                        reliability: ChannelReliability::default(),
                    });
                }
                Event::Stream(StreamEvent::Readable { id }) if self.connected => {
                    self.read(now, id, events);
                }
                Event::Stream(StreamEvent::BufferedAmountReleased { n_bytes, .. }) => {
                    self.buffered = self.buffered.saturating_sub(n_bytes);
                }
                _ => {}
            }
        }
        let out = self.flush(now);
        let closed = self.association.as_ref();
        if self.connected && closed.is_some_and(|(_, association)| association.is_closed()) {
            self.connected = false;
            self.ended = true;
        }
        out
    }
}

fn config(limits: &ChannelLimits) -> TransportConfig {
    let max_message = u32::try_from(limits.max_message_bytes).unwrap_or(u32::MAX);
    TransportConfig::default()
        .with_max_receive_buffer_size(receive_buffer(limits))
        .with_max_message_size(max_message)
        .with_max_num_inbound_streams(MAX_STREAMS)
        .with_max_num_outbound_streams(MAX_STREAMS)
}

/// The receive window: a few of the longest messages.
fn receive_buffer(limits: &ChannelLimits) -> u32 {
    let bytes = limits.max_message_bytes.saturating_mul(4);
    bytes.clamp(128 * 1024, 1024 * 1024) as u32
}

/// Serial number comparison of TSNs (RFC 9260 section 1.6).
fn before(left: u32, right: u32) -> bool {
    left != right && right.wrapping_sub(left) < 1 << 31
}
