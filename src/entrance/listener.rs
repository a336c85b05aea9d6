//! One TCP port, and who comes in by it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::half_open::{HalfOpen, Loss, Place};
use super::stream::Stream;
use super::tls::Tls;

/// The first byte of whoever speaks TLS: a record that holds a handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// How long a client may take until its handshake is over.
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
}

/// Lets clients in until the main door is closed. Listeners may share their `half_open`. Must be called on a tokio runtime.
pub fn open(listener: TcpListener, tls: Option<Tls>, half_open: HalfOpen) -> Doors {
    let (to_main, main) = mpsc::channel(WAITING);
    let (to_plain, plain) = mpsc::channel(WAITING);
    let is_plain_expected = tls.is_none();
    let hall = Hall {
        tls,
        main: to_main,
        plain: to_plain,
        half_open,
    };
    tokio::spawn(hall.receive(listener));
    Doors {
        main: Door(main),
        plain: (!is_plain_expected).then_some(Door(plain)),
    }
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
    main: mpsc::Sender<Admitted>,
    plain: mpsc::Sender<Admitted>,
    half_open: HalfOpen,
}

impl Hall {
    async fn receive(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.main.closed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.welcome(stream, address).await,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted; is the limit of open files too low (ulimit -n)?");
                    let made_room = self.half_open.shed();
                    sleep(if made_room { SHORT_REST } else { REST }).await;
                }
            }
        }
    }

    async fn welcome(&self, stream: TcpStream, address: SocketAddr) {
        // Signalling is short messages that somebody waits for. Failing to say so only costs time.
        let _ = stream.set_nodelay(true);
        let (place, mut loss) = self.half_open.enter(address.ip());
        let Some(tls) = self.tls.clone() else {
            let admitted = Admitted {
                stream: Stream::Plain(stream),
                address,
                place,
                loss,
            };
            let _ = self.main.send(admitted).await;
            return;
        };
        let hall = self.clone();
        tokio::spawn(async move {
            let told = tokio::select! {
                told = timeout(PATIENCE, Self::tell_apart(&tls, stream)) => told,
                () = loss.happened() => return tracing::debug!(%address, "too many say nothing"),
            };
            let stream = match told {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%address, %error, "no handshake"),
                Err(_) => return tracing::debug!(%address, "no handshake in time"),
            };
            place.heard();
            let door = match stream {
                Stream::Tls(_) => &hall.main,
                Stream::Plain(_) => &hall.plain,
            };
            let _ = door
                .send(Admitted {
                    stream,
                    address,
                    place,
                    loss,
                })
                .await;
        });
    }

    async fn tell_apart(tls: &Tls, stream: TcpStream) -> io::Result<Stream> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first == [HANDSHAKE_RECORD] {
            let stream = tls.acceptor().accept(stream).await?;
            Ok(Stream::Tls(Box::new(stream)))
        } else {
            Ok(Stream::Plain(stream))
        }
    }
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
