//! Divides what a network carries among the tracks of one subscriber.

use super::Rung;

/// What a rung above the present one must leave free, in percent of it: an estimate that just suffices would not for long.
const HEADROOM: i128 = 15;

/// A rung that is had already, or the last one there is, may cost so much more than there is, in percent: rates and
/// estimates are never that exact.
const TOLERANCE: i128 = 8;

/// A higher picture begins with a key picture, and that takes time, in milliseconds, in which the viewer sees nothing new.
/// Where it would take longer, the lower one stays.
const LONGEST_KEYFRAME: i128 = 600;

impl Rung {
    /// Whether who has this one gets `to` without another key picture.
    fn leads_to(&self, to: &Self) -> bool {
        let (from, to) = (self.layer, to.layer);
        from.encoding == to.encoding && from.spatial >= to.spatial
    }
}

/// One track that its subscriber wants to see.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// What could be sent, from the lowest to the highest, up to what the viewer needs.
    pub rungs: &'a [Rung],
    /// The higher, the earlier it gets its share; equals share alike.
    pub priority: u32,
    /// The rung that it was given last, if any.
    pub current: Option<usize>,
    /// Whether it may be given a higher one now.
    pub may_rise: bool,
}

/// What one track is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Index of its rung; `None` where not even the lowest one fits.
    pub rung: Option<usize>,
    /// Whether there would be a higher one if the network carried more.
    pub limited: bool,
}

/// Gives each track a rung, in the order of `demands`, so that all together fit `budget` bits a second.
///
/// Every track gets its lowest rung, in the order of priority, before any gets a higher one. What is left goes to the
/// highest priority first; among equals, to whoever has the least.
pub fn allocate(budget: u64, demands: &[Demand<'_>]) -> Vec<Allocation> {
    let mut given: Vec<Option<usize>> = vec![None; demands.len()];
    let mut left = i128::from(budget);
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(demands[*index].priority));
    for &index in &order {
        let demand = &demands[index];
        if demand.reach() > 0 && demand.needs(0) <= left {
            given[index] = Some(0);
            left -= demand.costs(0);
        }
    }
    for class in order.chunk_by(|a, b| demands[*a].priority == demands[*b].priority) {
        raise(class, demands, &mut given, &mut left);
    }
    let allocation = |(rung, demand): (Option<usize>, &Demand<'_>)| Allocation {
        rung,
        limited: rung.map_or(0, |rung| rung + 1) < demand.rungs.len(),
    };
    given.into_iter().zip(demands).map(allocation).collect()
}

