//! The asking half of connectivity checks (RFC 8445 section 7.2): requests, and the answers to them.
//!
//! The server is ICE-lite and never asks; the clients of the load generator do.

use ring::hmac;

use super::stun::{
    Attributes, BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, ERROR_CODE, FINGERPRINT,
    HEADER_LEN, ICE_CONTROLLED, ICE_CONTROLLING, MESSAGE_INTEGRITY, PRIORITY, StunError,
    USE_CANDIDATE, USERNAME, Writer, fingerprint_of, is_signed, split,
};

/// A check as a full agent sends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BindingCheck<'a> {
    /// Tells its answer from others.
    pub(crate) transaction: [u8; 12],
    /// The receiver's ufrag, a colon, and ours.
    pub(crate) username: &'a str,
    /// Of a peer-reflexive candidate that the receiver may make of it.
    pub(crate) priority: u32,
    /// Whether we are the controlling agent.
    pub(crate) controlling: bool,
    /// Settles who is, where both believe the same.
    pub(crate) tie_breaker: u64,
    /// Whether this nominates the pair; only for the controlling agent.
    pub(crate) nominates: bool,
}

impl BindingCheck<'_> {
    /// The message, signed with the key of the receiver's password.
    pub(crate) fn write(&self, key: &hmac::Key) -> Vec<u8> {
        let mut message = Writer::new(BINDING_REQUEST, &self.transaction);
        message.attribute(USERNAME, self.username.as_bytes());
        message.attribute(PRIORITY, &self.priority.to_be_bytes());
        let role = if self.controlling {
            ICE_CONTROLLING
        } else {
            ICE_CONTROLLED
        };
        message.attribute(role, &self.tie_breaker.to_be_bytes());
        if self.nominates {
            message.attribute(USE_CANDIDATE, &[]);
        }
        message.finish(key)
    }
}

/// The answer to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BindingAnswer {
    /// Of the check.
    pub(crate) transaction: [u8; 12],
    /// The error code; none where the check succeeded.
    pub(crate) error: Option<u16>,
}

impl BindingAnswer {
    /// Reads an answer; [`StunError::Unexpected`] for any other message. `key` is that of the password of
    /// who answers.
    pub(crate) fn parse(datagram: &[u8], key: &hmac::Key) -> Result<Self, StunError> {
        let (kind, body) = split(datagram).ok_or(StunError::Malformed)?;
        if !matches!(kind, BINDING_SUCCESS | BINDING_ERROR) {
            return Err(StunError::Unexpected);
        }
        let transaction = datagram.get(8..20).and_then(|id| id.try_into().ok());
        let mut code = None;
        let mut integrity = None;
        let mut attributes = Attributes::new(body);
        for attribute in attributes.by_ref() {
            let covered = datagram.get(..HEADER_LEN + attribute.offset);
            let covered = covered.ok_or(StunError::Malformed)?;
            match (attribute.kind, attribute.value) {
                (FINGERPRINT, value) if value != fingerprint_of(covered) => {
                    return Err(StunError::Fingerprint);
                }
                (MESSAGE_INTEGRITY, value) => {
                    integrity.get_or_insert(is_signed(covered, value, key));
                }
                (ERROR_CODE, &[_, _, class, number, ..]) if integrity.is_none() => {
                    code = Some(u16::from(class & 7) * 100 + u16::from(number));
                }
                _ => {}
            }
        }
        if attributes.malformed {
            return Err(StunError::Malformed);
        }
        match integrity {
            Some(true) => {}
            Some(false) => return Err(StunError::Integrity),
            None => return Err(StunError::Missing),
        }
        let error = (kind == BINDING_ERROR).then(|| code.unwrap_or_default());
        Ok(Self {
            transaction: transaction.ok_or(StunError::Malformed)?,
            error,
        })
    }
}
