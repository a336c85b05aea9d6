//! Opus with discontinuous transmission: a packet each 20 ms while somebody speaks, one each 400 ms while
//! nobody does (RFC 7587 section 3.1.3).

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// What one packet of speech holds.
pub(crate) const PACKET_TIME: Duration = Duration::from_millis(20);
/// Packet times between two packets of silence.
const SILENCE_TIMES: u32 = 20;
/// Mean lengths of speech and of silence, in packet times: 3 s and 2 s.
const SPEECH_MEAN: f64 = 150.0;
const SILENCE_MEAN: f64 = 100.0;
/// Neither is shorter.
const LEAST: u32 = 20;
/// Bytes of a packet of speech: 32 kbit/s on average.
const SIZES: std::ops::RangeInclusive<usize> = 60..=100;
/// Bytes of a packet of silence.
const SILENCE_SIZE: usize = 2;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpeechPacket {
    /// Its payload, in bytes.
    pub(crate) size: usize,
    /// The first after silence.
    pub(crate) marker: bool,
    /// Loudness as RFC 6464 has it: 0 is the loudest, 127 silence.
    pub(crate) level: u8,
    /// How long until the next one is due.
    pub(crate) next: Duration,
}

/// One speaker.
#[derive(Clone, Debug)]
pub(crate) struct Speech {
    random: StdRng,
    speaking: bool,
    /// Packet times that are left of it.
    left: u32,
    begins: bool,
}

impl Speech {
    /// Begins anywhere in speech or silence.
    pub(crate) fn new(mut random: StdRng) -> Self {
        let speaking = random.random_bool(SPEECH_MEAN / (SPEECH_MEAN + SILENCE_MEAN));
        let mut speech = Self {
            random,
            speaking,
            left: 0,
            begins: true,
        };
        speech.left = speech.length();
        speech
    }

    /// The packet that is due now.
    pub(crate) fn next(&mut self) -> SpeechPacket {
        if self.left == 0 {
            self.speaking = !self.speaking;
            self.begins = true;
            self.left = self.length();
        }
        let marker = std::mem::take(&mut self.begins) && self.speaking;
        if self.speaking {
            self.left -= 1;
            return SpeechPacket {
                size: self.random.random_range(SIZES),
                marker,
                level: self.random.random_range(25..=45),
                next: PACKET_TIME,
            };
        }
        let times = self.left.min(SILENCE_TIMES);
        self.left -= times;
        SpeechPacket {
            size: SILENCE_SIZE,
            marker,
            level: 127,
            next: PACKET_TIME * times,
        }
    }

    /// Of the speech or silence that begins: mostly short, sometimes long (exponential).
    fn length(&mut self) -> u32 {
        let mean = if self.speaking {
            SPEECH_MEAN
        } else {
            SILENCE_MEAN
        };
        let even: f64 = self.random.random();
        let length = -(1.0 - even).ln() * mean;
        (length.round() as u32).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn speech_is_fifty_packets_a_second_and_silence_two_and_a_half() {
        let mut speech = Speech::new(StdRng::seed_from_u64(11));
        let (mut spoken, mut silent) = (Duration::ZERO, Duration::ZERO);
        let (mut packets, mut pauses, mut bytes, mut markers) = (0, 0, 0, 0);
        while spoken + silent < Duration::from_secs(2_000) {
            let packet = speech.next();
            markers += usize::from(packet.marker);
            if packet.level == 127 {
                assert!(packet.size <= 2);
                silent += packet.next;
                pauses += 1;
            } else {
                assert_eq!(packet.next, PACKET_TIME);
                spoken += packet.next;
                packets += 1;
                bytes += packet.size;
            }
        }
        assert_eq!(packets, spoken.as_millis() / 20);
        let rate = f64::from(pauses) / silent.as_secs_f64();
        assert!(
            (2.4..3.5).contains(&rate),
            "{rate} packets a second of silence"
        );
        let bitrate = bytes as f64 * 8.0 / spoken.as_secs_f64();
        assert!((30_000.0..34_000.0).contains(&bitrate), "{bitrate}");
        let share = spoken.as_secs_f64() / (spoken + silent).as_secs_f64();
        assert!((0.5..0.7).contains(&share), "{share} of the time");
        assert!(markers > 100, "speech begins {markers} times");
    }
}
