//! Who speaks in one call, by the audio levels that the publishers send along (RFC 6464).

use std::time::{Duration, Instant};

use crate::rtp::AudioLevel;

/// Changes are told at most this often.
const INTERVAL: Duration = Duration::from_millis(200);
/// How fast the smoothed level follows a louder one, and a softer one.
const ATTACK: Duration = Duration::from_millis(40);
const RELEASE: Duration = Duration::from_millis(800);
/// Loudness in dB above silence (-127 dBov) from which a track speaks, and below which it may stop.
pub(super) const SPEAKS: f32 = 77.0;
const STOPS: f32 = 67.0;
/// A pause between words is no end.
const HOLD: Duration = Duration::from_secs(1);
/// By how much a speaker must be louder to come before another, in dB.
pub(super) const LEAD: f32 = 6.0;
/// What the sender does not take for voice counts as softer by this, in dB.
const NO_VOICE: f32 = 10.0;
/// Time without packets after which a track is forgotten.
const EXPIRY: Duration = Duration::from_secs(3);
/// Tracks of one call that are listened to; more are ignored.
const MAX_TRACKS: usize = 1024;

/// How loud a track is, smoothed, in dB above silence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loudness {
    value: f32,
    at: Instant,
}

impl Loudness {
    /// The loudness of one packet. What the sender does not take for voice counts as softer.
    pub(super) fn of(level: AudioLevel) -> f32 {
        let softer = if level.voice { 0.0 } else { NO_VOICE };
        (127.0 - f32::from(level.level.min(127)) - softer).max(0.0)
    }

    /// A track of which nothing was heard.
    pub(super) fn silent(now: Instant) -> Self {
        Self {
            value: 0.0,
            at: now,
        }
    }

    /// A packet came.
    pub(super) fn observe(&mut self, now: Instant, loudness: f32) {
        // A packet spans 20 ms as a rule; after a silence without packets one is no more than another.
        let elapsed = now.saturating_duration_since(self.at);
        let before = self.at(now - elapsed.min(Duration::from_millis(20)));
        let span = elapsed.clamp(Duration::from_millis(5), Duration::from_millis(20));
        let time = if loudness > before { ATTACK } else { RELEASE };
        self.value = before + (loudness - before) * step(span, time);
        self.at = now;
    }

    /// The loudness now: without packets it falls as if there were silence.
    pub(super) fn at(&self, now: Instant) -> f32 {
        let silent = now.saturating_duration_since(self.at);
        self.value * (1.0 - step(silent, RELEASE))
    }
}

#[derive(Clone, Copy, Debug)]
struct Track {
    key: u64,
    loudness: Loudness,
    /// When it was last loud enough to be a speaker.
    loud: Option<Instant>,
}

/// The tracks of one call ranked by loudness, with enough inertia to be looked at.
#[derive(Clone, Debug, Default)]
pub struct Speakers {
    /// In ascending order of keys.
    tracks: Vec<Track>,
    /// Who speaks, as last told: loudest first.
    ranking: Vec<u64>,
    polled: Option<Instant>,
}

impl Speakers {
    /// A packet of the track `key` had this level.
    pub fn observe(&mut self, now: Instant, key: u64, level: AudioLevel) {
        let track = match self.tracks.binary_search_by_key(&key, |t| t.key) {
            Ok(index) => self.tracks.get_mut(index),
            Err(_) if self.tracks.len() >= MAX_TRACKS => None,
            Err(index) => {
                self.tracks.insert(
                    index,
                    Track {
                        key,
                        loudness: Loudness::silent(now),
                        loud: None,
                    },
                );
                self.tracks.get_mut(index)
            }
        };
        let Some(track) = track else { return };
        track.loudness.observe(now, Loudness::of(level));
        if track.loudness.value >= SPEAKS {
            track.loud = Some(now);
        }
    }

    /// Forgets a track that ended or was muted.
    pub fn remove(&mut self, key: u64) {
        self.tracks.retain(|track| track.key != key);
    }

    /// The speakers with their linear levels from 0 to 1, loudest first, if who they are or their order
    /// changed since the last time; at most five times a second.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<(u64, f32)>> {
        if self.polled.is_some_and(|polled| now < polled + INTERVAL) {
            return None;
        }
        self.polled = Some(now);
        self.tracks
            .retain(|track| now.saturating_duration_since(track.loudness.at) < EXPIRY);
        let ranking = self.rank(now);
        if ranking == self.ranking {
            return None;
        }
        self.ranking = ranking;
        let level = |key: &u64| 10f32.powf((self.loudness(now, *key) - 127.0) / 20.0);
        Some(self.ranking.iter().map(|key| (*key, level(key))).collect())
    }

    /// When to poll next. `None` while nothing is heard.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.tracks.is_empty() && self.ranking.is_empty() {
            return None;
        }
        match self.polled {
            Some(polled) => Some(polled + INTERVAL),
            None => self.tracks.iter().map(|track| track.loudness.at).min(),
        }
    }

    fn rank(&self, now: Instant) -> Vec<u64> {
        let speaks = |key: &u64| {
            let Some(track) = self.find(*key) else {
                return false;
            };
            track.loud.is_some_and(|loud| {
                track.loudness.at(now) >= STOPS || now.saturating_duration_since(loud) < HOLD
            })
        };
        let stay = self.ranking.iter().filter(|key| speaks(key));
        let mut ranking: Vec<u64> = stay.copied().collect();
        // Who begins comes in at the end, and rises by being louder.
        for track in &self.tracks {
            let speaking = track.loudness.at(now) >= SPEAKS;
            if speaking && !ranking.contains(&track.key) {
                ranking.push(track.key);
            }
        }
        for end in 1..ranking.len() {
            let mut place = end;
            while place > 0
                && self.loudness(now, ranking[place])
                    > self.loudness(now, ranking[place - 1]) + LEAD
            {
                ranking.swap(place, place - 1);
                place -= 1;
            }
        }
        ranking
    }

    fn loudness(&self, now: Instant, key: u64) -> f32 {
        self.find(key).map_or(0.0, |track| track.loudness.at(now))
    }

    fn find(&self, key: u64) -> Option<&Track> {
        let index = self.tracks.binary_search_by_key(&key, |t| t.key).ok()?;
        self.tracks.get(index)
    }
}

