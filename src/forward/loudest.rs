//! Which audio tracks of a large call are forwarded: the loudest few, so that nobody has to decode a hundred.

use std::time::{Duration, Instant};

use slab::Slab;

use super::speakers::{LEAD, Loudness, SPEAKS};
use crate::rtp::AudioLevel;

/// Who spoke less than this ago keeps its place, as long as there are others who did not.
const HOLD: Duration = Duration::from_secs(2);
/// Where all of them spoke a moment ago, who has paused for this gives way.
const PAUSE: Duration = Duration::from_millis(500);
/// A sound begins with the first packet that is louder by this than what was before, in dB.
const RISE: f32 = 6.0;
/// It goes on over softer packets, if there are no more than this one after the other.
const DIP: u8 = 5;
/// Packets before it that belong to it: a breath, a consonant.
const LEAD_IN: u64 = 2;
/// How fast what is taken for the background follows a louder one, and a softer one.
const FLOOR_RISE: f32 = 0.01;
const FLOOR_FALL: f32 = 0.5;
/// A number that is this far back is of another source; a nearer one is late.
const MAX_LATE: u64 = 1_000;

/// How many audio tracks are forwarded, and when there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoudestLimits {
    /// How many are forwarded; 0 for all.
    pub tracks: usize,
    /// Up to so many tracks all are.
    pub above: usize,
}

impl Default for LoudestLimits {
    fn default() -> Self {
        Self {
            tracks: 6,
            above: 12,
        }
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is forwarded, as those before it.
    Forward,
    /// Its track is forwarded from now on, and what came since this number of it as well: the sound begins there.
    Begin {
        /// At most the packet's own number.
        first: u64,
    },
    /// It is left out.
    LeaveOut,
    /// It is older than one that came before: what became of its neighbours becomes of it.
    Late,
}

/// One audio track.
#[derive(Clone, Copy, Debug, Default)]
struct Member {
    /// Nothing before its first packet with a level.
    loudness: Option<Loudness>,
    /// The highest number.
    newest: u64,
    /// What it is like when nobody speaks, in dB above silence.
    floor: f32,
    /// Where its present sound begins, and how many softer packets came one after the other since.
    onset: Option<(u64, u8)>,
    /// When it was last loud enough for speech, and how loud it was then, smoothed.
    spoke: Option<Instant>,
    voice: f32,
    /// It is forwarded.
    chosen: bool,
    /// Since when.
    since: Option<Instant>,
}

/// The audio tracks of one call, of which the loudest are forwarded.
///
/// A track keeps its place until somebody speaks who has none. Then the one gives way that has not spoken for the
/// longest time, if that is two seconds; where all spoke since, one that pauses; and where all speak, the softest if it
/// is clearly softer and had its place for two seconds. Noise that is no speech moves nobody.
#[derive(Clone, Debug)]
pub struct Loudest {
    limits: LoudestLimits,
    members: Slab<Member>,
    chosen: Vec<usize>,
}

impl Loudest {
    /// A call without tracks.
    pub fn new(limits: LoudestLimits) -> Self {
        Self {
            limits,
            members: Slab::new(),
            chosen: Vec::new(),
        }
    }

    /// Adds a track, and returns its name here.
    pub fn join(&mut self) -> usize {
        self.members.insert(Member::default())
    }

    /// Forgets a track.
    pub fn leave(&mut self, member: usize) {
        self.members.try_remove(member);
        self.chosen.retain(|&other| other != member);
        if !self.is_choosing() {
            // What was heard will be old when the call is large again.
            self.chosen.clear();
            for (_, member) in &mut self.members {
                *member = Member::default();
            }
        }
    }

    /// Whether there are so many tracks that some are left out.
    pub fn is_choosing(&self) -> bool {
        self.limits.tracks > 0 && self.members.len() > self.limits.above
    }

    /// A packet of a track came, with this level and this extended number. To be asked while
    /// [`is_choosing`](Self::is_choosing) only. Tracks that say no level are not in question.
    pub fn hear(&mut self, now: Instant, name: usize, level: AudioLevel, sequence: u64) -> Choice {
        let Some(member) = self.members.get_mut(name) else {
            return Choice::Forward;
        };
        let is_late = sequence <= member.newest && member.newest - sequence < MAX_LATE;
        if is_late && member.loudness.is_some() {
            return Choice::Late;
        }
        let speaks = member.observe(now, level, sequence);
        if member.chosen {
            return Choice::Forward;
        }
        let (loudness, onset) = (member.loudness_at(now), member.onset);
        if self.chosen.len() >= self.limits.tracks {
            let place = speaks.then(|| self.who_gives_way(now, loudness)).flatten();
            let Some(place) = place else {
                return Choice::LeaveOut;
            };
            let left = self.chosen.swap_remove(place);
            if let Some(left) = self.members.get_mut(left) {
                left.chosen = false;
            }
        }
        self.chosen.push(name);
        if let Some(member) = self.members.get_mut(name) {
            (member.chosen, member.since) = (true, Some(now));
        }
        let begins = onset.map_or(sequence, |(onset, _)| onset);
        Choice::Begin {
            first: if speaks {
                begins.saturating_sub(LEAD_IN)
            } else {
                sequence
            },
        }
    }

