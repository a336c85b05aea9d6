//! Whose picture comes first where a network does not carry all: what the viewer says counts, then who spoke lately.

use std::time::Duration;

use super::call::Call;
use crate::shard::{CallId, Command, ParticipantId, Wish};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn speak(call: &mut Call, speakers: &[u64]) {
    let speakers = speakers.iter().map(|id| ParticipantId(*id)).collect();
    let call_id = CallId(1);
    call.sim.command(Command::SetSpeakers {
        call: call_id,
        speakers,
    });
}

/// The shares of the time from 6 to 16 s from now that each of three publishers is seen in more than the smallest size.
fn shares(call: &mut Call) -> [f64; 3] {
    let start = call.run(s(6));
    let end = call.run(s(10));
    [0, 1, 2].map(|publisher| call.seen(3, publisher).share_of(1, start, end))
}

#[test]
fn who_spoke_lately_is_seen_better_than_others_unless_the_viewer_says_otherwise() {
    for seed in 0..3 {
        let mut call = Call::new(400 + seed, 4);
        for publisher in 0..3 {
            call.publish(publisher);
        }
        // Room for one of the middle size beside two of the smallest.
        call.sim.clients[3].down.rate = Some(1_200_000);
        for publisher in 0..3 {
            call.view(3, publisher, Wish::default());
        }
        call.run(s(10));
        for speaker in [2, 0, 1] {
            speak(&mut call, &[speaker]);
            let shares = shares(&mut call);
            for (publisher, share) in shares.into_iter().enumerate() {
                let is_better = publisher == speaker as usize;
                assert!(
                    if is_better { share > 0.9 } else { share < 0.1 },
                    "seed {seed}: {speaker} spoke, {shares:?}"
                );
            }
        }
        let first = Wish {
            priority: 1,
            ..Wish::default()
        };
        call.wish(3, 0, first);
        let shares = shares(&mut call);
        assert!(
            shares[0] > 0.9 && shares[1] < 0.1,
            "seed {seed}: {shares:?}"
        );
    }
}
