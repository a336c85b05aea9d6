//! Whether an encoding keeps up with the others of its track: a publisher whose network carries less than it encodes drops
//! pictures of the best encoding first, and those that are left are a slide show. libwebrtc says so itself where it stops
//! one altogether.

use std::time::{Duration, Instant};

use crate::rtp::sequence::is_newer_timestamp;

/// Without a picture for so long, while the others had so many, an encoding has stalled. All come from the same camera, so
/// that a slow one is no stall.
const LATE: Duration = Duration::from_millis(350);
const MISSED: u32 = 5;

/// How long it counts as stalled: at first, and at most where it stalls again soon after.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(15);

/// It must have kept up for so long at the end.
const STEADY: Duration = Duration::from_secs(2);

/// So long it must keep up at least when it was silent before.
const RESTARTED: Duration = Duration::from_secs(1);

/// Follows the pictures of one encoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stall {
    /// The newest picture, and when it began to come.
    newest: Option<(u32, Instant)>,
    /// Pictures of others since then.
    missed: u32,
    /// It counts as stalled until its first picture after this.
    until: Option<Instant>,
    /// How long the last stall counted, and when that ended.
    pause: Duration,
    ended: Option<Instant>,
}

/// What a packet says of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It belongs to a picture that is known.
    None,
    /// A picture begins.
    Picture,
    /// A picture begins, and the encoding does not count as stalled any more.
    Recovered,
}

impl Stall {
    /// A packet of the encoding came.
    pub fn observe(&mut self, now: Instant, timestamp: u32) -> Progress {
        let newest = self.newest;
        if newest.is_some_and(|(newest, _)| !is_newer_timestamp(timestamp, newest)) {
            return Progress::None;
        }
        self.newest = Some((timestamp, now));
        self.missed = 0;
        let Some(until) = self.until else {
            return Progress::Picture;
        };
        let was_late = newest.is_some_and(|(_, at)| now.saturating_duration_since(at) >= LATE);
        if was_late {
            self.until = Some(until.max(now + STEADY));
        } else if now >= until {
            (self.until, self.ended) = (None, Some(now));
            return Progress::Recovered;
        }
        Progress::Picture
    }

    /// A picture of another encoding began. Returns whether this one is found to have stalled by that.
    pub fn fall_behind(&mut self, now: Instant) -> bool {
        let Some((_, at)) = self.newest else {
            return false;
        };
        self.missed = self.missed.saturating_add(1);
        if self.until.is_some() || self.missed < MISSED || now < at + LATE {
            return false;
        }
        self.until = Some(now + self.next_pause(now));
        true
    }

    /// Its publisher says that it stops. Returns whether that was not known.
    pub fn stop(&mut self, now: Instant) -> bool {
        if self.newest.is_none() || self.until.is_some() {
            return false;
        }
        self.until = Some(now + self.next_pause(now));
        true
    }

    fn next_pause(&mut self, now: Instant) -> Duration {
        let is_soon = self.ended.is_some_and(|ended| now < ended + SOON);
        self.pause = if is_soon {
            (self.pause * 2).min(LONGEST_PAUSE)
        } else {
            PAUSE
        };
        self.pause
    }

    /// Whether other encodings should be sent instead.
    pub fn is_stalled(&self) -> bool {
        self.until.is_some()
    }

    /// Its publisher begins it again, after it was silent: what came before says little.
    pub fn restart(&mut self, now: Instant) {
        self.newest = None;
        self.missed = 0;
        self.until = self.until.map(|until| until.min(now + RESTARTED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Pictures of this encoding at these times, in ms, and of another every 40 ms; when it stalled and recovered.
    fn changes(
        stall: &mut Stall,
        start: Instant,
        own: impl Fn(u64) -> bool,
        end: u64,
    ) -> Vec<(u64, bool)> {
        let mut changes = Vec::new();
        for n in (0..end).step_by(40) {
            let now = start + ms(n);
            if own(n) && stall.observe(now, n as u32 * 90) == Progress::Recovered {
                changes.push((n, false));
            }
            if stall.fall_behind(now) {
                changes.push((n, true));
            }
        }
        changes
    }

    #[test]
    fn what_keeps_up_or_is_slow_like_the_others_does_not_stall() {
        let start = Instant::now();
        assert!(changes(&mut Stall::default(), start, |_| true, 10_000).is_empty());
        // Every seventh picture.
        assert!(
            changes(
                &mut Stall::default(),
                start,
                |n| n.is_multiple_of(280),
                10_000
            )
            .is_empty()
        );
        let mut stall = Stall::default();
        stall.observe(start, 0);
        // The others have one picture a second.
        assert!((1..5).all(|n| !stall.fall_behind(start + ms(n * 1_000))));
        // One that never began is none.
        assert!(!(1..50).any(|n| Stall::default().fall_behind(start + ms(n * 40))));
    }

    #[test]
    fn a_stall_counts_until_it_keeps_up_again_and_longer_when_it_was_soon() {
        let start = Instant::now();
        let mut stall = Stall::default();
        // Nothing for a second, then one picture a second for five, then all.
        let own = |n: u64| {
            n < 1_000
                || (n >= 2_000 && (n.is_multiple_of(1_000) || n >= 7_000))
                    && !(12_000..13_000).contains(&n)
        };
        let found = changes(&mut stall, start, own, 30_000);
        assert_eq!(found[0], (1_320, true));
        assert_eq!(found[1], (9_000, false));
        assert!(found[2].1);
        let (again, back) = (found[2].0, found[3].0);
        assert!((12_000..12_400).contains(&again), "{again}");
        assert_eq!(back, again + 10_000);
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn packets_of_known_pictures_are_no_progress() {
        let now = Instant::now();
        let mut stall = Stall::default();
        assert_eq!(stall.observe(now, 500), Progress::Picture);
        assert_eq!(stall.observe(now, 500), Progress::None);
        assert_eq!(stall.observe(now, 400), Progress::None);
        assert_eq!(stall.observe(now, 501), Progress::Picture);
        stall.restart(now);
        assert_eq!(stall.observe(now, 3), Progress::Picture);
    }
}