    /// The place among the chosen that somebody of this loudness may have, who speaks.
    fn who_gives_way(&self, now: Instant, loudness: f32) -> Option<usize> {
        let chosen = || {
            let members = self.chosen.iter().enumerate();
            members.filter_map(|(place, name)| Some((place, self.members.get(*name)?)))
        };
        let (quietest, member) = chosen().min_by_key(|(_, member)| member.spoke)?;
        let silent = member
            .spoke
            .map_or(Duration::MAX, |spoke| now.saturating_duration_since(spoke));
        // One loud packet may be a click.
        if silent >= HOLD || (silent >= PAUSE && loudness >= SPEAKS) {
            return Some(quietest);
        }
        let (softest, member) = chosen().min_by(|(_, a), (_, b)| a.voice.total_cmp(&b.voice))?;
        let settled = member
            .since
            .is_some_and(|since| now.saturating_duration_since(since) >= HOLD);
        (settled && loudness > member.voice + LEAD).then_some(softest)
    }
}

impl Member {
    /// Takes the level of a packet. Returns whether it is speech.
    fn observe(&mut self, now: Instant, level: AudioLevel, sequence: u64) -> bool {
        let new = Loudness::of(level);
        let smoothed = self.loudness.get_or_insert_with(|| {
            self.floor = new;
            Loudness::silent(now)
        });
        smoothed.observe(now, new);
        self.newest = sequence;
        let sounds = new > self.floor + RISE || new >= SPEAKS;
        self.onset = match self.onset {
            // Of a source that was there before.
            Some((onset, _)) if onset > sequence => None,
            Some((onset, _)) if sounds => Some((onset, 0)),
            Some((onset, softer)) if softer < DIP => Some((onset, softer + 1)),
            Some(_) => None,
            None => sounds.then_some((sequence, 0)),
        };
        let follow = if new < self.floor {
            FLOOR_FALL
        } else {
            FLOOR_RISE
        };
        self.floor += (new - self.floor) * follow;
        if new >= SPEAKS {
            self.spoke = Some(now);
            self.voice = self.loudness_at(now);
        }
        new >= SPEAKS
    }

