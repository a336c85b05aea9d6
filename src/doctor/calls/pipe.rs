//! What carries messages to the server and back: datagrams, or a stream with frames in it.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use crate::load::target::web_socket::Bytes;
use crate::turn::frame_len;

/// No datagram of a media server is longer.
const MAX_DATAGRAM: usize = 2_048;

/// Where a message of a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Two bytes of length before each (RFC 4571).
    Length,
    /// As the messages of TURN say themselves, padded to four bytes (RFC 8656 section 12.5).
    Turn,
}

/// A way to a server, message by message.
pub(super) enum Pipe {
    /// A connected socket, so that refusals are heard.
    Datagrams(UdpSocket),
    /// A stream, and what was read of it that is no whole message yet.
    Stream {
        stream: Box<dyn Bytes>,
        framing: Framing,
        read: BytesMut,
    },
}

impl Pipe {
    /// A socket of its own that speaks with this address alone.
    pub(super) async fn datagrams(to: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(to).await?;
        let local = socket.local_addr()?;
        Ok((Self::Datagrams(socket), local))
    }

    pub(super) fn stream(stream: Box<dyn Bytes>, framing: Framing) -> Self {
        Self::Stream {
            stream,
            framing,
            read: BytesMut::new(),
        }
    }

    /// Sends one message.
    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => socket.send(message).await.map(|_| ()),
            Self::Stream {
                stream, framing, ..
            } => {
                let mut frame = Vec::with_capacity(message.len() + 4);
                if *framing == Framing::Length {
                    frame.extend_from_slice(&(message.len() as u16).to_be_bytes());
                }
                frame.extend_from_slice(message);
                if *framing == Framing::Turn {
                    frame.resize(frame.len().next_multiple_of(4), 0);
                }
                stream.write_all(&frame).await?;
                stream.flush().await
            }
        }
    }

    /// The next message. It may be dropped while it waits, and nothing gets lost.
    pub(super) async fn receive(&mut self) -> io::Result<BytesMut> {
        match self {
            Self::Datagrams(socket) => {
                let mut message = BytesMut::zeroed(MAX_DATAGRAM);
                let length = socket.recv(&mut message).await?;
                message.truncate(length);
                Ok(message)
            }
            Self::Stream {
                stream,
                framing,
                read,
            } => loop {
                if let Some(message) = framing.take(read)? {
                    return Ok(message);
                }
                if stream.read_buf(read).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            },
        }
    }
}

impl Framing {
    /// The first message, if there is a whole one.
    fn take(self, read: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let (head, length) = match self {
            Self::Length => match read.first_chunk::<2>() {
                Some(length) => (2, usize::from(u16::from_be_bytes(*length))),
                None => return Ok(None),
            },
            Self::Turn => match frame_len(read) {
                Ok(Some(length)) => (0, length),
                Ok(None) => return Ok(None),
                Err(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "no TURN")),
            },
        };
        if read.len() < head + length {
            return Ok(None);
        }
        let _ = read.split_to(head);
        Ok(Some(read.split_to(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_back_as_they_were_however_a_stream_cuts_them() {
        for (framing, messages) in [
            (Framing::Length, [&b"one"[..], b"", b"three"]),
            (
                Framing::Turn,
                [
                    &[0x40, 0, 0, 1, 9][..],
                    &[0x40, 1, 0, 0],
                    &[0x40, 2, 0, 4, 1, 2, 3, 4],
                ],
            ),
        ] {
            // Three bytes fit in between, so that everything is cut.
            let (near, far) = tokio::io::duplex(3);
            let mut near = Pipe::stream(Box::new(near), framing);
            let mut far = Pipe::stream(Box::new(far), framing);
            let sends = async {
                for message in messages {
                    near.send(message).await.unwrap();
                }
            };
            let reads = async {
                for message in messages {
                    let read = far.receive().await.unwrap();
                    assert_eq!(read[..message.len()], *message);
                }
            };
            tokio::join!(sends, reads);
            drop(near);
            let error = far.receive().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
