//! Which packets of one incoming stream to ask for again.

use std::time::{Duration, Instant};

/// With more missing than this a keyframe is the shorter way.
const MAX_MISSING: usize = 256;
/// A gap from this size on is no loss that can be repaired.
const MAX_GAP: u64 = 1000;
/// How long a packet may be overtaken before it is asked for.
const REORDER_TIME: Duration = Duration::from_millis(10);
/// By how many packets.
const REORDER_PACKETS: u64 = 2;
/// The shortest time between two requests for one packet.
const MIN_INTERVAL: Duration = Duration::from_millis(20);
/// How often a packet is asked for.
const MAX_TRIES: u8 = 16;
/// How long a packet is of use.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Before a round trip was measured.
const FIRST_RTT: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u64,
    since: Instant,
    sent: Option<Instant>,
    tries: u8,
}

/// Finds gaps in the extended sequence numbers of a stream, and says when to ask for what.
#[derive(Clone, Debug)]
pub struct NackGenerator {
    highest: Option<u64>,
    /// In ascending order.
    missing: Vec<Missing>,
    rtt: Duration,
    /// Whether the round trip was measured elsewhere.
    rtt_is_told: bool,
    needs_keyframe: bool,
    /// When something was asked for last.
    asked: Option<Instant>,
}

impl Default for NackGenerator {
    fn default() -> Self {
        Self {
            highest: None,
            missing: Vec::new(),
            rtt: FIRST_RTT,
            rtt_is_told: false,
            needs_keyframe: false,
            asked: None,
        }
    }
}

impl NackGenerator {
    /// A packet came, by itself or as a retransmission.
    pub fn receive(&mut self, now: Instant, sequence: u64) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        if sequence <= highest {
            if let Ok(index) = self.find(sequence) {
                let missing = self.missing.remove(index);
                self.learn_rtt(now, &missing);
            }
            return;
        }
        self.highest = Some(sequence);
        let gap = sequence - highest - 1;
        if gap == 0 {
            return;
        }
        if gap >= MAX_GAP || self.missing.len() as u64 + gap > MAX_MISSING as u64 {
            self.missing.clear();
            self.needs_keyframe = true;
            return;
        }
        self.missing
            .extend((highest + 1..sequence).map(|sequence| Missing {
                sequence,
                since: now,
                sent: None,
                tries: 0,
            }));
    }

    /// A keyframe starts at this packet: nothing before it is of use.
    pub fn keyframe(&mut self, sequence: u64) {
        let older = self.missing.partition_point(|m| m.sequence < sequence);
        self.missing.drain(..older);
        self.needs_keyframe = false;
    }

    /// The measured round trip, which paces repetitions.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt;
        self.rtt_is_told = true;
    }

    /// How long a packet that was asked for once took to come says what a round trip takes, where nothing better does: a
    /// publisher that is sent nothing reports nothing.
    fn learn_rtt(&mut self, now: Instant, missing: &Missing) {
        if let (Some(sent), 1, false) = (missing.sent, missing.tries, self.rtt_is_told) {
            let took = now.saturating_duration_since(sent);
            self.rtt = (self.rtt * 3 + took) / 4;
        }
    }

    /// Appends the packets to ask for now, in ascending order; they are taken for asked.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<u16>) {
        let Some(highest) = self.highest else { return };
        let interval = self.interval();
        let before = self.missing.len();
        self.missing.retain(|missing| {
            // The last request gets its time before it is given up.
            let last_due = missing.sent.is_none_or(|sent| now >= sent + interval);
            let given_up = missing.tries >= MAX_TRIES && last_due;
            !given_up && now.saturating_duration_since(missing.since) < MAX_AGE
        });
        self.needs_keyframe |= self.missing.len() < before;
        for missing in &mut self.missing {
            if missing.tries < MAX_TRIES && due(missing, highest, interval) <= now {
                missing.sent = Some(now);
                missing.tries += 1;
                out.push(missing.sequence as u16);
                self.asked = Some(now);
            }
        }
    }

    /// When [`poll`](Self::poll) has something to do next. In the past when it has now.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let highest = self.highest?;
        let interval = self.interval();
        self.missing
            .iter()
            .map(|missing| due(missing, highest, interval).min(missing.since + MAX_AGE))
            .min()
    }

    /// Whether packets were given up since the last call or keyframe, so that only a keyframe helps.
    pub fn take_needs_keyframe(&mut self) -> bool {
        std::mem::take(&mut self.needs_keyframe)
    }

    /// Whether packets were missing less than `within` ago.
    pub fn was_lossy(&self, now: Instant, within: Duration) -> bool {
        self.asked.is_some_and(|asked| now < asked + within)
    }

    /// How many packets are missing now.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    fn interval(&self) -> Duration {
        self.rtt.max(MIN_INTERVAL)
    }

    fn find(&self, sequence: u64) -> Result<usize, usize> {
        self.missing.binary_search_by_key(&sequence, |m| m.sequence)
    }
}