    fn loudness_at(&self, now: Instant) -> f32 {
        self.loudness.map_or(0.0, |loudness| loudness.at(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACKET: Duration = Duration::from_millis(20);
    const SPEECH: u8 = 30;
    const NOISE: u8 = 75;

    struct Call {
        now: Instant,
        loudest: Loudest,
        names: Vec<usize>,
        sequence: u64,
        /// What became of each track's last packet.
        choices: Vec<Choice>,
        begun: usize,
    }

    impl Call {
        fn new(tracks: usize, above: usize, members: usize) -> Self {
            let mut loudest = Loudest::new(LoudestLimits { tracks, above });
            Self {
                now: Instant::now(),
                names: (0..members).map(|_| loudest.join()).collect(),
                loudest,
                sequence: 1_000,
                choices: vec![Choice::LeaveOut; members],
                begun: 0,
            }
        }

        /// One packet of each track.
        fn step(&mut self, level: impl Fn(usize) -> u8) {
            self.sequence += 1;
            self.now += PACKET;
            self.begun = 0;
            for (track, name) in self.names.iter().enumerate() {
                let level = level(track);
                let level = AudioLevel {
                    voice: level < 60,
                    level,
                };
                let choice = self.loudest.hear(self.now, *name, level, self.sequence);
                self.begun += usize::from(matches!(choice, Choice::Begin { .. }));
                self.choices[track] = choice;
            }
        }

        fn run(&mut self, packets: usize, level: impl Fn(usize) -> u8) {
            for _ in 0..packets {
                self.step(&level);
            }
        }

        fn forwarded(&self) -> Vec<usize> {
            let tracks = 0..self.names.len();
            tracks
                .filter(|track| self.choices[*track] != Choice::LeaveOut)
                .collect()
        }
    }

    #[test]
    fn there_is_a_choice_in_large_calls_only() {
        let mut loudest = Loudest::new(LoudestLimits {
            tracks: 2,
            above: 3,
        });
        let names: Vec<_> = (0..4).map(|_| loudest.join()).collect();
        assert!(loudest.is_choosing());
        loudest.leave(names[0]);
        assert!(!loudest.is_choosing());
        let mut all = Loudest::new(LoudestLimits {
            tracks: 0,
            above: 0,
        });
        all.join();
        assert!(!all.is_choosing());
    }

    #[test]
    fn who_speaks_is_forwarded_from_the_first_packet_and_what_led_to_it() {
        let mut call = Call::new(3, 5, 8);
        call.run(200, |track| if track < 3 { SPEECH } else { NOISE });
        assert_eq!(call.forwarded(), [0, 1, 2]);
        call.run(110, |track| if track < 2 { SPEECH } else { NOISE });
        assert_eq!(call.forwarded(), [0, 1, 2]);
        // It rises before it is loud enough.
        let rises = call.sequence + 1;
        call.step(|track| if track < 2 { SPEECH } else { NOISE - 10 });
        call.step(|track| match track {
            0 | 1 | 7 => SPEECH,
            _ => NOISE,
        });
        assert_eq!(
            call.choices[7],
            Choice::Begin {
                first: rises - LEAD_IN
            }
        );
        call.step(|track| if track < 2 { SPEECH } else { NOISE });
        assert_eq!(call.forwarded(), [0, 1, 7]);
    }

    #[test]
    fn a_pause_costs_no_place_unless_all_others_speak() {
        let mut call = Call::new(2, 3, 4);
        call.run(150, |track| if track < 2 { SPEECH } else { NOISE });
        // Both pause for a second; nobody else speaks.
        call.run(50, |_| NOISE);
        assert_eq!(call.forwarded(), [0, 1]);
        call.run(50, |track| if track < 2 { SPEECH } else { NOISE });
        // One pauses and another speaks.
        call.run(20, |track| [SPEECH, NOISE, SPEECH, NOISE][track]);
        assert_eq!(call.forwarded(), [0, 1]);
        call.run(10, |track| [SPEECH, NOISE, SPEECH, NOISE][track]);
        assert_eq!(call.forwarded(), [0, 2]);
    }

    #[test]
    fn a_clearly_louder_one_takes_the_place_of_the_softest() {
        let mut call = Call::new(2, 3, 4);
        call.run(110, |track| [20, 40, 90, 90][track]);
        let begins = call.sequence + 1;
        let mut packets = 0;
        while call.choices[2] == Choice::LeaveOut && packets < 20 {
            call.step(|track| [20, 40, 15, 36][track]);
            packets += 1;
        }
        assert!((2..=10).contains(&packets), "{packets}");
        let first = begins - LEAD_IN;
        assert_eq!(call.choices[2], Choice::Begin { first });
        call.run(500, |track| [20, 40, 15, 36][track]);
        assert_eq!(call.forwarded(), [0, 2]);
    }

    #[test]
    fn noise_moves_nobody() {
        let mut call = Call::new(6, 12, 15);
        call.run(10, |_| 127);
        let before = call.forwarded();
        assert_eq!(before.len(), 6);
        for round in 0..500u64 {
            call.step(|track| 55 + ((round * 7919 + track as u64 * 104_729) % 40) as u8);
            // Even what the sender takes for voice, below the level of speech.
            assert_eq!(call.forwarded(), before);
        }
    }

    #[test]
    fn a_late_packet_changes_nothing_and_another_source_begins_anew() {
        let mut call = Call::new(1, 1, 2);
        call.run(10, |track| [SPEECH, NOISE][track]);
        let level = AudioLevel {
            voice: true,
            level: 10,
        };
        let late = call.sequence - 5;
        let names = call.names.clone();
        let mut hear = |name: usize, at| call.loudest.hear(call.now, names[name], level, at);
        assert_eq!(hear(1, late), Choice::Late);
        assert_eq!(hear(0, late), Choice::Late);
        call.run(110, |_| NOISE);
        call.sequence += 100_000;
        call.run(1, |_| NOISE);
        call.sequence = 7;
        call.step(|track| [NOISE, SPEECH][track]);
        assert!(matches!(call.choices[1], Choice::Begin { first } if first <= 8));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn as_many_as_there_are_places_are_forwarded_and_none_loses_its_place_while_another_is_idle(
            tracks in 1usize..6,
            steps in proptest::collection::vec(
                (proptest::collection::vec(0u8..128, 10), 1usize..150), 1..40),
        ) {
            let mut call = Call::new(tracks, 6, 10);
            let mut spoke: Vec<Option<Instant>> = vec![None; 10];
            for (levels, packets) in steps {
                for _ in 0..packets {
                    let before = call.forwarded();
                    call.step(|track| levels[track]);
                    let chosen: Vec<_> = (0..10)
                        .filter(|track| call.loudest.members[call.names[*track]].chosen)
                        .collect();
                    prop_assert_eq!(chosen.len(), tracks);
                    let idle = |track: &usize| {
                        spoke[*track].is_none_or(|at| call.now - at >= HOLD)
                    };
                    // Who lost its place was idle, or nobody who kept it was.
                    let speaks = |track: usize| levels[track] <= 50;
                    let kept_idle = chosen
                        .iter()
                        .any(|track| before.contains(track) && idle(track) && !speaks(*track));
                    for track in before {
                        let lost = !chosen.contains(&track);
                        prop_assert!(!lost || idle(&track) || !kept_idle);
                    }
                    for track in (0..10).filter(|track| speaks(*track)) {
                        spoke[track] = Some(call.now);
                    }
                }
            }
        }
    }
}
