//! Data channels (RFC 8831) over SCTP (RFC 9260) over DTLS.
//!
//! Called by [`super::Transport`] with what DTLS decrypted, once both DTLS and the m-line are there. One
//! association in all, never another after it ended. The DTLS client starts it.

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
    Payload, PayloadProtocolIdentifier, ServerConfig, StreamEvent, TransportConfig,
};
use ::shared::TransportProtocol;
use bytes::{Bytes, BytesMut};

use self::dcep::Dcep;
use self::guard::{Guard, MAX_STREAMS, Verdict};
use self::packet::{Chunk, Chunks};
use super::channel::{ChannelError, ChannelLimits, ChannelReliability, MessageKind};
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

#[derive(Clone, Copy, Debug)]
struct Channel {
    state: ChannelState,
    reliability: ChannelReliability,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChannelState {
    /// The remote side uses the stream, but has not opened a channel on it.
    Unnamed,
    /// We opened it, and the remote side has not answered.
    Opening,
    Open,
    /// We reset it and wait for the remote side to do so; `true` if the channel was known above.
    Closing(bool),
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

    /// Opens a channel on a stream of our parity (RFC 8832 section 6).
    pub(super) fn open(
        &mut self,
        now: Instant,
        label: &str,
        protocol: &str,
        reliability: ChannelReliability,
    ) -> Result<u16, ChannelError> {
        if label.len() > dcep::MAX_NAME_LEN || protocol.len() > dcep::MAX_NAME_LEN {
            return Err(ChannelError::TooLarge);
        }
        if self.open_channels() >= self.limits.max_channels || self.streams_ever >= MAX_STREAMS_EVER
        {
            return Err(ChannelError::TooMany);
        }
        let (true, Some((_, association))) = (self.connected, &mut self.association) else {
            return Err(ChannelError::NotConnected);
        };
        let streams = association.negotiated_max_streams().unwrap_or(0);
        let first = u16::from(!self.is_client);
        let mut free = (first..streams).step_by(2);
        let id = free.find(|id| !self.channels.contains_key(id));
        let id = id.ok_or(ChannelError::TooMany)?;
        let open = dcep::open(label, protocol, reliability).ok_or(ChannelError::TooLarge)?;
        let opened = association.open_stream(id, PayloadProtocolIdentifier::Binary);
        opened.map_err(|_| ChannelError::TooMany)?;
        let state = ChannelState::Opening;
        self.channels.insert(id, Channel { state, reliability });
        self.streams_ever += 1;
        self.apply_reliability(id);
        self.write(now, id, PayloadProtocolIdentifier::Dcep, &open)?;
        Ok(id)
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        id: u16,
        kind: MessageKind,
        data: &[u8],
    ) -> Result<(), ChannelError> {
        if !self.connected {
            return Err(ChannelError::NotConnected);
        }
        let state = self.channels.get(&id).map(|channel| channel.state);
        if !matches!(state, Some(ChannelState::Open | ChannelState::Opening)) {
            return Err(ChannelError::NoSuchChannel);
        }
        if data.len() > self.limits.max_message_bytes.min(self.max_remote_message) {
            return Err(ChannelError::TooLarge);
        }
        if self.buffered + data.len() > self.limits.max_buffered_bytes {
            return Err(ChannelError::Full);
        }
        // SCTP has no empty messages: a zero byte stands for them (RFC 8831 section 6.6).
        let (ppi, data): (_, &[u8]) = match (kind, data.is_empty()) {
            (MessageKind::Text, false) => (PayloadProtocolIdentifier::String, data),
            (MessageKind::Binary, false) => (PayloadProtocolIdentifier::Binary, data),
            (MessageKind::Text, true) => (PayloadProtocolIdentifier::StringEmpty, &[0]),
            (MessageKind::Binary, true) => (PayloadProtocolIdentifier::BinaryEmpty, &[0]),
        };
        self.write(now, id, ppi, data)
    }

    pub(super) fn close(&mut self, now: Instant, id: u16) {
        let state = self.channels.get(&id).map(|channel| channel.state);
        if matches!(state, Some(ChannelState::Open | ChannelState::Opening)) {
            self.reset(now, id, true);
        }
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

    /// Reads all whole messages of a stream.
    fn read(&mut self, now: Instant, id: u16, events: &mut VecDeque<TransportEvent>) {
        loop {
            let Some((_, association)) = &mut self.association else {
                return;
            };
            let Ok(mut stream) = association.stream(id) else {
                return;
            };
            let Ok(Some(chunks)) = stream.read_sctp() else {
                return;
            };
            match chunks.to_payload(self.limits.max_message_bytes) {
                Ok(data) => self.handle_message(now, id, chunks.ppi, data.freeze(), events),
                // More than max-message-size said.
                Err(_) => self.reset(now, id, true),
            }
        }
    }

    fn handle_message(
        &mut self,
        now: Instant,
        id: u16,
        ppi: PayloadProtocolIdentifier,
        data: Bytes,
        events: &mut VecDeque<TransportEvent>,
    ) {
        let (kind, data) = match ppi {
            PayloadProtocolIdentifier::Dcep => return self.handle_dcep(now, id, &data, events),
            PayloadProtocolIdentifier::String => (MessageKind::Text, data),
            PayloadProtocolIdentifier::Binary => (MessageKind::Binary, data),
            PayloadProtocolIdentifier::StringEmpty => (MessageKind::Text, Bytes::new()),
            PayloadProtocolIdentifier::BinaryEmpty => (MessageKind::Binary, Bytes::new()),
            _ => return,
        };
        // Messages on a stream that nobody opened here are of a channel that only the remote side
        // negotiated by itself; nobody knows what it is.
        let state = self.channels.get(&id).map(|channel| channel.state);
        if matches!(state, Some(ChannelState::Open | ChannelState::Opening)) {
            self.acknowledge(id);
            events.push_back(TransportEvent::ChannelMessage { id, kind, data });
        }
    }

    fn handle_dcep(
        &mut self,
        now: Instant,
        id: u16,
        message: &[u8],
        events: &mut VecDeque<TransportEvent>,
    ) {
        let state = self.channels.get(&id).map(|channel| channel.state);
        match (state, Dcep::parse(id, message)) {
            (Some(ChannelState::Unnamed), Some(Dcep::Open(info))) => {
                let (true, Some(ack)) =
                    (self.open_channels() < self.limits.max_channels, dcep::ack())
                else {
                    return self.reset(now, id, false);
                };
                let (state, reliability) = (ChannelState::Open, info.reliability);
                self.channels.insert(id, Channel { state, reliability });
                self.apply_reliability(id);
                // A stream that was just read can be written.
                let _ = self.write(now, id, PayloadProtocolIdentifier::Dcep, &ack);
                events.push_back(TransportEvent::ChannelOpened(info));
            }
            (Some(ChannelState::Opening), Some(Dcep::Ack)) => self.acknowledge(id),
            (Some(ChannelState::Unnamed), _) => self.reset(now, id, false),
            _ => {}
        }
    }

    /// The remote side knows the channel now: messages need not be in order any more.
    fn acknowledge(&mut self, id: u16) {
        if let Some(channel) = self.channels.get_mut(&id)
            && channel.state == ChannelState::Opening
        {
            channel.state = ChannelState::Open;
            self.apply_reliability(id);
        }
    }

    /// Tells the supplier how to send on a stream. Until the remote side answered DATA_CHANNEL_OPEN all is
    /// sent in order behind it (RFC 8832 section 6).
    fn apply_reliability(&mut self, id: u16) {
        let Some((_, association)) = &mut self.association else {
            return;
        };
        if let (Some(channel), Ok(mut stream)) = (self.channels.get(&id), association.stream(id)) {
            let unordered = !channel.reliability.ordered && channel.state != ChannelState::Opening;
            let (kind, value) = dcep::stream_reliability(channel.reliability);
            // It fails only without the stream.
            let _ = stream.set_reliability_params(unordered, kind, value);
        }
    }

    fn write(
        &mut self,
        now: Instant,
        id: u16,
        ppi: PayloadProtocolIdentifier,
        data: &[u8],
    ) -> Result<(), ChannelError> {
        let (_, association) = self
            .association
            .as_mut()
            .ok_or(ChannelError::NotConnected)?;
        let stream = association.stream(id);
        let mut stream = stream.map_err(|_| ChannelError::NoSuchChannel)?;
        let written = stream.write_with_ppi(now, data, ppi);
        self.buffered += written.map_err(|_| ChannelError::NoSuchChannel)?;
        Ok(())
    }

    fn reset(&mut self, now: Instant, id: u16, known_above: bool) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.state = ChannelState::Closing(known_above && channel.is_known_above());
        }
        if let Some((_, association)) = &mut self.association
            && let Ok(mut stream) = association.stream(id)
        {
            // It fails only if the association is not up, and then its end closes the stream.
            let _ = stream.close(now);
        }
    }

    fn open_channels(&self) -> usize {
        let channels = self.channels.values();
        channels.filter(|channel| channel.is_known_above()).count()
    }
}

impl Channel {
    fn is_closing(&self) -> bool {
        matches!(self.state, ChannelState::Closing(_))
    }

    fn is_known_above(&self) -> bool {
        !matches!(
            self.state,
            ChannelState::Unnamed | ChannelState::Closing(false)
        )
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
