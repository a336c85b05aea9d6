//! One TCP port, and who comes in by it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::acme;
use super::half_open::{HalfOpen, Loss, Place};
use super::stream::Stream;
use super::tls::Tls;

/// The first byte of whoever speaks TLS: a record that holds a handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// The first byte of whoever sends media: of the length of a STUN request, which is less than 512 bytes (RFC 4571); and of
/// whoever wants TURN: of the type of a STUN request. No request of HTTP begins so.
const FRAMED: std::ops::RangeInclusive<u8> = 0..=1;

/// Bytes 4 to 8 of each STUN message (RFC 8489 section 5).
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// How long a client may take until it is known what it speaks, its handshake included.
const PATIENCE: Duration = Duration::from_secs(10);

/// After the system refused a connection, for want of file handles mostly.
const REST: Duration = Duration::from_secs(1);
/// The same, where connections were ended for it: until they are closed.
const SHORT_REST: Duration = Duration::from_millis(20);

/// Those that are let in and not served yet. More wait outside.
const WAITING: usize = 64;

/// Connections of one kind, to be served. Dropping it closes it.
#[derive(Debug)]
pub struct Door(mpsc::Receiver<Admitted>);

/// A connection that was let in.
#[derive(Debug)]
pub struct Admitted {
    /// The bytes.
    pub stream: Stream,
    /// Whose.
    pub address: SocketAddr,
    /// Its place among those that are nothing yet. Drop it when it became something, such as a WebSocket.
    pub place: Place,
    /// When this happens before, the connection is to be dropped.
    pub loss: Loss,
}

/// What one port leads to.
#[derive(Debug)]
pub struct Doors {
    /// Where everything is served: in TLS where there is a certificate, else plain.
    pub main: Door,
    /// Who speaks no TLS where it is expected.
    pub plain: Option<Door>,
    /// Who sends media. Once this is dropped, they are turned away.
    pub media: MediaCallers,
    /// Who wants TURN, in TLS or plain. Once this is dropped, they are turned away.
    pub turn: TurnCallers,
}

/// Who comes to send media by TCP.
pub type MediaCallers = mpsc::Receiver<MediaCaller>;

/// Somebody who sends media in frames of a TCP connection (RFC 6544).
#[derive(Debug)]
pub struct MediaCaller {
    /// The connection, after its first frame.
    pub stream: TcpStream,
    /// The first frame with its length: a connectivity check, most likely.
    pub first: Vec<u8>,
}

/// Who comes for TURN by TCP.
pub type TurnCallers = mpsc::Receiver<TurnCaller>;

/// Somebody who speaks STUN and TURN (RFC 8656 section 3.1).
#[derive(Debug)]
pub struct TurnCaller {
    /// The connection.
    pub stream: Stream,
    /// What was read of it already.
    pub first: Vec<u8>,
    /// Whose.
    pub address: SocketAddr,
    /// Its place among those that are nothing yet.
    pub place: Place,
    /// When this happens before, the connection is to be dropped.
    pub loss: Loss,
}

/// Lets clients in until the main door is closed. Listeners may share their `half_open`. Must be called on a tokio runtime.
pub fn open(listener: TcpListener, tls: Option<Tls>, half_open: HalfOpen) -> Doors {
    let (to_main, main) = mpsc::channel(WAITING);
    let (to_plain, plain) = mpsc::channel(WAITING);
    let (to_media, media) = mpsc::channel(WAITING);
    let (to_turn, turn) = mpsc::channel(WAITING);
    let is_plain_expected = tls.is_none();
    let hall = Hall {
        tls,
        http: Some((to_main, to_plain)),
        media: Some(to_media),
        turn: Some(to_turn),
        half_open,
    };
    tokio::spawn(hall.receive(listener));
    Doors {
        main: Door(main),
        plain: (!is_plain_expected).then_some(Door(plain)),
        media,
        turn,
    }
}

/// Lets in who sends media and nobody else, until the receiver is dropped. Must be called on a tokio runtime.
pub fn open_for_media(listener: TcpListener, half_open: HalfOpen) -> MediaCallers {
    let (to_media, media) = mpsc::channel(WAITING);
    let hall = Hall {
        tls: None,
        http: None,
        media: Some(to_media),
        turn: None,
        half_open,
    };
    tokio::spawn(hall.receive(listener));
    media
}

/// Lets in who wants TURN and nobody else, until the receiver is dropped. Must be called on a tokio runtime.
pub fn open_for_turn(listener: TcpListener, tls: Option<Tls>, half_open: HalfOpen) -> TurnCallers {
    let (to_turn, turn) = mpsc::channel(WAITING);
    let hall = Hall {
        tls,
        http: None,
        media: None,
        turn: Some(to_turn),
        half_open,
    };
    tokio::spawn(hall.receive(listener));
    turn
}

impl Door {
    /// The next one; `None` once nobody comes any more.
    pub async fn next(&mut self) -> Option<Admitted> {
        self.0.recv().await
    }
}

/// Between the port and its doors.
#[derive(Clone)]
struct Hall {
    tls: Option<Tls>,
    /// The main door and the plain one, where HTTP is served.
    http: Option<(mpsc::Sender<Admitted>, mpsc::Sender<Admitted>)>,
    media: Option<mpsc::Sender<MediaCaller>>,
    turn: Option<mpsc::Sender<TurnCaller>>,
    half_open: HalfOpen,
}