/// Raises the tracks of one priority, the cheapest next rung first.
fn raise(class: &[usize], demands: &[Demand<'_>], given: &mut [Option<usize>], left: &mut i128) {
    let mut rising = class.to_vec();
    rising.retain(|index| given[*index].is_some());
    loop {
        let next = rising.iter().filter_map(|&index| {
            let rung = given[index]? + 1;
            (rung < demands[index].reach()).then(|| (demands[index].costs(rung), index, rung))
        });
        let Some((_, index, rung)) = next.min() else {
            return;
        };
        let demand = &demands[index];
        let below = demand.costs(rung - 1);
        // One that does not fit may have a cheaper one above it: rungs are measured, and pictures calm down.
        let room = *left + below;
        let fits = |candidate: &usize| {
            demand.needs(*candidate) <= room && demand.is_quick(rung - 1, *candidate, room)
        };
        let fitting = (rung..demand.reach()).find(fits);
        match fitting {
            Some(fitting) => {
                given[index] = Some(fitting);
                *left -= demand.costs(fitting) - below;
            }
            None => rising.retain(|other| *other != index),
        }
    }
}

impl Demand<'_> {
    /// What the network must carry for it to be given its highest rung, in bits a second; 0 where it has none.
    pub fn most(&self) -> u64 {
        let Some(top) = self.rungs.last() else {
            return 0;
        };
        let steady = top.bitrate * (100 + HEADROOM as u64) / 100;
        let had = self.current.and_then(|current| self.rungs.get(current));
        match had.filter(|had| !had.leads_to(top)) {
            Some(_) => steady.max(top.keyframe * 8_000 / LONGEST_KEYFRAME as u64 + 1),
            None => steady,
        }
    }

    /// How many of its rungs it may be given now.
    fn reach(&self) -> usize {
        if self.may_rise {
            self.rungs.len()
        } else {
            self.current
                .map_or(0, |current| current + 1)
                .min(self.rungs.len())
        }
    }

    fn costs(&self, rung: usize) -> i128 {
        self.rungs
            .get(rung)
            .map_or(0, |rung| i128::from(rung.bitrate))
    }

    /// Whether a key picture of this rung passes `room`, in bits a second, quickly, if it takes one beside that of the rung
    /// that it is `given` so far.
    fn is_quick(&self, given: usize, rung: usize, room: i128) -> bool {
        let had = self.current.and_then(|current| self.rungs.get(current));
        let (Some(had), Some(given), Some(rung)) =
            (had, self.rungs.get(given), self.rungs.get(rung))
        else {
            // Whatever it is, it begins.
            return true;
        };
        had.leads_to(rung)
            || given.leads_to(rung)
            || i128::from(rung.keyframe) * 8_000 <= room * LONGEST_KEYFRAME
    }

    /// What must be there for it to get this rung.
    fn needs(&self, rung: usize) -> i128 {
        let is_had = self.current.is_some_and(|current| rung <= current);
        if is_had {
            self.costs(rung) * 100 / (100 + TOLERANCE)
        } else {
            self.costs(rung) * (100 + HEADROOM) / 100
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forward::layers::LayerId;

    fn rungs(bitrates: &[u64]) -> Vec<Rung> {
        let rung = |(index, bitrate): (usize, &u64)| Rung {
            layer: LayerId {
                encoding: (bitrates.len() - 1 - index) as u8,
                ..LayerId::default()
            },
            bitrate: *bitrate,
            keyframe: 0,
            height: 180 << index,
            available: true,
        };
        bitrates.iter().enumerate().map(rung).collect()
    }

    fn demand<'a>(rungs: &'a [Rung], priority: u32, current: Option<usize>) -> Demand<'a> {
        Demand {
            rungs,
            priority,
            current,
            may_rise: true,
        }
    }

    fn given(budget: u64, demands: &[Demand<'_>]) -> Vec<Option<usize>> {
        allocate(budget, demands)
            .iter()
            .map(|given| given.rung)
            .collect()
    }

    const CAMERA: [u64; 3] = [150, 500, 1_700];

    #[test]
    fn each_gets_its_lowest_before_any_gets_more() {
        let camera = rungs(&CAMERA);
        let four = [demand(&camera, 0, None); 4];
        assert_eq!(given(700, &four), [Some(0); 4]);
        assert_eq!(given(350, &four), [Some(0), Some(0), None, None]);
        assert_eq!(given(3_000, &four), [Some(1); 4]);
        assert_eq!(given(100_000, &four), [Some(2); 4]);
        assert_eq!(given(0, &four), [None; 4]);
    }

    #[test]
    fn priority_comes_first_and_equals_share() {
        let camera = rungs(&CAMERA);
        let demands = [
            demand(&camera, 0, None),
            demand(&camera, 9, None),
            demand(&camera, 0, None),
        ];
        assert_eq!(given(2_350, &demands), [Some(0), Some(2), Some(0)]);
        assert_eq!(given(160, &demands), [None, None, None]);
        assert_eq!(given(180, &demands), [None, Some(0), None]);
        let told = allocate(2_350, &demands);
        assert_eq!(
            told.iter().map(|t| t.limited).collect::<Vec<_>>(),
            [true, false, true]
        );
    }

    #[test]
    fn what_is_had_stays_where_it_just_fits_and_more_needs_headroom() {
        let camera = rungs(&CAMERA);
        for (budget, current, expected) in [
            (1_700, None, 1),
            (1_700, Some(2), 2),
            (1_600, Some(2), 2),
            (1_500, Some(2), 1),
            (1_960, Some(1), 2),
            (1_940, Some(1), 1),
        ] {
            let given = given(budget, &[demand(&camera, 0, current)]);
            assert_eq!(given, [Some(expected)], "{budget} {current:?}");
        }
    }

    #[test]
    fn who_may_not_rise_stays_or_falls() {
        let camera = rungs(&CAMERA);
        let held = |current| Demand {
            may_rise: false,
            ..demand(&camera, 0, current)
        };
        assert_eq!(given(9_000, &[held(Some(0))]), [Some(0)]);
        assert_eq!(given(9_000, &[held(None)]), [None]);
        assert_eq!(given(200, &[held(Some(2))]), [Some(0)]);
        assert!(allocate(9_000, &[held(Some(0))])[0].limited);
    }

    #[test]
    fn nothing_rises_to_where_the_key_picture_would_take_long() {
        let mut camera = rungs(&CAMERA);
        // Bits and bytes a second here, instead of thousands of them.
        camera[1].keyframe = 60;
        for (budget, current, expected) in [
            (799, Some(0), 0),
            (800, Some(0), 1),
            (799, Some(1), 1),
            (799, None, 1),
        ] {
            let given = given(budget, &[demand(&camera, 0, current)]);
            assert_eq!(given, [Some(expected)], "{budget} {current:?}");
        }
    }

    #[test]
    fn what_is_demanded_suffices() {
        for keyframe in [0, 10, 60, 200] {
            let mut camera = rungs(&CAMERA);
            camera[1].keyframe = keyframe;
            camera.truncate(2);
            let demanded = demand(&camera, 0, Some(0)).most();
            for (budget, expected) in [(demanded, 1), (demanded * 9 / 10, 0)] {
                assert_eq!(
                    given(budget, &[demand(&camera, 0, Some(0))]),
                    [Some(expected)]
                );
            }
        }
    }

    #[test]
    fn frames_of_the_picture_that_is_given_take_no_other_keyframe() {
        let mut ladder = rungs(&[100, 150, 900]);
        for rung in &mut ladder {
            rung.keyframe = 60;
        }
        // The lower two are one picture.
        (ladder[1].layer, ladder[1].layer.temporal) = (ladder[0].layer, 1);
        assert_eq!(given(200, &[demand(&ladder, 0, Some(2))]), [Some(1)]);
    }

    #[test]
    fn a_cheaper_rung_above_one_that_does_not_fit_is_taken() {
        let odd = rungs(&[100, 900, 600]);
        assert_eq!(given(800, &[demand(&odd, 0, None)]), [Some(2)]);
    }

    proptest! {
        #[test]
        fn all_together_fit_and_nobody_gets_more_than_it_may(
            budget in 0u64..10_000,
            tracks in proptest::collection::vec(
                (proptest::collection::vec(1u64..3_000, 0..6), 0u32..3, proptest::option::of(0usize..6), any::<bool>()),
                0..8,
            ),
        ) {
            let ladders: Vec<Vec<Rung>> = tracks.iter().map(|(bitrates, ..)| rungs(bitrates)).collect();
            let demands: Vec<Demand<'_>> = ladders
                .iter()
                .zip(&tracks)
                .map(|(rungs, (_, priority, current, may_rise))| Demand {
                    rungs,
                    priority: *priority,
                    current: *current,
                    may_rise: *may_rise,
                })
                .collect();
            let given = allocate(budget, &demands);
            let cost: u64 = given
                .iter()
                .zip(&demands)
                .filter_map(|(given, demand)| Some(demand.rungs[given.rung?].bitrate))
                .sum();
            prop_assert!(cost * 100 <= budget * (100 + TOLERANCE as u64) + 800);
            for (given, demand) in given.iter().zip(&demands) {
                prop_assert!(given.rung.is_none_or(|rung| rung < demand.reach()));
                prop_assert!(given.limited || given.rung.map_or(0, |rung| rung + 1) == demand.rungs.len());
            }
        }
    }
}
