//! The few STUN messages (RFC 8489) that an ICE-lite agent reads and writes. The asking half is in
//! [`super::check`].
//!
//! Read in place and never copied: checks arrive before anything is known about their sender.

use std::net::{IpAddr, SocketAddr};

use ring::hmac;

pub(crate) const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
pub(crate) const HEADER_LEN: usize = 20;
pub(crate) const BINDING_REQUEST: u16 = 0x0001;
const BINDING_INDICATION: u16 = 0x0011;
pub(crate) const BINDING_SUCCESS: u16 = 0x0101;
pub(super) const BINDING_ERROR: u16 = 0x0111;

pub(crate) const USERNAME: u16 = 0x0006;
pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(crate) const ERROR_CODE: u16 = 0x0009;
pub(crate) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
pub(crate) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
pub(crate) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub(super) const PRIORITY: u16 = 0x0024;
pub(super) const USE_CANDIDATE: u16 = 0x0025;
pub(crate) const FINGERPRINT: u16 = 0x8028;
pub(super) const ICE_CONTROLLED: u16 = 0x8029;
pub(super) const ICE_CONTROLLING: u16 = 0x802a;

/// More attributes than that are in no check of any browser.
const MAX_ATTRIBUTES: usize = 32;
/// Unknown attributes that one error response names.
const MAX_UNKNOWN: usize = 8;

/// Why a STUN message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StunError {
    /// Not a whole STUN message.
    Malformed,
    /// A message other than a binding request or indication.
    Unexpected,
    /// The FINGERPRINT attribute is missing, or not the message's (RFC 8489 section 14.7).
    Fingerprint,
    /// USERNAME, PRIORITY or MESSAGE-INTEGRITY is missing (RFC 8445 section 7.1).
    Missing,
    /// The USERNAME names no credentials of ours.
    Username,
    /// The MESSAGE-INTEGRITY was made with another password.
    Integrity,
    /// The remote side claims our role; it was told so (RFC 8445 section 7.3.1.1).
    RoleConflict,
    /// A comprehension-required attribute is unknown; the remote side was told (RFC 8489 section 6.3.1).
    UnknownAttribute,
}

/// What a datagram that looked like STUN is.
#[derive(Debug)]
pub(crate) enum StunMessage<'a> {
    Request(BindingRequest<'a>),
    /// A keepalive; it refreshes no consent (RFC 7675).
    Indication,
}

/// A binding request with a right FINGERPRINT, not authenticated yet.
#[derive(Debug)]
pub(crate) struct BindingRequest<'a> {
    pub(super) transaction: [u8; 12],
    /// `local:remote` from the receiver's point of view.
    pub(crate) username: &'a str,
    pub(super) priority: u32,
    pub(crate) use_candidate: bool,
    /// The sender believes to be controlled, as we are.
    pub(super) controlled: bool,
    /// Comprehension-required attributes that are not known, zeros after the last.
    pub(super) unknown: [u16; MAX_UNKNOWN],
    integrity: &'a [u8],
    /// The message up to the MESSAGE-INTEGRITY attribute.
    covered: &'a [u8],
}

/// The local ufrag in the USERNAME of a binding request: whose check it is, before anything is verified.
pub fn stun_username(datagram: &[u8]) -> Option<&str> {
    let (BINDING_REQUEST, body) = split(datagram)? else {
        return None;
    };
    let attribute = Attributes::new(body).find(|attribute| attribute.kind == USERNAME)?;
    let username = std::str::from_utf8(attribute.value).ok()?;
    Some(username.split_once(':')?.0)
}

impl<'a> StunMessage<'a> {
    pub(crate) fn parse(datagram: &'a [u8]) -> Result<Self, StunError> {
        let (kind, body) = split(datagram).ok_or(StunError::Malformed)?;
        match kind {
            BINDING_REQUEST => BindingRequest::parse(datagram, body).map(StunMessage::Request),
            BINDING_INDICATION => Ok(StunMessage::Indication),
            _ => Err(StunError::Unexpected),
        }
    }
}

