//! How the generator tells the forwarder of an endpoint: one datagram, which comes back.

/// Neither STUN, DTLS nor RTP begins so (RFC 7983).
const MAGIC: [u8; 8] = *b"XP-LIMIT";
const LEN: usize = MAGIC.len() + 8 + 4 + 4 + 2 + 1;
const RECEIVES: u8 = 1;

/// An endpoint of the generator. The forwarder sends the datagram back as it came; without an answer it is
/// repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// The run of the generator; a new one replaces all endpoints of the one before.
    pub(crate) run: u64,
    /// The endpoint's number, which makes its key.
    pub(crate) endpoint: u32,
    /// What its members send goes to all others of the room who receive.
    pub(crate) room: u32,
    /// The endpoint's UDP port. Its address is the one that the registration comes from, so that nobody
    /// can have packets sent elsewhere.
    pub(crate) port: u16,
    /// Whether it receives.
    pub(crate) receives: bool,
}

impl Registration {
    /// The whole datagram.
    pub(crate) fn datagram(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.run.to_be_bytes());
        out.extend_from_slice(&self.endpoint.to_be_bytes());
        out.extend_from_slice(&self.room.to_be_bytes());
        out.extend_from_slice(&self.port.to_be_bytes());
        out.push(if self.receives { RECEIVES } else { 0 });
        out
    }

    /// `None` for every other datagram.
    pub(crate) fn parse(datagram: &[u8]) -> Option<Self> {
        let fields = datagram.strip_prefix(&MAGIC)?;
        let (run, rest) = fields.split_first_chunk()?;
        let (endpoint, rest) = rest.split_first_chunk()?;
        let (room, rest) = rest.split_first_chunk()?;
        let (port, rest) = rest.split_first_chunk()?;
        let &[flags] = rest else { return None };
        Some(Self {
            run: u64::from_be_bytes(*run),
            endpoint: u32::from_be_bytes(*endpoint),
            room: u32::from_be_bytes(*room),
            port: u16::from_be_bytes(*port),
            receives: flags & RECEIVES != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_survives_its_datagram() {
        for receives in [false, true] {
            let registration = Registration {
                run: 0x0123_4567_89ab_cdef,
                endpoint: 7,
                room: 300,
                port: 40_000,
                receives,
            };
            let datagram = registration.datagram();
            assert_eq!(Registration::parse(&datagram), Some(registration));
            for len in 0..datagram.len() {
                assert_eq!(Registration::parse(&datagram[..len]), None);
            }
            assert_eq!(Registration::parse(&[&datagram[..], b"x"].concat()), None);
        }
        assert_eq!(Registration::parse(&[0x80; LEN]), None);
    }
}
