//! One client: publishes, subscribes, and stays until the run is over.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Janus;
use super::connection::{AskError, Connection, Handle};
use super::message::{Description, Event, Message};
use crate::load::media::SourcePlan;
use crate::load::peer::{GOODBYE, Peer, Publishes, Seat};
use crate::load::plan::ClientPlan;
use crate::load::target::TargetError;

/// Janus forgets a session that was silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// How long ICE and DTLS of a publisher may take.
const UP_TIMEOUT: Duration = Duration::from_secs(30);

/// Janus says so where a feed is not there, or not any more.
const NO_SUCH_FEED: u64 = 428;

/// A client in its room.
pub(super) struct Client<'a> {
    janus: &'a Janus,
    connection: Connection,
    room: usize,
    feed: u64,
    receives: bool,
    publisher: Option<(Handle, Peer)>,
    subscriber: Option<(Handle, Peer)>,
    /// Feeds that were subscribed to.
    subscribed: Vec<u64>,
}

impl<'a> Client<'a> {
    /// Connects.
    pub(super) async fn open(janus: &'a Janus, plan: ClientPlan) -> Result<Self, TargetError> {
        Ok(Self {
            janus,
            connection: Connection::open(&janus.url).await?,
            room: plan.room,
            feed: plan.index as u64 + 1,
            receives: plan.receives,
            publisher: None,
            subscriber: None,
            subscribed: Vec::new(),
        })
    }

    /// Does all that the plan says, and says goodbye at the end.
    pub(super) async fn run(mut self, seat: &mut Seat) -> Result<(), TargetError> {
        let result = self.stay(seat).await;
        // Subscribers that come later have nothing to wait for from us.
        if let Some(feeds) = self.janus.feeds(self.room) {
            feeds.send_if_modified(|feeds| {
                let before = feeds.len();
                feeds.retain(|&feed| feed != self.feed);
                feeds.len() < before
            });
        }
        let _ = timeout(GOODBYE, self.connection.close()).await;
        result
    }

