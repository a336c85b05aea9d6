//! The socket of one allocation.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::ops::RangeInclusive;

use rand::seq::IteratorRandom;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// Longest datagram that is relayed to a client. Media is far shorter.
const MAX_DATAGRAM: usize = 4_096;
/// Datagrams read in a row, so that the others of the thread get their turn.
const READS: usize = 32;
/// Ports of a range that are tried.
const TRIES: usize = 32;

/// Where the sockets of allocations are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RelayPlace {
    /// At the address that the client is told: there is nobody but this machine to relay to, and what others send there is dropped.
    Inside,
    /// On all its addresses, with a port of this range or one that the system chooses.
    Outside(Option<RangeInclusive<u16>>),
}

/// The socket of one allocation.
#[derive(Debug)]
pub(super) struct RelaySocket(UdpSocket);

impl RelaySocket {
    /// `ip` is the address that the client is told. Must be called on a tokio runtime.
    pub(super) fn open(place: &RelayPlace, ip: IpAddr) -> io::Result<Self> {
        let socket = match (place, ip) {
            (RelayPlace::Inside, _) => StdSocket::bind((ip, 0))?,
            (RelayPlace::Outside(ports), IpAddr::V4(_)) => {
                with_port(ports.as_ref(), Ipv4Addr::UNSPECIFIED.into())?
            }
            (RelayPlace::Outside(ports), IpAddr::V6(_)) => {
                with_port(ports.as_ref(), Ipv6Addr::UNSPECIFIED.into())?
            }
        };
        socket.set_nonblocking(true)?;
        Ok(Self(UdpSocket::from_std(socket)?))
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.0.local_addr()?.port())
    }

    /// Sends a datagram, or drops it as the network would.
    pub(super) fn send(&self, to: SocketAddr, data: &[u8]) {
        if let Err(error) = self.0.try_send_to(data, to) {
            tracing::trace!(%to, %error, "not relayed");
        }
    }

    /// Resolves when something may be read.
    pub(super) async fn readable(&self) {
        // An error is told by reading.
        let _ = self.0.readable().await;
    }

    /// Reads what is there.
    pub(super) fn read(&self, mut each: impl FnMut(SocketAddr, &[u8])) {
        // One byte more, so that a datagram that was cut is seen to be.
        let mut buffer = [0; MAX_DATAGRAM + 1];
        for _ in 0..READS {
            match self.0.try_recv_from(&mut buffer) {
                Ok((length, from)) if length <= MAX_DATAGRAM => {
                    each(from, buffer.get(..length).unwrap_or_default());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // What ICMP says about an earlier send.
                Err(error) => tracing::trace!(%error, "not read"),
            }
        }
    }
}

/// Tries ports of the range at random.
fn with_port(ports: Option<&RangeInclusive<u16>>, address: IpAddr) -> io::Result<StdSocket> {
    let bind = |port| {
        let family = Domain::for_address(SocketAddr::new(address, port));
        let socket = Socket::new(family, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // The same port of IPv4 may be another's.
            socket.set_only_v6(true)?;
        }
        socket.bind(&SocketAddr::new(address, port).into())?;
        Ok(StdSocket::from(socket))
    };
    let Some(ports) = ports else {
        return bind(0);
    };
    let tried = ports.clone().choose_multiple(&mut rand::rng(), TRIES);
    let mut result = Err(io::Error::from(io::ErrorKind::AddrInUse));
    for port in tried {
        result = bind(port);
        if result.is_ok() {
            break;
        }
    }
    result
}