/// How much of the way to a new value a first-order filter goes in `elapsed`.
fn step(elapsed: Duration, time: Duration) -> f32 {
    1.0 - (-elapsed.as_secs_f32() / time.as_secs_f32()).exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// One call in virtual time: `levels` tells each track's level in dBov at each packet.
    struct Call {
        now: Instant,
        speakers: Speakers,
        told: Vec<(Instant, Vec<u64>)>,
    }

    impl Call {
        fn new() -> Self {
            Self {
                now: Instant::now(),
                speakers: Speakers::default(),
                told: vec![],
            }
        }

        fn run(&mut self, time: Duration, levels: &[(u64, u8)]) {
            let end = self.now + time;
            while self.now < end {
                for (key, level) in levels {
                    let level = AudioLevel {
                        voice: *level < 60,
                        level: *level,
                    };
                    self.speakers.observe(self.now, *key, level);
                }
                if let Some(speakers) = self.speakers.poll(self.now) {
                    let keys = speakers.iter().map(|(key, _)| *key).collect();
                    self.told.push((self.now, keys));
                }
                self.now += ms(20);
            }
        }

        fn told(&mut self) -> Vec<Vec<u64>> {
            self.told.drain(..).map(|(_, keys)| keys).collect()
        }
    }

    #[test]
    fn a_speaker_is_told_within_400_ms_and_forgotten_after_the_pause() {
        let mut call = Call::new();
        call.run(ms(1000), &[(1, 127), (2, 90)]);
        assert_eq!(call.told(), Vec::<Vec<u64>>::new());
        call.run(ms(400), &[(1, 30), (2, 90)]);
        assert_eq!(call.told(), [[1]]);
        // A pause between words changes nothing.
        call.run(ms(700), &[(1, 127), (2, 90)]);
        call.run(ms(300), &[(1, 30), (2, 90)]);
        assert_eq!(call.told(), Vec::<Vec<u64>>::new());
        call.run(ms(2000), &[(1, 127), (2, 90)]);
        assert_eq!(call.told(), [Vec::<u64>::new()]);
    }

    #[test]
    fn a_click_is_no_speaker() {
        let mut call = Call::new();
        call.run(ms(200), &[(1, 127)]);
        call.run(ms(40), &[(1, 20)]);
        call.run(ms(1000), &[(1, 127)]);
        assert_eq!(call.told(), Vec::<Vec<u64>>::new());
    }

    #[test]
    fn order_changes_only_with_a_clear_lead() {
        let mut call = Call::new();
        call.run(ms(1000), &[(1, 30), (2, 127)]);
        call.run(ms(1000), &[(1, 30), (2, 27)]);
        assert_eq!(call.told(), [vec![1], vec![1, 2]]);
        call.run(ms(1000), &[(1, 30), (2, 15)]);
        assert_eq!(call.told(), [[2, 1]]);
        call.run(ms(1000), &[(1, 18), (2, 22)]);
        assert_eq!(call.told(), Vec::<Vec<u64>>::new());
    }

    #[test]
    fn a_track_without_packets_falls_silent_and_expires() {
        let mut call = Call::new();
        call.run(ms(500), &[(1, 20)]);
        assert_eq!(call.told(), [[1]]);
        // With DTX silence has no packets.
        call.run(ms(4000), &[]);
        assert_eq!(call.told(), [Vec::<u64>::new()]);
        assert_eq!(call.speakers.poll_timeout(), None);
        call.run(ms(500), &[(1, 20)]);
        call.speakers.remove(1);
        call.run(ms(500), &[]);
        assert_eq!(call.told(), [vec![1], vec![]]);
    }

    #[test]
    fn levels_are_linear() {
        let start = Instant::now();
        let mut speakers = Speakers::default();
        for n in 0..100 {
            let level = AudioLevel {
                voice: true,
                level: 20,
            };
            speakers.observe(start + ms(20) * n, 7, level);
        }
        let told = speakers.poll(start + ms(1980)).unwrap();
        assert_eq!(told.len(), 1);
        assert!((told[0].1 - 0.1).abs() < 0.005, "{told:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn changes_are_at_most_five_a_second_and_real(
            steps in proptest::collection::vec(
                (proptest::collection::vec((0u64..6, 0u8..128), 0..6), 1u64..600), 1..60),
        ) {
            let mut call = Call::new();
            for (levels, time) in steps {
                call.run(ms(time), &levels);
            }
            for pair in call.told.windows(2) {
                prop_assert!(pair[1].0 >= pair[0].0 + INTERVAL);
                prop_assert_ne!(&pair[0].1, &pair[1].1);
            }
        }
    }
}
