//! Serves one door until the server goes down.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::control::ControlHandle;
use super::headers;
use super::received::{Counted, Received};
use super::routes::{SignalingSettings, router};
use crate::entrance::{Admitted, Door};

/// How long going down may take, from the word until the last socket is closed.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(4);

/// How long the head of a request may take, from the connection's beginning or the answer before. So it is also how long a
/// connection may be idle.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// Bytes that the head of a request may have.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// After this time a connection that became no WebSocket takes no further request, and after it once more it is over,
/// however slowly its client reads.
const LIFETIME: Duration = Duration::from_secs(60);

/// Serves the page, the signalling and all the rest until `shutdown` resolves. Then all sockets are told and closed, and
/// this returns within 5 s. Several doors may share one `control`; each is to be given its own `shutdown` that resolves at
/// the same time.
pub async fn serve(
    door: Door,
    control: ControlHandle,
    settings: Arc<SignalingSettings>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let routes = router(control.clone(), settings);
    let mut connections = Connections::new(routes);
    tokio::select! {
        () = connections.take_from(door) => return Ok(()),
        () = shutdown => {}
    }
    // Requests that do not end in time end with their connections.
    let _ = timeout(SHUTDOWN_PATIENCE, async {
        tokio::join!(control.shutdown(), connections.end())
    })
    .await;
    Ok(())
}

/// Sends whoever comes without TLS to the same place with it, until `shutdown` resolves. Nobody's request is waited for then.
pub async fn redirect(door: Door, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
    let routes = headers::on_all(Router::new().fallback(to_https), false);
    let mut connections = Connections::new(routes);
    tokio::select! {
        () = connections.take_from(door) => {}
        () = shutdown => {}
    }
    Ok(())
}

/// The connections of one door that speak HTTP; they end when this is dropped. Who became a WebSocket is none any more.
struct Connections {
    routes: Router,
    carried: JoinSet<()>,
    /// Dropped when no further requests are wanted.
    open: watch::Sender<()>,
}

impl Connections {
    fn new(routes: Router) -> Self {
        Self {
            routes,
            carried: JoinSet::new(),
            open: watch::Sender::new(()),
        }
    }

    /// Carries whoever comes out of the door, until nobody can any more.
    async fn take_from(&mut self, mut door: Door) {
        loop {
            tokio::select! {
                admitted = door.next() => match admitted {
                    Some(admitted) => {
                        let carried = carry(admitted, self.routes.clone(), self.open.subscribe());
                        self.carried.spawn(carried);
                    }
                    None => return,
                },
                Some(_) = self.carried.join_next() => {}
            }
        }
    }

    /// Lets each finish the request that it is at.
    async fn end(self) {
        let Self {
            mut carried, open, ..
        } = self;
        drop(open);
        while carried.join_next().await.is_some() {}
    }
}

/// Carries one connection until it ends or becomes a WebSocket.
async fn carry(admitted: Admitted, routes: Router, mut open: watch::Receiver<()>) {
    let Admitted {
        stream,
        address,
        place,
        mut loss,
    } = admitted;
    let routes = TowerToHyperService::new(routes);
    let received = Received::default();
    let stream = Counted::new(stream, received.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        place.heard();
        request.extensions_mut().insert(ConnectInfo(address));
        request.extensions_mut().insert(received.clone());
        answer(&routes, request)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection.with_upgrades());
    let mut life = pin!(sleep(LIFETIME));
    let mut is_last = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::trace!(%address, %error, "the connection ended");
                }
                return;
            }
            () = loss.happened() => return tracing::debug!(%address, "too many say nothing"),
            () = life.as_mut() => {
                if is_last {
                    return tracing::debug!(%address, "the connection took too long");
                }
                life.as_mut().reset(Instant::now() + LIFETIME);
            }
            _ = open.changed(), if !is_last => {}
        }
        is_last = true;
        connection.as_mut().graceful_shutdown();
    }
}

fn answer(
    routes: &TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    routes.call(request)
}

async fn to_https(uri: Uri, headers: HeaderMap) -> Response {
    let Some(host) = headers::host(&headers) else {
        return (StatusCode::BAD_REQUEST, "Speak HTTPS here.\n").into_response();
    };
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let there = [(header::LOCATION, format!("https://{host}{path}"))];
    (StatusCode::PERMANENT_REDIRECT, there).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::entrance::{self, HalfOpen};

    /// Longer than anything here takes, and shorter than a connection may be idle.
    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn an_idle_connection_does_not_hold_up_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = entrance::open(listener, None, HalfOpen::default()).main;
        let mut connections = Connections::new(Router::new());
        let mut client = TcpStream::connect(address).await.unwrap();
        let asked = async {
            client
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .unwrap();
            client.read_u8().await.unwrap();
        };
        tokio::select! {
            () = connections.take_from(door) => panic!("the door was closed"),
            () = asked => {}
        }
        timeout(PATIENCE, connections.end()).await.expect("it ends");
    }
}
