//! The layers of a track as rungs of a ladder, from the least to the best picture.

use super::{LayerId, MAX_TEMPORAL, RateMeter};

/// What an encoding is taken to cost that was never seen, by its rank: the best one first. Browsers' own defaults for a
/// camera of 1280 by 720 and its halves.
const UNSEEN: [u64; 4] = [1_700_000, 500_000, 150_000, 100_000];

/// The same of one that has no others beside it. It is sent as it is: that it is not small will be seen soon enough.
const UNSEEN_ONLY: u64 = 150_000;

/// The lines that the best encoding is taken to have when nothing says it.
const UNSEEN_HEIGHT: u16 = 720;

/// One encoding of a track, as far as a ladder needs it.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a> {
    /// What its layers cost, once it was seen.
    pub rates: Option<&'a RateMeter>,
    /// Lines of its best picture, where they are known.
    pub height: Option<u16>,
    /// It flows now, or nobody asked for it so far.
    pub available: bool,
}

/// One rung: a layer, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The layer.
    pub layer: LayerId,
    /// Bits a second on the wire, lower layers included.
    pub bitrate: u64,
    /// What a key picture takes, in bytes on the wire; 0 where none was seen.
    pub keyframe: u64,
    /// Lines of its picture; guessed where nothing says it.
    pub height: u16,
    /// Whether it can be had now.
    pub available: bool,
}