impl<'a> BindingRequest<'a> {
    fn parse(datagram: &'a [u8], body: &'a [u8]) -> Result<Self, StunError> {
        let transaction = datagram.get(8..20).and_then(|id| id.try_into().ok());
        let mut username = None;
        let mut priority = None;
        let mut integrity = None;
        let mut fingerprint = None;
        let mut request = Self {
            transaction: transaction.ok_or(StunError::Malformed)?,
            username: "",
            priority: 0,
            use_candidate: false,
            controlled: false,
            unknown: [0; MAX_UNKNOWN],
            integrity: &[],
            covered: &[],
        };
        let mut attributes = Attributes::new(body);
        let mut unknown = 0;
        for attribute in attributes.by_ref() {
            let value = attribute.value;
            // What follows MESSAGE-INTEGRITY is not protected by it (RFC 8489 section 14.5).
            match attribute.kind {
                FINGERPRINT => fingerprint = Some((attribute.offset, value)),
                _ if integrity.is_some() => {}
                USERNAME => username = Some(value),
                PRIORITY => priority = value.try_into().ok().map(u32::from_be_bytes),
                USE_CANDIDATE => request.use_candidate = true,
                ICE_CONTROLLED => request.controlled = true,
                MESSAGE_INTEGRITY => integrity = Some((attribute.offset, value)),
                MESSAGE_INTEGRITY_SHA256 | 0x8000.. => {}
                kind => {
                    if let Some(slot) = request.unknown.get_mut(unknown) {
                        *slot = kind;
                        unknown += 1;
                    }
                }
            }
        }
        if attributes.malformed {
            return Err(StunError::Malformed);
        }
        let (offset, value) = fingerprint.ok_or(StunError::Fingerprint)?;
        let covered = datagram.get(..HEADER_LEN + offset);
        let covered = covered.ok_or(StunError::Malformed)?;
        // FINGERPRINT is the last attribute.
        if value != fingerprint_of(covered) || offset + 8 != body.len() {
            return Err(StunError::Fingerprint);
        }
        let (offset, value) = integrity.ok_or(StunError::Missing)?;
        request.covered = datagram.get(..HEADER_LEN + offset).unwrap_or_default();
        request.integrity = value;
        request.priority = priority.ok_or(StunError::Missing)?;
        request.username = username
            .and_then(|username| std::str::from_utf8(username).ok())
            .ok_or(StunError::Missing)?;
        Ok(request)
    }

    /// Whether the MESSAGE-INTEGRITY was made with the key of this password.
    pub(crate) fn is_from_holder_of(&self, key: &hmac::Key) -> bool {
        is_signed(self.covered, self.integrity, key)
    }

    /// The answer that the check succeeded, to be sent back to `remote`.
    pub(crate) fn success(&self, remote: SocketAddr, key: &hmac::Key) -> Vec<u8> {
        let mut response = Writer::new(BINDING_SUCCESS, &self.transaction);
        response.xor_address(XOR_MAPPED_ADDRESS, remote);
        response.finish(key)
    }

    /// 487: the sender must take the controlling role.
    pub(super) fn role_conflict(&self, key: &hmac::Key) -> Vec<u8> {
        let mut response = Writer::new(BINDING_ERROR, &self.transaction);
        response.attribute(ERROR_CODE, &error_code(487, b"Role Conflict"));
        response.finish(key)
    }

    /// 420: the sender must not use these attributes.
    pub(super) fn unknown_attribute(&self, key: &hmac::Key) -> Vec<u8> {
        let mut response = Writer::new(BINDING_ERROR, &self.transaction);
        response.attribute(ERROR_CODE, &error_code(420, b"Unknown Attribute"));
        let unknown = self.unknown.iter().filter(|&&kind| kind != 0);
        let unknown: Vec<u8> = unknown.flat_map(|kind| kind.to_be_bytes()).collect();
        response.attribute(UNKNOWN_ATTRIBUTES, &unknown);
        response.finish(key)
    }
}

/// The HMAC key of a short-term password (RFC 8489 section 9.1.1).
pub(crate) fn integrity_key(password: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes())
}

/// Whether `integrity` is the MESSAGE-INTEGRITY of what precedes it.
pub(crate) fn is_signed(covered: &[u8], integrity: &[u8], key: &hmac::Key) -> bool {
    let Some(header) = covered.get(..HEADER_LEN) else {
        return false;
    };
    // The length in the header counts up to the end of MESSAGE-INTEGRITY (RFC 8489 section 14.5).
    let length = (covered.len() - HEADER_LEN + 24) as u16;
    let mut context = hmac::Context::with_key(key);
    context.update(&header[..2]);
    context.update(&length.to_be_bytes());
    context.update(&covered[4..]);
    ::crypto::constant_time_eq(context.sign().as_ref(), integrity)
}

