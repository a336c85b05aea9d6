//! A message of a client, read in place: STUN (RFC 8489) with the attributes of TURN (RFC 8656 section 18).

use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::transport::stun::{
    Attributes, FINGERPRINT, HEADER_LEN, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, USERNAME,
    fingerprint_of, read_xor_address, split,
};

pub(super) const REALM: u16 = 0x0014;
pub(super) const NONCE: u16 = 0x0015;
pub(super) const CHANNEL_NUMBER: u16 = 0x000c;
pub(super) const LIFETIME: u16 = 0x000d;
pub(super) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(super) const DATA: u16 = 0x0013;
pub(super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub(super) const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
pub(super) const REQUESTED_TRANSPORT: u16 = 0x0019;
pub(super) const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
pub(super) const ADDRESS_ERROR_CODE: u16 = 0x8001;

/// What is added to the type of a request for that of its success and of its error (RFC 8489 section 5).
pub(super) const SUCCESS: u16 = 0x0100;
pub(super) const ERROR: u16 = 0x0110;
/// The type of an indication with data for the client.
pub(super) const DATA_INDICATION: u16 = 0x0017;

/// Peers that one request may name.
const MAX_PEERS: usize = 8;
/// Unknown attributes that one error names.
const MAX_UNKNOWN: usize = 4;

/// Whether a datagram on a port of media is for TURN or STUN: a request of theirs, or a Binding request that names no user and
/// so is for no peer (RFC 8445 section 7.3).
pub(crate) fn is_for_turn(datagram: &[u8]) -> bool {
    // Most datagrams are media.
    if !matches!(datagram.first(), Some(0 | 1)) {
        return false;
    }
    let Some((kind, body)) = split(datagram) else {
        return false;
    };
    match Method::of(kind) {
        Some(Method::Binding) => Attributes::new(body).all(|attribute| attribute.kind != USERNAME),
        Some(_) => true,
        None => false,
    }
}

/// Whether a datagram is data of an allocation's client in a Send indication (RFC 8656 section 11.1).
pub(crate) fn is_send_indication(datagram: &[u8]) -> bool {
    matches!(datagram, [0, 0x16, ..]) && is_for_turn(datagram)
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Binding,
    Allocate,
    Refresh,
    CreatePermission,
    ChannelBind,
    /// An indication: it is never answered.
    Send,
}

impl Method {
    fn of(kind: u16) -> Option<Self> {
        Some(match kind {
            0x0001 => Self::Binding,
            0x0003 => Self::Allocate,
            0x0004 => Self::Refresh,
            0x0008 => Self::CreatePermission,
            0x0009 => Self::ChannelBind,
            0x0016 => Self::Send,
            _ => return None,
        })
    }

    /// The type of a request.
    pub(super) fn kind(self) -> u16 {
        match self {
            Self::Binding => 0x0001,
            Self::Allocate => 0x0003,
            Self::Refresh => 0x0004,
            Self::CreatePermission => 0x0008,
            Self::ChannelBind => 0x0009,
            Self::Send => 0x0016,
        }
    }
}

/// An address family as attributes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(address: &SocketAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }
}

/// A request or indication, not authenticated. Of an attribute that comes twice the first counts.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) transaction: [u8; 12],
    pub(super) username: Option<&'a [u8]>,
    pub(super) realm: Option<&'a [u8]>,
    pub(super) nonce: Option<&'a [u8]>,
    /// The MESSAGE-INTEGRITY.
    pub(super) integrity: Option<&'a [u8]>,
    /// The message up to the MESSAGE-INTEGRITY.
    pub(super) covered: &'a [u8],
    pub(super) has_fingerprint: bool,
    /// Seconds.
    pub(super) lifetime: Option<u32>,
    /// The number of an IP protocol.
    pub(super) transport: Option<u8>,
    /// `Err` for a family that there is not.
    pub(super) family: Option<Result<Family, ()>>,
    pub(super) additional_family: Option<Result<Family, ()>>,
    pub(super) channel: Option<u16>,
    pub(super) peers: SmallVec<[SocketAddr; 2]>,
    pub(super) data: Option<&'a [u8]>,
    /// Comprehension-required attributes that are not known.
    pub(super) unknown: SmallVec<[u16; MAX_UNKNOWN]>,
}

impl<'a> Request<'a> {
    /// `None` for what no client of TURN or STUN sends.
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let (kind, body) = split(message)?;
        let mut request = Self {
            method: Method::of(kind)?,
            transaction: message.get(8..HEADER_LEN)?.try_into().ok()?,
            username: None,
            realm: None,
            nonce: None,
            integrity: None,
            covered: &[],
            has_fingerprint: false,
            lifetime: None,
            transport: None,
            family: None,
            additional_family: None,
            channel: None,
            peers: SmallVec::new(),
            data: None,
            unknown: SmallVec::new(),
        };
        let mut attributes = Attributes::new(body);
        for attribute in attributes.by_ref() {
            let before = message.get(..HEADER_LEN + attribute.offset)?;
            match attribute.kind {
                FINGERPRINT if attribute.value != fingerprint_of(before) => return None,
                FINGERPRINT => request.has_fingerprint = true,
                // What follows MESSAGE-INTEGRITY is not protected by it (RFC 8489 section 14.5).
                _ if request.integrity.is_some() => {}
                MESSAGE_INTEGRITY => {
                    request.integrity = Some(attribute.value);
                    request.covered = before;
                }
                kind => request.take(kind, attribute.value)?,
            }
        }
        (!attributes.malformed).then_some(request)
    }

    /// `None` where the value is not what it should be.
    fn take(&mut self, kind: u16, value: &'a [u8]) -> Option<()> {
        match kind {
            USERNAME => _ = self.username.get_or_insert(value),
            REALM => _ = self.realm.get_or_insert(value),
            NONCE => _ = self.nonce.get_or_insert(value),
            DATA => _ = self.data.get_or_insert(value),
            LIFETIME => {
                let seconds = u32::from_be_bytes(value.try_into().ok()?);
                self.lifetime.get_or_insert(seconds);
            }
            REQUESTED_TRANSPORT => _ = self.transport.get_or_insert(*value.first()?),
            REQUESTED_ADDRESS_FAMILY => _ = self.family.get_or_insert(family(value)?),
            ADDITIONAL_ADDRESS_FAMILY => _ = self.additional_family.get_or_insert(family(value)?),
            CHANNEL_NUMBER => {
                let [high, low, ..] = *value else { return None };
                self.channel.get_or_insert(u16::from_be_bytes([high, low]));
            }
            XOR_PEER_ADDRESS => {
                if self.peers.len() == MAX_PEERS {
                    return None;
                }
                self.peers.push(read_xor_address(value, &self.transaction)?);
            }
            MESSAGE_INTEGRITY_SHA256 | 0x8000.. => {}
            kind if self.unknown.len() < MAX_UNKNOWN => self.unknown.push(kind),
            _ => {}
        }
        Some(())
    }
}

fn family(value: &[u8]) -> Option<Result<Family, ()>> {
    Some(match value.first()? {
        1 => Ok(Family::V4),
        2 => Ok(Family::V6),
        _ => Err(()),
    })
}