    async fn stay(&mut self, seat: &mut Seat) -> Result<(), TargetError> {
        let mut feeds = self.janus.feeds(self.room).map(watch::Sender::subscribe);
        if seat.plan().publishes() {
            let publishes = Publishes {
                sources: sources(seat.plan()),
                receives: false,
            };
            let peer = open_peer(seat, &self.connection, publishes)?;
            let name = seat.plan().name.clone();
            tokio::select! {
                published = self.publish(peer, name) => published?,
                () = seat.leaving() => return Ok(()),
            }
        }
        seat.joined();
        let mut alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some(feeds) = feeds.as_mut().filter(|_| self.receives) {
                let current = feeds.borrow_and_update().clone();
                self.subscribe(seat, &current).await?;
            }
            let failures = (
                failure_of(self.publisher.as_ref()),
                failure_of(self.subscriber.as_ref()),
            );
            tokio::select! {
                () = seat.leaving() => return Ok(()),
                reason = failures.0 => return Err(TargetError::Media(reason)),
                reason = failures.1 => return Err(TargetError::Media(reason)),
                message = self.connection.next() => {
                    let message = message?;
                    self.take(message).await?;
                }
                _ = alive.tick() => self.connection.keep_alive().await?,
                Some(()) = changed(feeds.as_mut()) => {}
            }
        }
    }

    /// Joins as a publisher, and waits until Janus has the media.
    async fn publish(&mut self, mut peer: Peer, name: String) -> Result<(), TargetError> {
        let handle = self.connection.attach().await?;
        let join = json!({
            "request": "join",
            "ptype": "publisher",
            "room": self.janus.room(self.room),
            "id": self.feed,
            "display": name,
        });
        self.connection.ask_event(handle, join, None).await?;
        let offer = jsep("offer", peer.offer());
        let publish = json!({ "request": "publish" });
        let published = self
            .connection
            .ask_event(handle, publish, Some(offer))
            .await?;
        let answer = published.description.ok_or_else(|| {
            TargetError::Protocol("it takes a publisher without an answer".to_owned())
        })?;
        peer.accept_answer(&answer.sdp).map_err(protocol)?;
        self.publisher = Some((handle, peer));
        let up = timeout(UP_TIMEOUT, async {
            loop {
                let message = self.connection.next().await?;
                if message == (Message::WebRtcUp { handle: handle.0 }) {
                    return Ok(());
                }
                self.take(message).await?;
            }
        });
        up.await.unwrap_or_else(|_| {
            let seconds = UP_TIMEOUT.as_secs();
            Err(TargetError::Closed(format!(
                "no media connection in {seconds} s"
            )))
        })?;
        if let Some(feeds) = self.janus.feeds(self.room) {
            feeds.send_modify(|feeds| feeds.push(self.feed));
        }
        Ok(())
    }

    /// Subscribes to what is there and was not before.
    async fn subscribe(&mut self, seat: &mut Seat, feeds: &[u64]) -> Result<(), TargetError> {
        let new: Vec<u64> = feeds
            .iter()
            .copied()
            .filter(|feed| *feed != self.feed && !self.subscribed.contains(feed))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let streams: Vec<Value> = new.iter().map(|feed| json!({ "feed": feed })).collect();
        self.subscribed.extend(new);
        let (handle, body) = match &self.subscriber {
            Some((handle, _)) => (
                *handle,
                json!({ "request": "subscribe", "streams": streams }),
            ),
            None => {
                let handle = self.connection.attach().await?;
                let publishes = Publishes {
                    sources: Vec::new(),
                    receives: true,
                };
                let peer = open_peer(seat, &self.connection, publishes)?;
                self.subscriber = Some((handle, peer));
                let join = json!({
                    "request": "join",
                    "ptype": "subscriber",
                    "room": self.janus.room(self.room),
                    "streams": streams,
                });
                (handle, join)
            }
        };
        match self.connection.ask_event(handle, body, None).await {
            Ok(event) => self.take_event(event).await,
            // The publisher left in the meantime.
            Err(AskError::Refused { code, .. }) if code == NO_SUCH_FEED => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), TargetError> {
        match message {
            Message::Event(event) => self.take_event(event).await,
            Message::HangUp { handle, reason } if self.peer(handle).is_some() => Err(
                TargetError::Closed(format!("the peer connection was ended: {reason}")),
            ),
            Message::Candidate { handle, candidate } => {
                if let Some(peer) = self.peer(handle) {
                    peer.add_candidate(&candidate);
                }
                Ok(())
            }
            Message::SessionOver => Err(TargetError::Closed("the session timed out".to_owned())),
            Message::Error { code, reason, .. } => Err(AskError::Refused { code, reason }.into()),
            Message::HangUp { .. }
            | Message::WebRtcUp { .. }
            | Message::Success { .. }
            | Message::Ack
            | Message::Other => Ok(()),
        }
    }

    /// Answers an offer to the subscriber; whatever else a plugin tells needs no answer.
    async fn take_event(&mut self, event: Event) -> Result<(), TargetError> {
        let mut next = Some(event);
        // The answer to our answer may carry the next offer.
        while let Some(Event {
            handle,
            description:
                Some(Description {
                    is_offer: true,
                    sdp,
                }),
            ..
        }) = next.take()
        {
            let Some((own, peer)) = &mut self.subscriber else {
                return Ok(());
            };
            if own.0 != handle {
                return Ok(());
            }
            let answer = peer.answer(&sdp).map_err(protocol)?;
            let start = json!({ "request": "start" });
            let started = self
                .connection
                .ask_event(*own, start, Some(jsep("answer", answer)))
                .await?;
            next = Some(started);
        }
        Ok(())
    }

    fn peer(&self, handle: u64) -> Option<&Peer> {
        let mut peers = [&self.publisher, &self.subscriber].into_iter().flatten();
        peers.find(|(own, _)| own.0 == handle).map(|(_, peer)| peer)
    }
}

/// What a client publishes, in the order of its m-lines.
fn sources(plan: &ClientPlan) -> Vec<SourcePlan> {
    let audio = plan.audio.then_some(SourcePlan::Audio);
    audio
        .into_iter()
        .chain(plan.video.map(SourcePlan::Video))
        .collect()
}

fn open_peer(
    seat: &Seat,
    connection: &Connection,
    publishes: Publishes,
) -> Result<Peer, TargetError> {
    seat.open_peer(connection.local(), publishes)
        .map_err(|error| TargetError::Connect(error.to_string()))
}

fn jsep(kind: &str, sdp: String) -> Value {
    json!({ "type": kind, "sdp": sdp, "trickle": false })
}

fn protocol(error: impl std::fmt::Display) -> TargetError {
    TargetError::Protocol(error.to_string())
}

/// Resolves when the peer connection fails, and never where there is none.
fn failure_of(peer: Option<&(Handle, Peer)>) -> impl Future<Output = String> + Send + use<> {
    let failure = peer.map(|(_, peer)| peer.failure());
    async move {
        match failure {
            Some(failure) => failure.await,
            None => std::future::pending().await,
        }
    }
}

/// Resolves with each change, and never where there is nothing to change.
async fn changed(feeds: Option<&mut watch::Receiver<Vec<u64>>>) -> Option<()> {
    match feeds {
        Some(feeds) => feeds.changed().await.ok(),
        None => std::future::pending().await,
    }
}
