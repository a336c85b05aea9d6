//! One TCP port, and who comes in by it.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::half_open::HalfOpen;
use super::stream::Stream;
use super::tls::Tls;

/// The first byte of whoever speaks TLS: a record that holds a handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// How long a client may take until its handshake is over.
const PATIENCE: Duration = Duration::from_secs(10);

/// After the system refused a connection, for want of file handles mostly.
const REST: Duration = Duration::from_secs(1);

/// Those that are let in and not served yet. More wait outside.
const WAITING: usize = 64;

/// Connections of one kind, to be served. Dropping it closes it.
#[derive(Debug)]
pub struct Door {
    admitted: mpsc::Receiver<(Stream, SocketAddr)>,
    address: SocketAddr,
}

/// What one port leads to.
#[derive(Debug)]
pub struct Doors {
    /// Where everything is served: in TLS where there is a certificate, else plain.
    pub main: Door,
    /// Who speaks no TLS where it is expected.
    pub plain: Option<Door>,
}

/// Lets clients in until the main door is closed. Must be called on a tokio runtime.
pub fn open(listener: TcpListener, tls: Option<Tls>) -> io::Result<Doors> {
    let address = listener.local_addr()?;
    let (to_main, main) = mpsc::channel(WAITING);
    let (to_plain, plain) = mpsc::channel(WAITING);
    let is_plain_expected = tls.is_none();
    let hall = Hall {
        tls,
        main: to_main,
        plain: to_plain,
        half_open: HalfOpen::default(),
    };
    tokio::spawn(hall.receive(listener));
    let door = |admitted| Door { admitted, address };
    Ok(Doors {
        main: door(main),
        plain: (!is_plain_expected).then(|| door(plain)),
    })
}

impl Listener for Door {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match self.admitted.recv().await {
            Some(admitted) => admitted,
            // Nobody comes any more.
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Between the port and its doors.
#[derive(Clone)]
struct Hall {
    tls: Option<Tls>,
    main: mpsc::Sender<(Stream, SocketAddr)>,
    plain: mpsc::Sender<(Stream, SocketAddr)>,
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
                    sleep(REST).await;
                }
            }
        }
    }

    async fn welcome(&self, stream: TcpStream, address: SocketAddr) {
        // Signalling is short messages that somebody waits for. Failing to say so only costs time.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else {
            let _ = self.main.send((Stream::Plain(stream), address)).await;
            return;
        };
        let Some(place) = self.half_open.enter(address.ip()) else {
            tracing::debug!(%address, "refused: too many that say nothing");
            return;
        };
        let hall = self.clone();
        tokio::spawn(async move {
            let admitted = timeout(PATIENCE, Self::tell_apart(&tls, stream)).await;
            drop(place);
            match admitted {
                Ok(Ok(stream @ Stream::Tls(_))) => {
                    let _ = hall.main.send((stream, address)).await;
                }
                Ok(Ok(stream @ Stream::Plain(_))) => {
                    let _ = hall.plain.send((stream, address)).await;
                }
                Ok(Err(error)) => tracing::debug!(%address, %error, "no handshake"),
                Err(_) => tracing::debug!(%address, "no handshake in time"),
            }
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
