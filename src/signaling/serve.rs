//! Serves one listener until the server goes down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::control::ControlHandle;
use super::routes::{SignalingSettings, router};

/// How long going down may take, from the word until the last socket is closed.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(4);

/// Serves `listener` until `shutdown` resolves. Then all sockets are told and closed, and this returns within 5 s.
/// Several listeners may share one `control`; each is to be given its own `shutdown` that resolves at the same time.
pub async fn serve(
    listener: TcpListener,
    control: ControlHandle,
    settings: Arc<SignalingSettings>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, mut stopped) = watch::channel(());
    let routes =
        router(control.clone(), settings).into_make_service_with_connect_info::<SocketAddr>();
    let listener = listener.tap_io(|stream| {
        // Signalling is short messages that somebody waits for. Failing to say so only costs time.
        let _ = stream.set_nodelay(true);
    });
    let serving = axum::serve(listener, routes).with_graceful_shutdown(async move {
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