/// The rungs of a track with these encodings, in the order of its rids, from the lowest rung to the highest.
///
/// Frames are left out before lines are: each spatial layer's temporal layers are rungs of their own. The lowest temporal
/// layer alone, a slide show, is a rung of the smallest picture only.
pub fn ladder(encodings: &[Encoding<'_>]) -> Vec<Rung> {
    let ranked = ranked(encodings);
    let mut rungs = Vec::new();
    for (rank, (index, encoding)) in ranked.iter().enumerate().rev() {
        let (top_spatial, top_temporal) = encoding.rates.map_or((0, 0), RateMeter::top);
        for spatial in 0..=top_spatial {
            let is_smallest = rungs.is_empty();
            let lowest = if is_smallest {
                0
            } else {
                top_temporal
                    .saturating_sub(1)
                    .max(usize::from(top_temporal > 1))
            };
            for temporal in lowest..=top_temporal.min(MAX_TEMPORAL - 1) {
                let measured = encoding
                    .rates
                    .and_then(|rates| rates.rate(spatial, temporal));
                let guess = match ranked.len() {
                    1 => UNSEEN_ONLY,
                    _ => UNSEEN.get(rank).or(UNSEEN.last()).copied().unwrap_or(0),
                };
                // What is not sent now may have been measured while it began, or ended. Of the smallest, frames can still be
                // left out once it is seen, which costs no keyframe: it is not taken for more than is usual.
                let is_unseen = |rates: &RateMeter| !encoding.available || rates.is_stale();
                let believed = match encoding.rates {
                    Some(rates) if is_smallest && ranked.len() > 1 && is_unseen(rates) => {
                        (guess as f64 / rates.total().max(1) as f64).min(1.0)
                    }
                    Some(rates) if !is_smallest && !encoding.available => rates.swing(),
                    _ => 1.0,
                };
                let measured = measured.map(|rate| (rate as f64 * believed) as u64);
                rungs.push(Rung {
                    layer: LayerId {
                        encoding: *index as u8,
                        spatial: spatial as u8,
                        temporal: temporal as u8,
                    },
                    bitrate: measured.filter(|rate| *rate > 0).unwrap_or(guess),
                    keyframe: encoding.rates.map_or(0, |rates| rates.keyframe(spatial)),
                    height: height(&ranked, rank) >> (top_spatial - spatial),
                    available: encoding.available,
                });
            }
        }
    }
    rungs
}

/// The encodings with their indices, best first. A description should list them so (RFC 8853 section 5.2), but many list the
/// smallest first: what is seen of them decides.
fn ranked<'a>(encodings: &[Encoding<'a>]) -> Vec<(usize, Encoding<'a>)> {
    let mut ranked: Vec<_> = encodings.iter().copied().enumerate().collect();
    let lines = |(_, encoding): &(usize, Encoding<'_>)| encoding.height.map(u64::from);
    let rate = |(_, encoding): &(usize, Encoding<'_>)| {
        let rates = encoding.rates?;
        let (spatial, temporal) = rates.top();
        rates.rate(spatial, temporal)
    };
    let is_rising = |measures: Vec<u64>| match (measures.first(), measures.last()) {
        // Of rates that are about the same none says anything.
        (Some(first), Some(last)) if first * 2 < last * 3 && last * 2 < first * 3 => None,
        (Some(first), Some(last)) => Some(first < last),
        _ => None,
    };
    let by_lines = is_rising(ranked.iter().filter_map(lines).collect());
    let smallest_first = by_lines.or_else(|| is_rising(ranked.iter().filter_map(rate).collect()));
    if smallest_first == Some(true) {
        ranked.reverse();
    }
    ranked
}

/// The lines of an encoding: as it says itself, or else in proportion to one that does.
fn height(ranked: &[(usize, Encoding<'_>)], rank: usize) -> u16 {
    let known = |(at, (_, encoding)): (usize, &(usize, Encoding<'_>))| Some((at, encoding.height?));
    if let Some(Some(height)) = ranked.get(rank).map(|(_, encoding)| encoding.height) {
        return height;
    }
    match ranked.iter().enumerate().find_map(known) {
        Some((at, height)) if at > rank => height.saturating_mul(1 << (at - rank).min(8)),
        Some((at, height)) => height >> (rank - at).min(8),
        None => UNSEEN_HEIGHT >> rank.min(8),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::forward::layers::rates::tests::packet;

    fn meter(layers: &[(u8, u8, usize)]) -> RateMeter {
        let mut meter = RateMeter::default();
        let start = Instant::now();
        for step in 0..60 {
            for (spatial, temporal, payload) in layers {
                let packet = packet(0, *spatial, *temporal, *payload);
                meter.observe(start + Duration::from_millis(step * 20), &packet);
            }
        }
        meter
    }

    fn names(rungs: &[Rung]) -> Vec<(u8, u8, u8)> {
        let name = |rung: &Rung| (rung.layer.encoding, rung.layer.spatial, rung.layer.temporal);
        rungs.iter().map(name).collect()
    }

    #[test]
    fn simulcast_without_temporal_layers_has_a_rung_each() {
        let (full, half) = (meter(&[(0, 0, 3_000)]), meter(&[(0, 0, 900)]));
        let encodings = [Some(&full), Some(&half), None].map(|rates| Encoding {
            rates,
            height: None,
            available: rates.is_some(),
        });
        let rungs = ladder(&encodings);
        assert_eq!(names(&rungs), [(2, 0, 0), (1, 0, 0), (0, 0, 0)]);
        assert_eq!(rungs[0].bitrate, UNSEEN[2]);
        assert!(!rungs[0].available && rungs[1].available);
        assert!(rungs.is_sorted_by_key(|rung| rung.bitrate));
        assert_eq!(
            rungs.iter().map(|r| r.height).collect::<Vec<_>>(),
            [180, 360, 720]
        );
    }

    #[test]
    fn temporal_layers_are_rungs_and_a_slide_show_only_of_the_smallest() {
        let rates = meter(&[(0, 0, 400), (0, 1, 300), (0, 2, 300)]);
        let encoding = Encoding {
            rates: Some(&rates),
            height: Some(1080),
            available: true,
        };
        let rungs = ladder(&[
            encoding,
            Encoding {
                height: None,
                ..encoding
            },
        ]);
        let small = [(1, 0, 0), (1, 0, 1), (1, 0, 2)];
        assert_eq!(names(&rungs)[..3], small);
        assert_eq!(names(&rungs)[3..], [(0, 0, 1), (0, 0, 2)]);
        assert_eq!((rungs[0].height, rungs[4].height), (540, 1080));
    }

    #[test]
    fn what_begins_again_may_cost_more_unless_frames_can_be_left_out() {
        let rates = meter(&[(0, 0, 400), (0, 1, 300)]);
        let costs = |available| {
            let encoding = |height| Encoding {
                rates: Some(&rates),
                height: Some(height),
                available,
            };
            let rungs = ladder(&[encoding(360), encoding(720)]);
            rungs.iter().map(|rung| rung.bitrate).collect::<Vec<_>>()
        };
        let (flowing, silent) = (costs(true), costs(false));
        assert_eq!(silent[..2], flowing[..2]);
        assert!(silent[2] > flowing[2]);
    }

    #[test]
    fn the_smallest_is_taken_for_no_more_than_is_usual_until_it_is_measured_again() {
        let mut rates = meter(&[(0, 0, 400), (0, 1, 300)]);
        let top = |rates: &RateMeter, encodings: usize, available| {
            let encoding = Encoding {
                rates: Some(rates),
                height: None,
                available,
            };
            ladder(&vec![encoding; encodings])[1].bitrate
        };
        let measured = rates.total();
        assert!(measured > 300_000 && top(&rates, 3, true).abs_diff(measured) < 2);
        assert!(top(&rates, 3, false).abs_diff(150_000) < 2);
        // One that has no others beside it is sent as it is.
        assert!(top(&rates, 1, false).abs_diff(measured) < 2);
        rates.pause();
        assert!(top(&rates, 3, true).abs_diff(150_000) < 2);
    }

    #[test]
    fn spatial_layers_are_halves_of_each_other() {
        let rates = meter(&[(0, 0, 100), (1, 0, 300), (2, 0, 900)]);
        let rungs = ladder(&[Encoding {
            rates: Some(&rates),
            height: Some(720),
            available: true,
        }]);
        assert_eq!(names(&rungs), [(0, 0, 0), (0, 1, 0), (0, 2, 0)]);
        assert_eq!(
            rungs.iter().map(|r| r.height).collect::<Vec<_>>(),
            [180, 360, 720]
        );
    }

    #[test]
    fn what_is_seen_decides_which_end_is_the_best() {
        let encoding = |height| Encoding {
            rates: None,
            height,
            available: true,
        };
        let first = |rungs: &[Rung]| (rungs[0].layer.encoding, rungs[0].height);
        let by_lines = [Some(180), Some(360), None].map(encoding);
        assert_eq!(first(&ladder(&by_lines)), (0, 180));
        let (large, small) = (meter(&[(0, 0, 3_000)]), meter(&[(0, 0, 300)]));
        let by_rate = [&small, &large].map(|rates| Encoding {
            rates: Some(rates),
            ..encoding(None)
        });
        assert_eq!(first(&ladder(&by_rate)), (0, 360));
        assert_eq!(first(&ladder(&[encoding(None); 3])), (2, 180));
    }

    #[test]
    fn heights_follow_from_the_one_that_is_known() {
        let encoding = |height| Encoding {
            rates: None,
            height,
            available: true,
        };
        let rungs = ladder(&[encoding(None), encoding(Some(540)), encoding(None)]);
        assert_eq!(
            rungs.iter().map(|r| r.height).collect::<Vec<_>>(),
            [270, 540, 1080]
        );
    }
}
