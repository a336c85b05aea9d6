//! Serves one door until the server goes down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::{Listener, ListenerExt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::control::ControlHandle;
use super::routes::{SignalingSettings, router};

/// How long going down may take, from the word until the last socket is closed.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(4);

/// Serves `listener` until `shutdown` resolves. Then all sockets are told and closed, and this returns within 5 s.
/// Several listeners may share one `control`; each is to be given its own `shutdown` that resolves at the same time.
pub async fn serve<L: Listener<Addr = SocketAddr>>(
    listener: L,
    control: ControlHandle,
    settings: Arc<SignalingSettings>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, mut stopped) = watch::channel(());
    let routes =
        router(control.clone(), settings).into_make_service_with_connect_info::<SocketAddr>();
    // Of its listeners axum tells the address only of TCP's own, and of those that are tapped.
    let serving = axum::serve(listener.tap_io(|_| ()), routes).with_graceful_shutdown(async move {
        // An error is the end of `stop`, which means the same.
        let _ = stopped.changed().await;
    });
    let mut serving = std::pin::pin!(serving.into_future());
    tokio::select! {
        result = &mut serving => return result,
        () = shutdown => drop(stop),
    }
    // Requests that do not end in time end with their connections, or with the program.
    let _ = timeout(SHUTDOWN_PATIENCE, async {
        tokio::join!(control.shutdown(), serving)
    })
    .await;
    Ok(())
}

/// Sends whoever comes without TLS to the same place with it, until `shutdown` resolves. Nobody's request is waited for then.
pub async fn redirect<L: Listener<Addr = SocketAddr>>(
    listener: L,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let routes = Router::new().fallback(to_https);
    tokio::select! {
        result = axum::serve(listener, routes).into_future() => result,
        () = shutdown => Ok(()),
    }
}

async fn to_https(uri: Uri, headers: HeaderMap) -> Response {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|host| is_host(host)) else {
        return (StatusCode::BAD_REQUEST, "Speak HTTPS here.\n").into_response();
    };
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let there = [(header::LOCATION, format!("https://{host}{path}"))];
    (StatusCode::PERMANENT_REDIRECT, there).into_response()
}

/// A name or an address, with or without a port.
fn is_host(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.len() <= 300 && text.bytes().all(is_part)
}
