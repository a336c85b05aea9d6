//! When to ask the publisher of one layer for a keyframe.

use std::time::{Duration, Instant};

/// Requests closer than this are merged: a keyframe costs the publisher many packets.
const MIN_INTERVAL: Duration = Duration::from_millis(500);
/// After this a request that nobody repeated is taken for lost.
const RETRY: Duration = Duration::from_secs(1);
/// Over a network that loses packets a request is sent again after this. It asks for no second keyframe: libwebrtc makes one
/// in 300 ms at most.
const ECHO: Duration = Duration::from_millis(30);

/// Merges what subscribers ask of one layer into few requests, repeated until a keyframe comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyframeRequests {
    /// When to send the next request, while a keyframe is waited for.
    due: Option<Instant>,
    sent: Option<Instant>,
    /// Whether what is due is the same request again.
    echo: bool,
}

impl KeyframeRequests {
    /// Somebody needs a keyframe.
    pub fn request(&mut self, now: Instant) {
        let allowed = self.sent.map_or(now, |sent| now.max(sent + MIN_INTERVAL));
        self.due = Some(self.due.map_or(allowed, |due| due.min(allowed)));
    }

    /// One came: all are served.
    pub fn keyframe_arrived(&mut self) {
        self.due = None;
        self.echo = false;
    }

    /// Nobody waits any more.
    pub fn cancel(&mut self) {
        self.due = None;
        self.echo = false;
    }

    /// Whether a keyframe is waited for.
    pub fn is_wanted(&self) -> bool {
        self.due.is_some()
    }

    /// Whether one may be on its way: it was asked for less than `within` ago.
    pub fn was_asked(&self, now: Instant, within: Duration) -> bool {
        self.sent.is_some_and(|sent| now < sent + within)
    }

    /// Whether the next request that [`poll`](Self::poll) tells to send is the last one again.
    pub fn repeats(&self) -> bool {
        self.echo
    }

    /// Whether to send a request now; it is taken for sent. Where the way to the publisher is `lossy` it is sent twice.
    pub fn poll(&mut self, now: Instant, lossy: bool) -> bool {
        if self.due.is_none_or(|due| now < due) {
            return false;
        }
        if std::mem::take(&mut self.echo) {
            self.due = self.sent.map(|sent| sent + RETRY);
            return true;
        }
        self.sent = Some(now);
        self.echo = lossy;
        self.due = Some(now + if lossy { ECHO } else { RETRY });
        true
    }

    /// When [`poll`](Self::poll) says yes next. `None` when nobody waits.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn requests_are_merged_and_repeated_until_a_keyframe_comes() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        assert!(!requests.poll(start, false));
        assert_eq!(requests.poll_timeout(), None);

        requests.request(start);
        requests.request(start);
        assert_eq!(requests.poll_timeout(), Some(start));
        assert!(requests.poll(start, false));
        assert!(!requests.poll(start, false));
        assert!(requests.was_asked(start + ms(499), ms(500)));
        assert!(!requests.was_asked(start + ms(500), ms(500)));
        // Repeated by itself after a second, by demand after half of one.
        assert_eq!(requests.poll_timeout(), Some(start + ms(1000)));
        assert!(!requests.poll(start + ms(999), false));
        assert!(requests.poll(start + ms(1000), false));
        requests.request(start + ms(1100));
        assert_eq!(requests.poll_timeout(), Some(start + ms(1500)));
        assert!(!requests.poll(start + ms(1499), false));
        assert!(requests.poll(start + ms(1500), false));

        requests.keyframe_arrived();
        assert_eq!(requests.poll_timeout(), None);
        assert!(!requests.poll(start + ms(9000), false));
    }

    #[test]
    fn a_request_over_a_lossy_network_is_sent_twice_unless_it_is_answered_before() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        requests.request(start);
        assert!(requests.poll(start, true));
        assert_eq!(requests.poll_timeout(), Some(start + ms(30)));
        assert!(requests.repeats());
        // Whoever asks meanwhile changes nothing.
        requests.request(start + ms(10));
        assert!(!requests.poll(start + ms(29), true));
        assert!(requests.poll(start + ms(30), true));
        assert!(!requests.repeats());
        assert_eq!(requests.poll_timeout(), Some(start + ms(1000)));
        requests.request(start + ms(40));
        assert!(!requests.poll(start + ms(499), true));
        assert!(requests.poll(start + ms(500), true));
        requests.keyframe_arrived();
        assert!(!requests.poll(start + ms(530), true));
        // The next is one of its own.
        requests.request(start + ms(600));
        assert!(requests.poll(start + ms(1000), true));
        assert_eq!(requests.poll_timeout(), Some(start + ms(1030)));
    }

    #[test]
    fn a_keyframe_does_not_lift_the_limit() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        requests.request(start);
        assert!(requests.poll(start, false));
        requests.keyframe_arrived();
        requests.request(start + ms(100));
        assert!(!requests.poll(start + ms(100), false));
        assert!(requests.poll(start + ms(500), false));
        requests.request(start + ms(600));
        requests.cancel();
        assert!(!requests.is_wanted());
        assert!(!requests.poll(start + ms(1000), false));
    }
}
