//! A client that comes by TCP, in TLS or without.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::carrier::Carrier;
use super::protocol::{MAX_FRAME, frame_len};
use crate::entrance::TurnCaller;

/// A client whose allocation is gone is sent the last answer for so long.
const FAREWELL: Duration = Duration::from_secs(2);
/// A client without an allocation is given so long to ask for one.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that wait for a client that takes them slowly. What peers send beyond is dropped, as it would be by UDP.
const MAX_WAITING: usize = 64 * 1024;
/// A client that asks on and on, and takes no answers, is sent away.
const MAX_WITH_ANSWERS: usize = 2 * MAX_WAITING;

/// Serves one client until its end. Its place is given back once it has an allocation, or is gone.
pub(super) async fn serve(caller: TurnCaller, shared: Arc<Shared>) {
    let client = caller.address;
    if let Err(error) = carry(caller, shared).await {
        tracing::debug!(%client, %error, "a client of TURN is gone");
    }
}

async fn carry(caller: TurnCaller, shared: Arc<Shared>) -> io::Result<()> {
    let TurnCaller {
        stream,
        first,
        address,
        place,
        mut loss,
    } = caller;
    let client = SocketAddr::new(address.ip().to_canonical(), address.port());
    let mut stopped = shared.stopped.clone();
    let (mut reader, mut writer) = split(stream);
    let mut carrier = Carrier::new(client, true, shared);
    let mut place = Some(place);
    let (mut input, mut output) = (BytesMut::from(&first[..]), Output::default());
    let mut patience = Instant::now() + PATIENCE;
    loop {
        let until = carrier.expires().map_or(patience, Instant::from);
        tokio::select! {
            read = reader.read_buf(&mut input) => {
                if read? == 0 {
                    return Ok(());
                }
                take_messages(&mut input, &mut carrier, &mut output.waiting)?;
            }
            passed = output.pass_on(&mut writer), if !output.is_done() => passed?,
            () = carrier.readable() => carrier.read_peers(|message| {
                if output.waiting.len() + message.len() <= MAX_WAITING {
                    output.waiting.extend_from_slice(message);
                }
            }),
            () = sleep_until(until) => {
                if !carrier.is_allocated() {
                    return Ok(());
                }
                carrier.handle_timeout();
            }
            () = loss.happened(), if place.is_some() => return Ok(()),
            _ = stopped.changed() => return Ok(()),
        }
        if carrier.is_allocated() {
            drop(place.take());
            patience = Instant::now() + FAREWELL;
        } else if place.is_none() && output.is_done() {
            // It has no place any more among those who may have a connection without an allocation.
            return Ok(());
        }
    }
}

/// What a client is sent.
#[derive(Default)]
struct Output {
    waiting: BytesMut,
    /// What was written to TLS may be there still.
    is_unflushed: bool,
}

impl Output {
    fn is_done(&self) -> bool {
        self.waiting.is_empty() && !self.is_unflushed
    }

    /// Writes what waits. It may be given up at any time, and goes on where it was.
    async fn pass_on(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while !self.waiting.is_empty() {
            self.is_unflushed = true;
            let written = writer.write(&self.waiting).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.waiting.advance(written);
        }
        writer.flush().await?;
        self.is_unflushed = false;
        Ok(())
    }
}

/// Takes the whole messages from what was read, and appends the answers.
fn take_messages(
    input: &mut BytesMut,
    carrier: &mut Carrier,
    output: &mut BytesMut,
) -> io::Result<()> {
    let no_turn = |_| io::Error::from(io::ErrorKind::InvalidData);
    while let Some(length) = frame_len(input).map_err(no_turn)? {
        if input.len() < length {
            break;
        }
        let message = input.split_to(length);
        if let Some(answer) = carrier.handle_client(&message) {
            output.extend_from_slice(&answer);
        }
    }
    if output.len() > MAX_WITH_ANSWERS {
        return Err(io::ErrorKind::TimedOut.into());
    }
    // Room for the rest of a message, and no more than for that and a little.
    input.reserve(MAX_FRAME.saturating_sub(input.len()).min(2_048));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::FutureExt;

    use super::*;

    /// Takes everything, as TLS does, and lets it go when it is asked the second time.
    #[derive(Default)]
    struct Congested {
        kept: Vec<u8>,
        gone: Vec<u8>,
        asked: usize,
    }

    impl AsyncWrite for Congested {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.kept.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.asked += 1;
            if self.asked < 2 {
                return Poll::Pending;
            }
            self.gone = std::mem::take(&mut self.kept);
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_was_given_up_in_the_middle_is_sent_though_nothing_follows() {
        let (mut writer, mut output) = (Congested::default(), Output::default());
        output.waiting.extend_from_slice(b"the end of a picture");
        assert!(output.pass_on(&mut writer).now_or_never().is_none());
        assert!(output.waiting.is_empty() && !output.is_done());
        assert!(output.pass_on(&mut writer).now_or_never().is_some());
        assert!(output.is_done());
        assert_eq!(writer.gone, b"the end of a picture");
    }
}
