//! The channels of an association: opened, written, read and reset, each on the stream of its id.

use std::collections::VecDeque;
use std::time::Instant;

use ::sctp::PayloadProtocolIdentifier;
use bytes::Bytes;

use super::dcep::{self, Dcep};
use super::{MAX_STREAMS_EVER, Sctp};
use crate::transport::wire::TransportEvent;
use crate::transport::{ChannelError, ChannelReliability, MessageKind};

#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub(super) state: ChannelState,
    pub(super) reliability: ChannelReliability,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelState {
    /// The remote side uses the stream, but has not opened a channel on it.
    Unnamed,
    /// We opened it, and the remote side has not answered.
    Opening,
    Open,
    /// We reset it and wait for the remote side to do so; `true` if the channel was known above.
    Closing(bool),
}

impl Sctp {
    /// Opens a channel on a stream of our parity (RFC 8832 section 6).
    pub(in crate::transport) fn open(
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

    pub(in crate::transport) fn send(
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

    pub(in crate::transport) fn close(&mut self, now: Instant, id: u16) {
        let state = self.channels.get(&id).map(|channel| channel.state);
        if matches!(state, Some(ChannelState::Open | ChannelState::Opening)) {
            self.reset(now, id, true);
        }
    }

    /// Reads all whole messages of a stream.
    pub(super) fn read(&mut self, now: Instant, id: u16, events: &mut VecDeque<TransportEvent>) {
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
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.state, ChannelState::Closing(_))
    }

    pub(super) fn is_known_above(&self) -> bool {
        !matches!(
            self.state,
            ChannelState::Unnamed | ChannelState::Closing(false)
        )
    }
}
