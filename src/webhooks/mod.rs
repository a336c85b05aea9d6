//! Tells other servers what happens in the rooms: signed requests, repeated until they are taken.
//!
//! Called by the server with the [`Notice`]s of the rooms, for which it never waits. Each receiver has a queue and a task of its
//! own: `deliver` tries again, `event` is what is said, `sign` how it is signed. It never asks the rooms anything.
//!
//! # What a receiver gets
//! A POST for each event, one after the other, in the order in which they happened:
//! ```json
//! {"type": "track-published", "id": "msg_…", "date": 1700000000000, "room": "demo",
//!  "participant": {"id": 7, "name": "Ada"},
//!  "track": {"track": "t12", "kind": "video", "source": "camera", "muted": false}}
//! ```
//! `type` is `room-started`, `room-ended`, `participant-joined`, `participant-left`, `track-published` or `track-unpublished`;
//! `participant` and `track` are there where there is one. Who is in a room without a name has not joined yet.
//!
//! Signed as [Standard Webhooks](https://www.standardwebhooks.com) has it, so that its libraries check it: the header
//! `webhook-id` is the event's `id`, the same each time it is sent, so that a receiver can drop repeats; `webhook-timestamp` is
//! when this request was made, in seconds since 1970; `webhook-signature` is `v1,` and the base64 of the HMAC-SHA256 of
//! `{webhook-id}.{webhook-timestamp}.{body}`.
//!
//! Any status of 2xx takes the event. 5xx, 408, 425, 429 and no answer within 10 s mean: later again, after 1 s at
//! most, then 2 s, 4 s, … up to 5 min, for an hour from when it happened. Any other status refuses it for good; redirects are not followed. A
//! thousand events wait for each receiver; who is so far behind misses the newest.

mod deliver;
mod event;
mod sign;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::http::Uri;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::http_client::HttpClient;
use crate::room::Notice;
use deliver::{Outcome, deliver};
use event::Event;

pub use sign::{SecretError, WebhookSecret};

/// Events that wait for one receiver.
const MAX_QUEUED: usize = 1_000;

/// How long a receiver may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// How long the last events may take when the server ends.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Whom to tell, and how to sign it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The receivers: `http` or `https`.
    pub urls: Vec<Uri>,
    /// The key of all signatures.
    pub secret: WebhookSecret,
}

/// What became of the events, since the start.
#[derive(Debug, Default)]
pub struct WebhookCounts {
    /// Taken by a receiver.
    pub delivered: AtomicU64,
    /// Refused by a receiver.
    pub refused: AtomicU64,
    /// Given up after an hour.
    pub expired: AtomicU64,
    /// Not queued any more, since the receiver was too far behind.
    pub dropped: AtomicU64,
    /// Requests that had to be repeated.
    pub retries: AtomicU64,
    /// Events that wait now, or are on their way.
    pub queued: AtomicU64,
}

/// The receivers' tasks.
#[derive(Debug)]
pub struct Webhooks {
    tasks: JoinSet<()>,
}

/// The way to the receivers' queues.
#[derive(Debug)]
pub struct WebhookQueues {
    receivers: Vec<Receiver>,
    counts: Arc<WebhookCounts>,
}

#[derive(Debug)]
struct Receiver {
    name: String,
    queue: mpsc::Sender<Arc<Event>>,
    /// Whether the last event found no room: that is said once.
    is_behind: bool,
}

impl Webhooks {
    /// Starts a task for each receiver. They end once the queues are gone and empty. Must be called on a tokio runtime with
    /// I/O and time. An error where HTTPS is asked for and the system trusts nobody.
    pub fn start(
        config: WebhookConfig,
        counts: Arc<WebhookCounts>,
    ) -> io::Result<(Self, WebhookQueues)> {
        let client = HttpClient::new(&config.urls, ANSWER_PATIENCE)?;
        let mut tasks = JoinSet::new();
        let mut receivers = Vec::new();
        for url in config.urls {
            let (queue, events) = mpsc::channel(MAX_QUEUED);
            let name = shown(&url);
            let (client, secret) = (client.clone(), config.secret.clone());
            let post = async move |event: &Event| {
                let headers = secret.sign(&event.id, unix_ms() / 1_000, &event.body);
                let answer = client.post(url.clone(), headers, event.body.clone()).await;
                Outcome::of(answer.map(|response| response.status()))
            };
            tasks.spawn(deliver(name.clone(), events, post, Arc::clone(&counts)));
            receivers.push(Receiver {
                name,
                queue,
                is_behind: false,
            });
        }
        Ok((Self { tasks }, WebhookQueues { receivers, counts }))
    }

    /// Waits for what is queued, for a moment. The queues are to be gone.
    pub async fn finish(mut self) {
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(LAST_PATIENCE, ended).await.is_err() {
            tracing::warn!("the server ends before all webhooks were told: some events are lost");
        }
    }
}

impl WebhookQueues {
    /// Queues it for every receiver. Never waits.
    pub fn tell(&mut self, room: &str, notice: &Notice) {
        let event = Arc::new(Event::new(room, notice, unix_ms(), Instant::now()));
        for receiver in &mut self.receivers {
            self.counts.queued.fetch_add(1, deliver::ORDER);
            let is_full = receiver.queue.try_send(Arc::clone(&event)).is_err();
            if is_full {
                self.counts.queued.fetch_sub(1, deliver::ORDER);
                self.counts.dropped.fetch_add(1, deliver::ORDER);
            }
            if is_full && !receiver.is_behind {
                tracing::warn!(
                    receiver = receiver.name,
                    "a webhook is {MAX_QUEUED} events behind: it misses the newest"
                );
            }
            receiver.is_behind = is_full;
        }
    }
}

/// A URL without what may be secret in it.
fn shown(url: &Uri) -> String {
    let host = url.host().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!(
        "{}://{host}{port}{}",
        url.scheme_str().unwrap_or_default(),
        url.path()
    )
}

fn unix_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_in_a_url_is_not_shown() {
        let url = "https://user:word@example.org:8443/hook?token=abc";
        assert_eq!(
            shown(&url.parse().unwrap()),
            "https://example.org:8443/hook"
        );
    }
}