impl Hall {
    async fn receive(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.closed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.welcome(stream, address),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted; is the limit of open files too low (ulimit -n)?");
                    let made_room = self.half_open.shed();
                    sleep(if made_room { SHORT_REST } else { REST }).await;
                }
            }
        }
    }

    /// Resolves when nobody is let in any more.
    async fn closed(&self) {
        match (&self.http, &self.media, &self.turn) {
            (Some((main, _)), ..) => main.closed().await,
            (None, Some(media), _) => media.closed().await,
            (None, None, Some(turn)) => turn.closed().await,
            (None, None, None) => {}
        }
    }

    fn welcome(&self, stream: TcpStream, address: SocketAddr) {
        // Signalling is short messages that somebody waits for. Failing to say so only costs time.
        let _ = stream.set_nodelay(true);
        let (place, mut loss) = self.half_open.enter(address.ip());
        let hall = self.clone();
        tokio::spawn(async move {
            let told = tokio::select! {
                told = timeout(PATIENCE, tell_apart(hall.tls.as_ref(), stream)) => told,
                () = loss.happened() => return tracing::debug!(%address, "too many say nothing"),
            };
            match told {
                // Where nobody takes them, they are closed.
                Ok(Ok(Guest::Media(caller))) => {
                    if let Some(media) = &hall.media {
                        let _ = media.send(caller).await;
                    }
                }
                Ok(Ok(Guest::Turn { stream, first })) => {
                    place.heard();
                    let caller = TurnCaller {
                        stream,
                        first,
                        address,
                        place,
                        loss,
                    };
                    if let Some(turn) = &hall.turn {
                        let _ = turn.send(caller).await;
                    }
                }
                Ok(Ok(Guest::Http(stream))) => {
                    place.heard();
                    hall.show_in(Admitted {
                        stream,
                        address,
                        place,
                        loss,
                    })
                    .await;
                }
                Ok(Ok(Guest::Authority)) => {
                    tracing::debug!(%address, "an ACME authority looked whether a name leads here");
                }
                Ok(Err(error)) => tracing::debug!(%address, %error, "nothing that is spoken here"),
                Err(_) => tracing::debug!(%address, "said nothing in time"),
            }
        });
    }

    /// Leads who speaks HTTP to its door.
    async fn show_in(&self, admitted: Admitted) {
        let Some((main, plain)) = &self.http else {
            tracing::debug!(address = %admitted.address, "HTTP is not served here");
            return;
        };
        let is_expected = matches!(admitted.stream, Stream::Tls(_)) == self.tls.is_some();
        let door = if is_expected { main } else { plain };
        let _ = door.send(admitted).await;
    }
}

/// What a client turned out to speak.
enum Guest {
    /// HTTP, most likely.
    Http(Stream),
    Media(MediaCaller),
    /// STUN without frames around it, with what was read of it.
    Turn {
        stream: Stream,
        first: Vec<u8>,
    },
    /// An ACME authority, which has seen what it wanted, and is to hear no more (RFC 8737 section 3).
    Authority,
}

async fn tell_apart(tls: Option<&Tls>, mut stream: TcpStream) -> io::Result<Guest> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match (first, tls) {
        ([byte], _) if FRAMED.contains(&byte) => {
            // Up to the cookie, wherever it is.
            let mut first = vec![0; 10];
            stream.read_exact(&mut first).await?;
            if first[4..8] == STUN_COOKIE {
                let stream = Stream::Plain(stream);
                return Ok(Guest::Turn { stream, first });
            }
            let first = read_check(&mut stream, first).await?;
            Ok(Guest::Media(MediaCaller { stream, first }))
        }
        ([HANDSHAKE_RECORD], Some(tls)) => {
            let mut stream = Box::new(tls.acceptor().accept(stream).await?);
            if stream.get_ref().1.alpn_protocol() == Some(acme::ALPN) {
                stream.shutdown().await?;
                return Ok(Guest::Authority);
            }
            let is_stun = matches!(stream.fill_buf().await?, [byte, ..] if FRAMED.contains(byte));
            let stream = Stream::Tls(stream);
            Ok(if is_stun {
                let first = Vec::new();
                Guest::Turn { stream, first }
            } else {
                Guest::Http(stream)
            })
        }
        _ => Ok(Guest::Http(Stream::Plain(stream))),
    }
}

/// Reads the rest of the first frame, which has to be a STUN message.
async fn read_check(stream: &mut TcpStream, mut frame: Vec<u8>) -> io::Result<Vec<u8>> {
    /// The frame's length, and a STUN header (RFC 8489 section 5).
    const HEAD: usize = 2 + 20;
    let read = frame.len();
    frame.resize(HEAD.max(read), 0);
    stream.read_exact(&mut frame[read..]).await?;
    let length = 2 + usize::from(u16::from_be_bytes([frame[0], frame[1]]));
    let is_stun = frame[6..10] == STUN_COOKIE;
    if !is_stun || length < HEAD {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no connectivity check",
        ));
    }
    frame.resize(length, 0);
    stream.read_exact(&mut frame[HEAD..]).await?;
    Ok(frame)
}

/// Whether the client went away before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