fn due(missing: &Missing, highest: u64, interval: Duration) -> Instant {
    match missing.sent {
        // It is known to be lost then, and so may be what asks for it.
        Some(sent) if missing.tries > 1 => sent + (interval / 2).max(MIN_INTERVAL),
        Some(sent) => sent + interval,
        None if highest - missing.sequence >= REORDER_PACKETS => missing.since,
        None => missing.since + REORDER_TIME,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn poll(nack: &mut NackGenerator, now: Instant) -> Vec<u16> {
        let mut out = vec![];
        nack.poll(now, &mut out);
        out
    }

    #[test]
    fn a_gap_is_asked_for_after_two_packets_or_ten_milliseconds() {
        let start = Instant::now();
        let mut nack = NackGenerator::default();
        nack.receive(start, 10);
        nack.receive(start, 12);
        assert_eq!(nack.poll_timeout(), Some(start + ms(10)));
        assert!(poll(&mut nack, start + ms(9)).is_empty());
        assert_eq!(poll(&mut nack, start + ms(10)), [11]);

        nack.receive(start + ms(11), 14);
        assert!(poll(&mut nack, start + ms(11)).is_empty());
        nack.receive(start + ms(12), 15);
        assert!(nack.poll_timeout() <= Some(start + ms(12)));
        assert_eq!(poll(&mut nack, start + ms(12)), [13]);
    }

    #[test]
    fn a_packet_that_was_only_overtaken_is_not_asked_for() {
        let start = Instant::now();
        let mut nack = NackGenerator::default();
        nack.receive(start, 1);
        nack.receive(start, 3);
        nack.receive(start + ms(5), 2);
        assert_eq!(nack.missing(), 0);
        assert_eq!(nack.poll_timeout(), None);
        assert!(poll(&mut nack, start + ms(500)).is_empty());
        assert!(!nack.take_needs_keyframe());
    }

    #[test]
    fn requests_are_repeated_each_round_trip_until_given_up() {
        let start = Instant::now();
        let mut nack = NackGenerator::default();
        nack.set_rtt(ms(50));
        nack.receive(start, 1);
        nack.receive(start, 3);
        let mut asked = vec![];
        for n in 0..1200 {
            if !poll(&mut nack, start + ms(n)).is_empty() {
                asked.push(n);
            }
        }
        // From the second time on, twice as often: the requests get lost as well.
        let later = (0..14).map(|n| 85 + 25 * n);
        assert_eq!(asked, [10, 60].into_iter().chain(later).collect::<Vec<_>>());
        assert_eq!(nack.missing(), 0);
        assert!(nack.take_needs_keyframe());
        assert!(!nack.take_needs_keyframe());
    }

    #[test]
    fn what_is_a_second_old_is_given_up() {
        let start = Instant::now();
        let mut nack = NackGenerator::default();
        nack.set_rtt(ms(400));
        nack.receive(start, 1);
        nack.receive(start, 3);
        poll(&mut nack, start + ms(10));
        poll(&mut nack, start + ms(410));
        poll(&mut nack, start + ms(810));
        assert_eq!(nack.poll_timeout(), Some(start + ms(1000)));
        assert!(poll(&mut nack, start + ms(1000)).is_empty());
        assert!(nack.take_needs_keyframe());
    }

    #[test]
    fn a_keyframe_makes_older_losses_meaningless() {
        let start = Instant::now();
        let mut nack = NackGenerator::default();
        for n in [1, 3, 6, 8] {
            nack.receive(start, n);
        }
        nack.keyframe(6);
        assert_eq!(poll(&mut nack, start + ms(20)), [7]);
    }

    #[test]
    fn gaps_beyond_repair_ask_for_a_keyframe() {
        let start = Instant::now();
        let mut nack = NackGenerator::default();
        nack.receive(start, 1);
        nack.receive(start, 1002);
        assert_eq!(nack.missing(), 0);
        assert!(nack.take_needs_keyframe());
        nack.receive(start, 1002 + 257);
        assert_eq!(nack.missing(), 256);
        assert!(!nack.take_needs_keyframe());
        nack.receive(start, 1002 + 259);
        assert_eq!(nack.missing(), 0);
        assert!(nack.take_needs_keyframe());
    }

    proptest! {
        #[test]
        fn exactly_the_missing_are_asked_for(
            lost in proptest::collection::vec(any::<bool>(), 4..200), swap in 0usize..8,
        ) {
            let start = Instant::now();
            let mut nack = NackGenerator::default();
            let mut arrivals: Vec<u64> = (0..lost.len() as u64)
                .filter(|n| *n == 0 || !lost[*n as usize])
                .collect();
            if arrivals.len() > swap + 2 {
                arrivals.swap(swap + 1, swap + 2);
            }
            for n in &arrivals {
                nack.receive(start, 70_000 + n);
                nack.receive(start, 70_000 + n);
            }
            let highest = arrivals.iter().copied().max().unwrap();
            let expected: Vec<u16> = (0..highest)
                .filter(|n| *n > 0 && lost[*n as usize])
                .map(|n| (70_000 + n) as u16)
                .collect();
            prop_assert_eq!(poll(&mut nack, start + ms(10)), expected.clone());
            prop_assert_eq!(poll(&mut nack, start + ms(10)), Vec::<u16>::new());
            for n in &expected {
                nack.receive(start, 65_536 + u64::from(*n));
            }
            prop_assert_eq!(nack.missing(), 0);
        }
    }
}
