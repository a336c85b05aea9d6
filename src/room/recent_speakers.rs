//! Who spoke lately in a call, which decides whose picture comes first where a network does not carry all.
//!
//! Who speaks changes several times a second, and each change of a layer takes a keyframe: whoever spoke for a while
//! stays first for some seconds, and few are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::shard::ParticipantId;

/// Who speaks for less is not taken for a speaker: it was a cough, or a yes.
const TRIAL: Duration = Duration::from_millis(1_500);
/// Who fell silent stays first for so long, unless others speak.
const KEEP: Duration = Duration::from_secs(10);
/// How many are first at most: before everybody nobody is.
const MOST: usize = 3;

/// The recent speakers of one call.
#[derive(Debug, Default)]
pub(super) struct RecentSpeakers {
    heard: BTreeMap<ParticipantId, Heard>,
    told: Vec<ParticipantId>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    /// When it began to speak.
    since: Instant,
    /// When it stopped, if it did.
    until: Option<Instant>,
}

impl Heard {
    /// When it becomes a speaker, if it goes on.
    fn counts_at(&self) -> Instant {
        self.since + TRIAL
    }

    /// When it is a speaker no more.
    fn ends_at(&self) -> Option<Instant> {
        let until = self.until?;
        let counts = until >= self.counts_at();
        Some(if counts { until + KEEP } else { until })
    }
}

impl RecentSpeakers {
    /// These speak now, and nobody else.
    pub(super) fn hear(&mut self, now: Instant, speakers: &[ParticipantId]) {
        for (id, heard) in &mut self.heard {
            if !speakers.contains(id) {
                heard.until.get_or_insert(now);
            }
        }
        self.expire(now);
        for id in speakers {
            let begins = Heard {
                since: now,
                until: None,
            };
            self.heard.entry(*id).or_insert(begins).until = None;
        }
    }

    /// Who comes first from now on, in ascending order, if that changed. Those who speak go before those who did, and
    /// whoever was first stays it where there are too many.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        is_here: impl Fn(ParticipantId) -> bool,
    ) -> Option<&[ParticipantId]> {
        self.heard.retain(|id, _| is_here(*id));
        self.expire(now);
        let counts = self
            .heard
            .iter()
            .filter(|(_, heard)| heard.counts_at() <= now);
        let mut first: Vec<_> = counts
            .map(|(id, heard)| {
                let silent = heard
                    .until
                    .map(|until| now.saturating_duration_since(until));
                (silent, !self.told.contains(id), *id)
            })
            .collect();
        first.sort();
        first.truncate(MOST);
        let mut first: Vec<_> = first.into_iter().map(|(_, _, id)| id).collect();
        first.sort();
        if first == self.told {
            return None;
        }
        self.told = first;
        Some(&self.told)
    }

    /// Who comes first, as told last.
    pub(super) fn told(&self) -> &[ParticipantId] {
        &self.told
    }

    /// When to [`poll`](Self::poll) next, if nobody begins or stops before.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let changes = self
            .heard
            .values()
            .filter_map(|heard| match heard.ends_at() {
                Some(ends) => Some(ends),
                None => Some(heard.counts_at()).filter(|at| *at > now),
            });
        changes.min()
    }

    fn expire(&mut self, now: Instant) {
        self.heard
            .retain(|_, heard| heard.ends_at().is_none_or(|at| at > now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock {
        now: Instant,
        recent: RecentSpeakers,
    }

    impl Clock {
        fn new() -> Self {
            Self {
                now: Instant::now(),
                recent: RecentSpeakers::default(),
            }
        }

        /// These speak for so long; returns each change with the milliseconds after which it came.
        fn speak(&mut self, ids: &[u64], ms: u64) -> Vec<(u64, Vec<u64>)> {
            let ids: Vec<_> = ids.iter().map(|id| ParticipantId(*id)).collect();
            let (start, end) = (self.now, self.now + Duration::from_millis(ms));
            let mut changes = Vec::new();
            self.recent.hear(start, &ids);
            loop {
                if let Some(first) = self.recent.poll(self.now, |_| true) {
                    let first = first.iter().map(|id| id.0).collect();
                    changes.push(((self.now - start).as_millis() as u64, first));
                }
                let due = self.recent.due(self.now);
                let Some(due) = due.filter(|due| *due < end) else {
                    self.now = end;
                    return changes;
                };
                assert!(due > self.now);
                self.now = due;
            }
        }
    }

    #[test]
    fn who_speaks_for_a_while_comes_first_and_stays_it_through_pauses() {
        let mut clock = Clock::new();
        assert_eq!(clock.speak(&[7], 3_000), [(1_500, vec![7])]);
        for _ in 0..20 {
            assert!(clock.speak(&[], 9_000).is_empty());
            assert!(clock.speak(&[7], 300).is_empty());
        }
        assert_eq!(clock.speak(&[], 20_000), [(10_000, vec![])]);
    }

    #[test]
    fn a_cough_moves_nobody() {
        let mut clock = Clock::new();
        for _ in 0..20 {
            assert!(clock.speak(&[7], 1_400).is_empty());
            assert!(clock.speak(&[8], 1_400).is_empty());
            assert!(clock.speak(&[], 100).is_empty());
        }
    }

    #[test]
    fn of_many_the_last_are_first_and_a_place_is_kept_where_all_speak() {
        let mut clock = Clock::new();
        for id in 1..=3 {
            clock.speak(&[id], 2_000);
        }
        assert_eq!(clock.speak(&[4], 2_000), [(1_500, vec![2, 3, 4])]);
        clock.speak(&[2, 3, 4], 3_000);
        assert!(clock.speak(&[1, 2, 3, 4], 60_000).is_empty());
        assert_eq!(clock.speak(&[1, 2, 4], 1_000), [(0, vec![1, 2, 4])]);
    }

    #[test]
    fn who_left_is_not_first() {
        let mut clock = Clock::new();
        clock.speak(&[1, 2], 2_000);
        let stayed = clock.recent.poll(clock.now, |id| id.0 == 2);
        assert_eq!(stayed, Some(&[ParticipantId(2)][..]));
        assert_eq!(clock.recent.told(), [ParticipantId(2)]);
    }
}
