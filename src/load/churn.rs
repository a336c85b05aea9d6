//! Clients that come and go while a run is measured, beside those of the plan.
//!
//! Started by the driver once the plan's clients are there. One after the other they join the plan's rooms, and every
//! fourth pair of them a room that was empty; each publishes and receives like a member of a meeting, and leaves after
//! its stay: most say goodbye, others break off, fall silent, or are gone before they are connected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::LoadConfig;
use super::peer::{Farewell, GOODBYE, MediaHandle, Seat};
use super::plan::{ClientPlan, VideoPlan};
use super::report::ChurnReport;
use super::target::Target;

/// The longest time after which somebody is gone who leaves before being connected.
const EARLY: Duration = Duration::from_millis(100);

/// How a client's visit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visit {
    /// After the whole stay.
    Whole(Farewell),
    /// So early that it may be anywhere between its first byte and the end of the DTLS handshake.
    Early(Duration),
}

/// The visitors of one run.
pub(super) struct Churn {
    per_second: u32,
    stay: Duration,
    rooms: usize,
    audio: bool,
    video: Option<VideoPlan>,
    seed: u64,
    /// Place in the list of clients of the first visitor, behind those of the plan.
    first: usize,
    target: Arc<dyn Target>,
    media: MediaHandle,
}

/// What visits came to, while they go on.
#[derive(Default)]
struct Visits {
    tasks: JoinSet<Option<Result<(), String>>>,
    came: u64,
    early: u64,
    stayed: u64,
    failed: BTreeMap<String, usize>,
}

impl Churn {
    /// The visitors that the options ask for, if they do.
    pub(super) fn new(
        config: &LoadConfig,
        clients: usize,
        target: &Arc<dyn Target>,
        media: &MediaHandle,
    ) -> Option<Self> {
        let video = config.video_bitrate.map(|bitrate| VideoPlan {
            bitrate,
            simulcast: config.simulcast,
        });
        Some(Self {
            per_second: config.churn?,
            stay: config.churn_stay,
            rooms: config.rooms,
            audio: config.audio,
            video,
            seed: config.seed,
            first: clients,
            target: target.clone(),
            media: media.clone(),
        })
    }

    /// Lets them come until `ending` turns true, and go.
    pub(super) async fn run(self, mut ending: watch::Receiver<bool>) -> ChurnReport {
        let mut random = SmallRng::seed_from_u64(self.seed);
        let mut visits = Visits::default();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.per_second);
        let mut next = 0;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // Without a sender there is no run.
                _ = ending.wait_for(|ending| *ending) => break,
            }
            let visit = Visit::random(&mut random);
            visits.came += 1;
            visits.tasks.spawn(self.visit(next, visit));
            next += 1;
            while let Some(ended) = visits.tasks.try_join_next() {
                visits.note(ended);
            }
        }
        let last = async {
            while let Some(ended) = visits.tasks.join_next().await {
                visits.note(ended);
            }
        };
        // Those that are silent are for longer, and have to be.
        let _ = tokio::time::timeout(self.stay + GOODBYE, last).await;
        ChurnReport {
            per_second: self.per_second,
            stay: self.stay.as_secs_f64(),
            came: visits.came,
            early: visits.early,
            stayed: visits.stayed,
            failed: visits.failed.into_iter().collect(),
        }
    }

    /// One visit, from the first byte to the last; none where it was over before it could come to anything.
    fn visit(
        &self,
        number: usize,
        visit: Visit,
    ) -> impl Future<Output = Option<Result<(), String>>> + Send + use<> {
        let plan = ClientPlan {
            index: self.first + number,
            room: room(number, self.rooms),
            name: format!("visitor-{number}"),
            audio: self.audio,
            video: self.video,
            receives: true,
            expected: (0, 0),
            seed: self.seed.wrapping_add((self.first + number) as u64),
        };
        let (leave, leaving) = watch::channel(false);
        let farewell = match visit {
            Visit::Whole(farewell) => farewell,
            Visit::Early(_) => Farewell::Cut,
        };
        let seat = Seat::new(plan, self.media.clone(), Box::new(|| {}), leaving);
        let mut seat = seat.leaving_by(farewell);
        let (target, stay) = (self.target.clone(), self.stay);
        async move {
            match visit {
                Visit::Whole(_) => {
                    let leave = async {
                        tokio::time::sleep(stay).await;
                        leave.send_replace(true);
                    };
                    let (result, ()) = tokio::join!(target.run(&mut seat), leave);
                    Some(result.map_err(|error| error.to_string()))
                }
                Visit::Early(after) => {
                    let _ = tokio::time::timeout(after, target.run(&mut seat)).await;
                    None
                }
            }
        }
    }
}

impl Visit {
    fn random(random: &mut SmallRng) -> Self {
        match random.random_range(0..10) {
            0..5 => Self::Whole(Farewell::Goodbye),
            5..7 => Self::Whole(Farewell::Cut),
            7 => Self::Whole(Farewell::Silence),
            _ => Self::Early(random.random_range(Duration::ZERO..EARLY)),
        }
    }
}

impl Visits {
    fn note(&mut self, ended: Result<Option<Result<(), String>>, JoinError>) {
        let reason = match ended {
            Ok(None) => return self.early += 1,
            Ok(Some(Ok(()))) => return self.stayed += 1,
            Ok(Some(Err(reason))) => reason,
            Err(_) => "the generator's own fault: a visitor's task panicked".to_owned(),
        };
        *self.failed.entry(reason).or_default() += 1;
    }
}

/// The room of a visitor: the plan's rooms in turn, and for every fourth pair one that nobody had before.
fn room(number: usize, rooms: usize) -> usize {
    match (number / 2) % 4 {
        3 => rooms + number / 8,
        _ => number % rooms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visitors_go_to_the_rooms_of_the_plan_and_in_pairs_to_new_ones() {
        let rooms: Vec<usize> = (0..16).map(|number| room(number, 4)).collect();
        assert_eq!(rooms, [0, 1, 2, 3, 0, 1, 4, 4, 0, 1, 2, 3, 0, 1, 5, 5]);
    }

    #[test]
    fn they_leave_in_every_way() {
        let mut random = SmallRng::seed_from_u64(1);
        let visits: Vec<Visit> = (0..100).map(|_| Visit::random(&mut random)).collect();
        for farewell in [Farewell::Goodbye, Farewell::Cut, Farewell::Silence] {
            assert!(visits.contains(&Visit::Whole(farewell)));
        }
        let early = |visit: &&Visit| matches!(visit, Visit::Early(after) if *after < EARLY);
        assert!(visits.iter().any(|visit| early(&visit)));
    }
}