/// The type and the attributes of a whole message.
pub(crate) fn split(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let (header, body) = datagram.split_first_chunk::<HEADER_LEN>()?;
    let kind = u16::from_be_bytes([header[0], header[1]]);
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    (header[4..8] == MAGIC_COOKIE && length == body.len() && length % 4 == 0)
        .then_some((kind, body))
}

pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
    /// Where the attribute's header starts in the body.
    pub(crate) offset: usize,
}

pub(crate) struct Attributes<'a> {
    body: &'a [u8],
    offset: usize,
    left: usize,
    pub(crate) malformed: bool,
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self {
            body,
            offset: 0,
            left: MAX_ATTRIBUTES,
            malformed: false,
        }
    }

    fn read(&mut self) -> Option<Attribute<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (header, rest) = self.body.get(self.offset..)?.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let value = rest.get(..length)?;
        let offset = self.offset;
        self.offset += 4 + length.next_multiple_of(4);
        Some(Attribute {
            kind: u16::from_be_bytes([header[0], header[1]]),
            value,
            offset,
        })
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        if self.offset == self.body.len() || self.malformed {
            return None;
        }
        let attribute = self.read();
        self.malformed = attribute.is_none();
        attribute
    }
}

/// A message being written.
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(kind: u16, transaction: &[u8; 12]) -> Self {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE);
        bytes.extend_from_slice(transaction);
        Self { bytes }
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes
            .extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.set_length(0);
    }

    /// Section 14.2 of RFC 8489: the port and the address, XORed with the cookie and the transaction.
    pub(crate) fn xor_address(&mut self, kind: u16, address: SocketAddr) {
        let port = address.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
        let mut value = [0; 20];
        value[2..4].copy_from_slice(&port.to_be_bytes());
        let mask = self.bytes.get(4..20).unwrap_or_default().to_vec();
        let mut xor = |address: &[u8]| {
            for (out, (byte, mask)) in value[4..].iter_mut().zip(address.iter().zip(&mask)) {
                *out = byte ^ mask;
            }
            address.len()
        };
        let (family, length) = match address.ip() {
            IpAddr::V4(address) => (1, xor(&address.octets())),
            IpAddr::V6(address) => (2, xor(&address.octets())),
        };
        value[1] = family;
        self.attribute(kind, &value[..4 + length]);
    }

    /// Writes the length of the message as it will be with `more` bytes.
    fn set_length(&mut self, more: usize) {
        let length = (self.bytes.len() - HEADER_LEN + more) as u16;
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }

    /// Adds a fingerprint, where nothing vouches for the message.
    pub(crate) fn finish_unsigned(mut self) -> Vec<u8> {
        self.set_length(8);
        let fingerprint = fingerprint_of(&self.bytes);
        self.attribute(FINGERPRINT, &fingerprint);
        self.bytes
    }

    /// The message without integrity and without a fingerprint.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds integrity and fingerprint.
    pub(crate) fn finish(mut self, key: &hmac::Key) -> Vec<u8> {
        self.set_length(24);
        let tag = hmac::sign(key, &self.bytes);
        self.attribute(MESSAGE_INTEGRITY, tag.as_ref());
        self.finish_unsigned()
    }
}

/// The address in an attribute that [`Writer::xor_address`] writes.
pub(crate) fn read_xor_address(value: &[u8], transaction: &[u8; 12]) -> Option<SocketAddr> {
    let ([_, family, high, low], address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([high ^ MAGIC_COOKIE[0], low ^ MAGIC_COOKIE[1]]);
    let mut mask = MAGIC_COOKIE.iter().chain(transaction);
    let mut unmask = |byte: &u8| byte ^ mask.next().unwrap_or(&0);
    let ip: IpAddr = match family {
        1 => <[u8; 4]>::try_from(address)
            .ok()?
            .each_ref()
            .map(&mut unmask)
            .into(),
        2 => <[u8; 16]>::try_from(address)
            .ok()?
            .each_ref()
            .map(&mut unmask)
            .into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

pub(crate) fn fingerprint_of(covered: &[u8]) -> [u8; 4] {
    ::stun::fingerprint::fingerprint_value(covered).to_be_bytes()
}

pub(crate) fn error_code(code: u16, reason: &[u8]) -> Vec<u8> {
    let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
    value.extend_from_slice(reason);
    value
}
