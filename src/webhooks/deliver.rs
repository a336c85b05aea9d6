//! One receiver: its events one after the other, each until it is taken, refused or too old.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::WebhookCounts;
use super::event::Event;

/// Counters stand alone: nothing else is read by them.
pub(super) const ORDER: Ordering = Ordering::Relaxed;

/// After the first failure an event waits so long at most, after each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// An event that could not be told for so long is given up.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has it.
    Taken,
    /// The receiver does not want it, and will not later either.
    Refused(StatusCode),
    /// It may be taken later. Why it was not now, in words.
    Failed(String),
}

impl Outcome {
    pub(super) fn of(answer: Result<StatusCode, String>) -> Self {
        match answer {
            Ok(status) if status.is_success() => Self::Taken,
            Ok(status)
                if status.is_server_error()
                    || [
                        StatusCode::REQUEST_TIMEOUT,
                        StatusCode::TOO_EARLY,
                        StatusCode::TOO_MANY_REQUESTS,
                    ]
                    .contains(&status) =>
            {
                Self::Failed(format!("it answered {status}"))
            }
            Ok(status) => Self::Refused(status),
            Err(why) => Self::Failed(why),
        }
    }
}

/// Tells `events` by `post`, until there are no more.
pub(super) async fn deliver(
    receiver: String,
    mut events: mpsc::Receiver<Arc<Event>>,
    post: impl AsyncFn(&Event) -> Outcome,
    counts: Arc<WebhookCounts>,
) {
    let mut is_reached = true;
    while let Some(event) = events.recv().await {
        let mut wait = FIRST_WAIT;
        let counter = loop {
            match post(&event).await {
                Outcome::Taken => {
                    if !std::mem::replace(&mut is_reached, true) {
                        tracing::info!(receiver, "a webhook is told of events again");
                    }
                    break &counts.delivered;
                }
                Outcome::Refused(status) => {
                    tracing::warn!(receiver, event = event.id, %status, "a webhook refused an event");
                    break &counts.refused;
                }
                Outcome::Failed(why) if event.happened.elapsed() + wait > PATIENCE => {
                    tracing::warn!(
                        receiver,
                        event = event.id,
                        why,
                        "a webhook was not told of an event: given up"
                    );
                    break &counts.expired;
                }
                Outcome::Failed(why) if std::mem::replace(&mut is_reached, false) => {
                    tracing::warn!(
                        receiver,
                        event = event.id,
                        why,
                        "a webhook cannot be told of an event: it is told again, for an hour at most"
                    );
                }
                Outcome::Failed(why) => {
                    tracing::debug!(
                        receiver,
                        event = event.id,
                        why,
                        "a webhook is told again later"
                    );
                }
            }
            counts.retries.fetch_add(1, ORDER);
            // Some chance in it, so that receivers that fail together are not asked together.
            sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        };
        counter.fetch_add(1, ORDER);
        counts.queued.fetch_sub(1, ORDER);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;
    use crate::room::Notice;

    /// What was asked, after how many seconds, of a receiver that answers each request so; and the counts of delivered,
    /// refused, expired and repeated ones.
    async fn deliver_to(
        events: usize,
        answer: impl Fn(usize) -> Outcome,
    ) -> (Vec<(String, u64)>, [u64; 4]) {
        let start = Instant::now();
        let (queue, received) = mpsc::channel(10);
        for _ in 0..events {
            let event = Event::new("demo", &Notice::RoomStarted, 0, start);
            queue.try_send(Arc::new(event)).unwrap();
        }
        drop(queue);
        let asked = Mutex::new(Vec::new());
        let counts = Arc::new(WebhookCounts {
            queued: (events as u64).into(),
            ..WebhookCounts::default()
        });
        let post = async |event: &Event| {
            let mut asked = asked.lock().unwrap();
            asked.push((event.id.clone(), start.elapsed().as_secs()));
            answer(asked.len())
        };
        deliver("x".to_owned(), received, post, Arc::clone(&counts)).await;
        let WebhookCounts {
            delivered,
            refused,
            expired,
            retries,
            queued,
            ..
        } = &*counts;
        assert_eq!(queued.load(ORDER), 0);
        let counts = [delivered, refused, expired, retries].map(|count| count.load(ORDER));
        (asked.into_inner().unwrap(), counts)
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_told_again_later_and_later_and_in_order() {
        let busy = || Outcome::of(Ok(StatusCode::SERVICE_UNAVAILABLE));
        let answer = |asked| if asked < 4 { busy() } else { Outcome::Taken };
        let (asked, counts) = deliver_to(2, answer).await;
        assert_eq!(counts, [2, 0, 0, 3]);
        assert_eq!(asked.len(), 5);
        assert!(
            asked[..4].iter().all(|(id, _)| *id == asked[0].0),
            "{asked:?}"
        );
        assert_ne!(asked[4].0, asked[0].0);
        // 1, 2 and 4 s, each or up to half of it less.
        assert!((3..=7).contains(&asked[3].1), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_an_hour_is_given_up() {
        let (asked, counts) = deliver_to(2, |_| Outcome::of(Err("no".to_owned()))).await;
        let tries = asked.len() as u64;
        assert_eq!(counts, [0, 0, 2, tries - 2]);
        let (_, last) = asked[asked.len() - 1];
        assert!((3_000..=3_600).contains(&last), "{asked:?}");
        // The second is as old by then: it has what is left of its hour.
        let first = asked.iter().filter(|(id, _)| *id == asked[0].0).count();
        assert!((asked.len() - first) < first, "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_not_repeated_and_redirects_are_not_followed() {
        for status in [302, 307, 400, 401, 404, 410] {
            let status = StatusCode::from_u16(status).unwrap();
            let (asked, counts) = deliver_to(1, |_| Outcome::of(Ok(status))).await;
            assert_eq!((asked.len(), counts), (1, [0, 1, 0, 0]), "{status}");
        }
        for status in [408, 425, 429, 500, 502] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(
                matches!(Outcome::of(Ok(status)), Outcome::Failed(_)),
                "{status}"
            );
        }
    }
}
