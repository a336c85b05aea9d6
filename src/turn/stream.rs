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
    let (mut input, mut output) = (BytesMut::from(&first[..]), BytesMut::new());
    let mut patience = Instant::now() + PATIENCE;
    loop {
        let until = carrier.expires().map_or(patience, Instant::from);
        tokio::select! {
            read = reader.read_buf(&mut input) => {
                if read? == 0 {
                    return Ok(());
                }
                take_messages(&mut input, &mut carrier, &mut output)?;
            }
            passed = pass_on(&mut writer, &mut output), if !output.is_empty() => passed?,
            () = carrier.readable() => carrier.read_peers(|message| {
                if output.len() + message.len() <= MAX_WAITING {
                    output.extend_from_slice(message);
                }
            }),
            () = sleep_until(until) => {
                if !carrier.is_allocated() {
                    return Ok(());
                }
                carrier.handle_timeout();
                patience = Instant::now() + PATIENCE;
            }
            () = loss.happened(), if place.is_some() => return Ok(()),
            _ = stopped.changed() => return Ok(()),
        }
        if carrier.is_allocated() {
            drop(place.take());
            patience = Instant::now() + PATIENCE;
        }
    }
}

/// Writes what waits. It may be given up at any time, and what was written until then is no longer there.
async fn pass_on(writer: &mut (impl AsyncWrite + Unpin), output: &mut BytesMut) -> io::Result<()> {
    // What is written to TLS may stay there: it is forgotten once it has left.
    while !output.is_empty() {
        let written = writer.write(output).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        output.advance(written);
    }
    writer.flush().await
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
