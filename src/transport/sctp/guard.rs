//! Bounds on what a peer can make the supplier keep or do. RFC 9260 trusts the peer with much of it.

use super::before;
use super::packet::{Chunk, Chunks, ResetRequest, reset_requests};

/// How far DATA may be ahead of what was received in order: the supplier keeps all that is.
const MAX_AHEAD: u32 = 4096;
/// How far FORWARD TSN may skip: the supplier goes there step by step.
const MAX_SKIP: u32 = 16_384;
/// Chunks that may wait for the rest of their messages. Small ones weigh more than their bytes.
const MAX_WAITING_CHUNKS: usize = 4096;
/// Stream resets that may wait for data; RFC 6525 section 5.1.1 allows one.
const MAX_WAITING_RESETS: usize = 16;
/// Streams beyond this number exist in no WebRTC implementation's defaults, nor do we agree to them.
pub(super) const MAX_STREAMS: u16 = 1024;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// As if it was lost: an honest peer sends it again.
    Drop,
    /// No honest peer sends this: the association must end.
    Abort,
}

/// Watches both directions of one association.
pub(super) struct Guard {
    receive_buffer: u32,
    /// The last TSN received in order, by our own SACKs. Unknown before INIT or INIT ACK.
    cumulative: Option<u32>,
    /// DATA chunks since the supplier last had nothing to wait for.
    waiting_chunks: usize,
    /// Bytes that came after the receive window was closed; `None` while it is open. The supplier takes
    /// them if they continue a message, which may go on for ever.
    beyond_window: Option<usize>,
    waiting_resets: Vec<ResetRequest>,
}

impl Guard {
    pub(super) fn new(receive_buffer: u32) -> Self {
        Self {
            receive_buffer,
            cumulative: None,
            waiting_chunks: 0,
            beyond_window: None,
            waiting_resets: Vec::new(),
        }
    }

    /// Judges a packet from the peer. `takes` tells whether a stream exists or may be made.
    pub(super) fn admit(&mut self, packet: &[u8], takes: impl Fn(u16) -> bool) -> Verdict {
        for chunk in Chunks::new(packet) {
            let verdict = match chunk {
                None => Verdict::Drop,
                Some(Chunk::Init { initial_tsn, .. }) => {
                    // Only the first counts; RFC 9260 section 5.2 ignores others or makes them restarts.
                    self.cumulative.get_or_insert(initial_tsn.wrapping_sub(1));
                    Verdict::Pass
                }
                Some(Chunk::Data { tsn, stream, len }) => {
                    if !self.is_within(tsn, MAX_AHEAD) || stream >= MAX_STREAMS || !takes(stream) {
                        Verdict::Drop
                    } else {
                        self.admit_data(len)
                    }
                }
                Some(Chunk::ForwardTsn { cumulative }) if !self.is_within(cumulative, MAX_SKIP) => {
                    Verdict::Drop
                }
                Some(Chunk::Reconfig { parameters }) => self.admit_resets(parameters),
                Some(_) => Verdict::Pass,
            };
            if verdict != Verdict::Pass {
                return verdict;
            }
        }
        Verdict::Pass
    }

    /// Reads a packet of ours: its SACK tells what the supplier has and what waits there.
    pub(super) fn observe(&mut self, packet: &[u8]) {
        for chunk in Chunks::new(packet) {
            let Some(Chunk::Sack { cumulative, credit }) = chunk else {
                continue;
            };
            self.cumulative = Some(cumulative);
            self.waiting_resets
                .retain(|request| request.waits_beyond(cumulative));
            if credit >= self.receive_buffer {
                self.waiting_chunks = 0;
            }
            if credit > 0 {
                self.beyond_window = None;
            } else {
                self.beyond_window.get_or_insert(0);
            }
        }
    }

    fn admit_data(&mut self, len: usize) -> Verdict {
        self.waiting_chunks += 1;
        if let Some(beyond) = &mut self.beyond_window {
            *beyond += len;
        }
        // What was under way when the window closed is at most another window.
        let beyond = self.beyond_window.unwrap_or(0);
        if self.waiting_chunks > MAX_WAITING_CHUNKS || beyond > self.receive_buffer as usize {
            Verdict::Abort
        } else {
            Verdict::Pass
        }
    }

    fn admit_resets(&mut self, parameters: &[u8]) -> Verdict {
        let (Some(requests), Some(cumulative)) = (reset_requests(parameters), self.cumulative)
        else {
            return Verdict::Drop;
        };
        for request in requests {
            let waits = request.waits_beyond(cumulative);
            if !waits || self.waiting_resets.contains(&request) {
                continue;
            }
            if self.waiting_resets.len() >= MAX_WAITING_RESETS {
                return Verdict::Drop;
            }
            self.waiting_resets.push(request);
        }
        Verdict::Pass
    }

