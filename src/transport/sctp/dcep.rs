//! The Data Channel Establishment Protocol (RFC 8832), in our words.

use std::time::Duration;

use ::datachannel::message::Message;
use ::datachannel::message::message_channel_ack::DataChannelAck;
use ::datachannel::message::message_channel_open::{
    CHANNEL_PRIORITY_NORMAL, ChannelType, DataChannelOpen,
};
use ::sctp::ReliabilityType;
use ::shared::marshal::{Marshal, Unmarshal};
use bytes::BytesMut;

use crate::transport::{ChannelInfo, ChannelReliability, ReliabilityLimit};

/// The longest label and subprotocol that are stored, in bytes.
pub(super) const MAX_NAME_LEN: usize = 1024;

/// A message from the peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dcep {
    Open(ChannelInfo),
    Ack,
}

impl Dcep {
    /// None for what is malformed, too long, or no text.
    pub(super) fn parse(id: u16, mut message: &[u8]) -> Option<Self> {
        match Message::unmarshal(&mut message).ok()? {
            Message::DataChannelOpen(open) => {
                let name = |bytes: Vec<u8>| {
                    let text = String::from_utf8(bytes).ok();
                    text.filter(|text| text.len() <= MAX_NAME_LEN)
                };
                Some(Self::Open(ChannelInfo {
                    id,
                    reliability: reliability(open.channel_type, open.reliability_parameter),
                    priority: open.priority,
                    label: name(open.label)?,
                    protocol: name(open.protocol)?,
                }))
            }
            Message::DataChannelAck(_) => Some(Self::Ack),
            // The supplier's own, which no peer may send.
            _ => None,
        }
    }
}

/// DATA_CHANNEL_OPEN. None if the supplier cannot write it.
pub(super) fn open(
    label: &str,
    protocol: &str,
    reliability: ChannelReliability,
) -> Option<BytesMut> {
    let (channel_type, reliability_parameter) = channel_type(reliability);
    let open = Message::DataChannelOpen(DataChannelOpen {
        channel_type,
        priority: CHANNEL_PRIORITY_NORMAL,
        reliability_parameter,
        label: label.as_bytes().to_vec(),
        protocol: protocol.as_bytes().to_vec(),
    });
    open.marshal().ok()
}

/// DATA_CHANNEL_ACK.
pub(super) fn ack() -> Option<BytesMut> {
    Message::DataChannelAck(DataChannelAck {}).marshal().ok()
}

/// As the supplier's streams take it.
pub(super) fn stream_reliability(reliability: ChannelReliability) -> (ReliabilityType, u32) {
    match reliability.limit {
        None => (ReliabilityType::Reliable, 0),
        Some(ReliabilityLimit::Retransmits(count)) => (ReliabilityType::Rexmit, count),
        Some(ReliabilityLimit::Lifetime(time)) => (ReliabilityType::Timed, milliseconds(time)),
    }
}

fn reliability(channel_type: ChannelType, parameter: u32) -> ChannelReliability {
    let retransmits = Some(ReliabilityLimit::Retransmits(parameter));
    let lifetime = Duration::from_millis(parameter.into());
    let lifetime = Some(ReliabilityLimit::Lifetime(lifetime));
    let (ordered, limit) = match channel_type {
        ChannelType::ReliableUnordered => (false, None),
        ChannelType::PartialReliableRexmit => (true, retransmits),
        ChannelType::PartialReliableRexmitUnordered => (false, retransmits),
        ChannelType::PartialReliableTimed => (true, lifetime),
        ChannelType::PartialReliableTimedUnordered => (false, lifetime),
        _ => (true, None),
    };
    ChannelReliability { ordered, limit }
}

fn channel_type(reliability: ChannelReliability) -> (ChannelType, u32) {
    match (reliability.limit, reliability.ordered) {
        (None, true) => (ChannelType::Reliable, 0),
        (None, false) => (ChannelType::ReliableUnordered, 0),
        (Some(ReliabilityLimit::Retransmits(count)), true) => {
            (ChannelType::PartialReliableRexmit, count)
        }
        (Some(ReliabilityLimit::Retransmits(count)), false) => {
            (ChannelType::PartialReliableRexmitUnordered, count)
        }
        (Some(ReliabilityLimit::Lifetime(time)), true) => {
            (ChannelType::PartialReliableTimed, milliseconds(time))
        }
        (Some(ReliabilityLimit::Lifetime(time)), false) => (
            ChannelType::PartialReliableTimedUnordered,
            milliseconds(time),
        ),
    }
}

fn milliseconds(time: Duration) -> u32 {
    time.as_millis().try_into().unwrap_or(u32::MAX)
}
