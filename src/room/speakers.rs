//! Who speaks in a call that may be on several shards: each ranks its own participants, and this merges their lists.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::shard::ParticipantId;

/// Changes are told at most this often.
const INTERVAL: Duration = Duration::from_millis(200);

/// The speakers of one call.
#[derive(Debug, Default)]
pub(super) struct CallSpeakers {
    by_shard: BTreeMap<usize, Vec<(ParticipantId, f32)>>,
    told: Vec<ParticipantId>,
    told_at: Option<Instant>,
    /// When a change is to be told.
    due: Option<Instant>,
}

impl CallSpeakers {
    /// A shard told its list, which is empty when nobody there speaks.
    pub(super) fn set(&mut self, now: Instant, shard: usize, speakers: Vec<(ParticipantId, f32)>) {
        let changed = if speakers.is_empty() {
            self.by_shard.remove(&shard).is_some()
        } else {
            self.by_shard.insert(shard, speakers);
            true
        };
        if changed && self.due.is_none() {
            self.due = Some(self.told_at.map_or(now, |at| now.max(at + INTERVAL)));
        }
    }

    /// Nobody of the call is on this shard any more. Says nothing by itself: what is due may be past.
    pub(super) fn forget(&mut self, shard: usize) {
        if self.by_shard.remove(&shard).is_some() && self.due.is_none() {
            self.due = self.told_at.map(|at| at + INTERVAL);
        }
    }

    /// When to [`poll`](Self::poll) next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// All speakers, loudest first, if who they are or their order changed since the last time.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        is_here: impl Fn(ParticipantId) -> bool,
    ) -> Option<Vec<(ParticipantId, f32)>> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        let lists = self.by_shard.values().flatten().copied();
        let mut all: Vec<_> = lists.filter(|(id, _)| is_here(*id)).collect();
        // The ranking of one shard has some inertia, which an order by level alone would lose.
        if self.by_shard.len() > 1 {
            all.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        }
        let ids: Vec<_> = all.iter().map(|(id, _)| *id).collect();
        if ids == self.told {
            return None;
        }
        self.told = ids;
        self.told_at = Some(now);
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speakers(list: &[(u64, f32)]) -> Vec<(ParticipantId, f32)> {
        list.iter()
            .map(|(id, level)| (ParticipantId(*id), *level))
            .collect()
    }

    fn poll(call: &mut CallSpeakers, now: Instant) -> Option<Vec<u64>> {
        let all = call.poll(now, |id| id.0 != 9)?;
        Some(all.into_iter().map(|(id, _)| id.0).collect())
    }

    #[test]
    fn lists_are_merged_by_level_and_told_at_most_five_times_a_second() {
        let start = Instant::now();
        let ms = |n| start + Duration::from_millis(n);
        let mut call = CallSpeakers::default();
        call.set(start, 0, speakers(&[(1, 0.2), (2, 0.3)]));
        assert_eq!(
            poll(&mut call, start),
            Some(vec![1, 2]),
            "as the shard says"
        );
        call.set(ms(50), 1, speakers(&[(3, 0.25), (9, 0.9)]));
        assert_eq!((call.due(), poll(&mut call, ms(50))), (Some(ms(200)), None));
        assert_eq!(poll(&mut call, ms(200)), Some(vec![2, 3, 1]));
        call.set(ms(500), 0, vec![]);
        assert_eq!(poll(&mut call, ms(500)), Some(vec![3]));
        call.set(ms(600), 0, vec![]);
        assert_eq!(call.due(), None, "nothing changed");
        call.forget(1);
        assert_eq!(call.due(), Some(ms(700)));
        assert_eq!(poll(&mut call, ms(800)), Some(vec![]));
    }

    #[test]
    fn the_same_speakers_in_the_same_order_are_not_told_again() {
        let start = Instant::now();
        let mut call = CallSpeakers::default();
        call.set(start, 0, speakers(&[(1, 0.2)]));
        assert_eq!(poll(&mut call, start), Some(vec![1]));
        let later = start + INTERVAL;
        call.set(later, 0, speakers(&[(1, 0.4)]));
        assert_eq!(poll(&mut call, later), None);
        assert_eq!(call.due(), None);
    }
}