    /// Whether a TSN is old, or ahead by at most `limit`.
    fn is_within(&self, tsn: u32, limit: u32) -> bool {
        self.cumulative.is_some_and(|cumulative| {
            !before(cumulative, tsn) || tsn.wrapping_sub(cumulative) <= limit
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, words: &[u32]) -> Vec<u8> {
        let mut packet = vec![0; 12];
        packet.extend([kind, 3, 0, 4 + 4 * words.len() as u8]);
        packet.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        packet
    }

    fn data(tsn: u32) -> Vec<u8> {
        packet(0, &[tsn, 5 << 16, 53, 0])
    }

    fn guard(initial_tsn: u32) -> Guard {
        let mut guard = Guard::new(1000);
        assert_eq!(
            guard.admit(&data(initial_tsn), |_| true),
            Verdict::Drop,
            "before INIT"
        );
        let init = packet(1, &[1, 1, 1, initial_tsn]);
        assert_eq!(guard.admit(&init, |_| true), Verdict::Pass);
        guard
    }

    #[test]
    fn data_and_skips_stay_near() {
        for first in [1, u32::MAX - 3] {
            let mut guard = guard(first);
            let mut admit = |packet: Vec<u8>| guard.admit(&packet, |_| true);
            assert_eq!(admit(data(first)), Verdict::Pass);
            assert_eq!(
                admit(data(first.wrapping_add(MAX_AHEAD - 1))),
                Verdict::Pass
            );
            assert_eq!(admit(data(first.wrapping_add(MAX_AHEAD))), Verdict::Drop);
            assert_eq!(admit(data(first.wrapping_sub(9))), Verdict::Pass, "old");
            let skip = first.wrapping_add(MAX_SKIP);
            assert_eq!(admit(packet(192, &[skip.wrapping_sub(1)])), Verdict::Pass);
            assert_eq!(admit(packet(192, &[skip])), Verdict::Drop);
        }
    }

    #[test]
    fn streams_must_be_taken() {
        let mut guard = guard(7);
        assert_eq!(guard.admit(&data(7), |stream| stream != 5), Verdict::Drop);
        let far = packet(0, &[7, u32::from(MAX_STREAMS) << 16, 53, 0]);
        assert_eq!(guard.admit(&far, |_| true), Verdict::Drop);
    }

    #[test]
    fn a_message_without_an_end_is_ended() {
        let mut endless = guard(0);
        endless.observe(&packet(3, &[0, 0, 0]));
        let verdicts: Vec<_> = (1..400)
            .map(|tsn| endless.admit(&data(tsn), |_| true))
            .collect();
        assert_eq!(
            verdicts
                .iter()
                .filter(|&&verdict| verdict == Verdict::Pass)
                .count(),
            250
        );
        assert_eq!(verdicts.last(), Some(&Verdict::Abort));

        let mut crumbs = guard(0);
        for tsn in 0..MAX_WAITING_CHUNKS as u32 {
            assert_eq!(crumbs.admit(&data(tsn), |_| true), Verdict::Pass);
        }
        assert_eq!(crumbs.admit(&data(9), |_| true), Verdict::Abort);

        let mut honest = guard(0);
        for tsn in 0..20_000 {
            assert_eq!(honest.admit(&data(tsn), |_| true), Verdict::Pass);
            honest.observe(&packet(3, &[tsn, 1000, 0]));
        }
    }

    #[test]
    fn few_resets_may_wait() {
        let mut guard = guard(100);
        let reset = |sequence, last_tsn| packet(130, &[(13 << 16) | 16, sequence, 0, last_tsn]);
        for sequence in 0..40 {
            assert_eq!(
                guard.admit(&reset(sequence, 99), |_| true),
                Verdict::Pass,
                "due"
            );
        }
        for sequence in 0..MAX_WAITING_RESETS as u32 {
            assert_eq!(guard.admit(&reset(sequence, 150), |_| true), Verdict::Pass);
        }
        assert_eq!(
            guard.admit(&reset(3, 150), |_| true),
            Verdict::Pass,
            "a repetition"
        );
        assert_eq!(guard.admit(&reset(77, 150), |_| true), Verdict::Drop);
        guard.observe(&packet(3, &[150, 1000, 0]));
        assert_eq!(guard.admit(&reset(77, 170), |_| true), Verdict::Pass);
    }

    #[test]
    fn malformed_packets_are_dropped() {
        let mut guard = guard(0);
        let whole = data(0);
        for length in 13..whole.len() {
            assert_eq!(guard.admit(&whole[..length], |_| true), Verdict::Drop);
        }
    }
}
