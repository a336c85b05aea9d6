//! JSON over one WebSocket, as every target speaks it.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::TargetError;

/// How long the connection and the upgrade may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A stream of bytes that a WebSocket can be in.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// One WebSocket. Pings are answered while [`receive`](Self::receive) is waited for.
pub(crate) struct JsonSocket<S = TcpStream> {
    socket: WebSocketStream<S>,
    local: IpAddr,
}

impl JsonSocket {
    /// Connects to a `ws://` URL.
    pub(crate) async fn connect(url: &str, subprotocol: &'static str) -> Result<Self, TargetError> {
        let connecting = Self::open(url, subprotocol);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(TargetError::Connect(format!("{url} does not answer"))),
        }
    }

    async fn open(url: &str, subprotocol: &'static str) -> Result<Self, TargetError> {
        let failed = |reason: String| TargetError::Connect(format!("{url}: {reason}"));
        let uri = url.parse::<Uri>();
        let uri = uri.map_err(|error| failed(error.to_string()))?;
        let host = uri
            .host()
            .ok_or_else(|| failed("it has no host".to_owned()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = (host, uri.port_u16().unwrap_or(80));
        let io = |error: std::io::Error| failed(error.to_string());
        let stream = TcpStream::connect(address).await.map_err(io)?;
        stream.set_nodelay(true).map_err(io)?;
        let local = stream.local_addr().map_err(io)?.ip().to_canonical();
        Self::over(stream, local, url, subprotocol).await
    }
}

impl<S: Bytes> JsonSocket<S> {
    /// Begins one in a stream that leads to the server. `local` is our end of it.
    pub(crate) async fn over(
        stream: S,
        local: IpAddr,
        url: &str,
        subprotocol: &'static str,
    ) -> Result<Self, TargetError> {
        // The URL may hold a token.
        let shown = url.split('?').next().unwrap_or_default();
        let failed = |reason: String| TargetError::Connect(format!("{shown}: {reason}"));
        let mut request = url
            .into_client_request()
            .map_err(|error| failed(error.to_string()))?;
        let name = HeaderValue::from_static(subprotocol);
        request.headers_mut().insert("Sec-WebSocket-Protocol", name);
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self { socket, local }),
            Err(Error::Http(response)) => Err(TargetError::Refused(format!(
                "{shown} answers with HTTP status {}",
                response.status()
            ))),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Our address on the way to the server.
    pub(crate) fn local(&self) -> IpAddr {
        self.local
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, message: &Value) -> Result<(), TargetError> {
        let message = Message::text(message.to_string());
        let sent = self.socket.send(message).await;
        sent.map_err(|error| TargetError::Closed(error.to_string()))
    }

    /// The next message. It may be dropped while it waits, and nothing gets lost.
    pub(crate) async fn receive(&mut self) -> Result<Value, TargetError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text)
                        .map_err(|error| TargetError::Protocol(format!("no JSON: {error}")));
                }
                Some(Ok(Message::Close(frame))) => {
                    let reason = frame.map_or_else(
                        || "without a reason".to_owned(),
                        |frame| format!("{} {}", u16::from(frame.code), frame.reason),
                    );
                    return Err(TargetError::Closed(reason));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(TargetError::Closed(error.to_string())),
                None => return Err(TargetError::Closed("without a word".to_owned())),
            }
        }
    }

    /// Says goodbye, and reads on until it is answered: what is left unread would break the connection before the server has
    /// read the goodbye.
    pub(crate) async fn close(mut self) {
        if self.socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = self.socket.next().await {}
        }
    }
}
