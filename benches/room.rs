//! What a change of a room costs the core: joining, renegotiation and leaving in a room of 100 where everybody
//! publishes and receives everybody, as the commands that a shard gets for it.
//!
//! `cargo bench --bench room`

#[allow(dead_code, reason = "other benches use the rest")]
mod support;

use std::time::{Duration, Instant};

use crosspoint::rtp::MediaKind;
use crosspoint::shard::{Batch, Command, PeerId, Shard, ShardConfig, TrackId};
use crosspoint::transport::Identity;
use support::{Client, LIMITS, Source, publish, subscribe};

/// Participants before one more joins.
const ROOM: usize = 100;
/// Times that each change is measured.
const ROUNDS: usize = 200;

fn main() {
    let mut room = Room::new();
    for _ in 0..ROOM {
        room.join();
    }
    let (mut joining, mut muting, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let newcomer = room.members.len();
        joining.push(room.join());
        muting.push(room.renegotiate(newcomer));
        leaving.push(room.leave());
    }
    println!("in a room of {ROOM}, all publishing audio and video   median   longest");
    for (name, mut times) in [
        ("joining", joining),
        ("stopping and starting a camera", muting),
        ("leaving", leaving),
    ] {
        times.sort_unstable();
        let micros = |index: usize| times[index].as_nanos() as f64 / 1e3;
        println!(
            "{name:48} {:7.0} µs {:6.0} µs",
            micros(ROUNDS / 2),
            micros(ROUNDS - 1)
        );
    }
}

/// A shard with one room.
struct Room {
    now: Instant,
    shard: Shard,
    batch: Batch,
    identity: Identity,
    /// Those who are in it, with their tracks.
    members: Vec<(PeerId, [Source; 2])>,
    joined: usize,
}

impl Room {
    fn new() -> Self {
        let identity = Identity::generate().expect("an identity");
        Self {
            now: Instant::now(),
            shard: Shard::new(ShardConfig {
                index: 0,
                shards: 1,
                identity: identity.clone(),
                channels: LIMITS,
                loudest: crosspoint::forward::LoudestLimits::default(),
                seed: 1,
            }),
            batch: Batch::new(),
            identity,
            members: Vec::new(),
            joined: 0,
        }
    }

    /// One more comes, publishes, and is subscribed to and by everybody.
    fn join(&mut self) -> Duration {
        let index = self.joined;
        self.joined += 1;
        let address = ([198, 51, 100, 1], 4_000).into();
        let (client, commands) = Client::new(self.now, &self.identity, index, address, false);
        let sources = [(MediaKind::Audio, 0), (MediaKind::Video, 1)].map(|(kind, offset)| Source {
            track: TrackId((2 * index + offset) as u64),
            kind,
            ssrc: 0x1000 * (2 * index + offset + 1) as u32,
        });
        let mut commands = commands.to_vec();
        for source in &sources {
            commands.push(publish(client.peer, source));
        }
        for (line, (other, others)) in self.members.iter().enumerate() {
            for offset in 0..2 {
                let own = (2 * line + offset) as u32;
                commands.push(subscribe(client.peer, own, &others[offset]));
                let next = (2 * self.members.len() + offset) as u32;
                commands.push(subscribe(*other, next, &sources[offset]));
            }
        }
        self.members.push((client.peer, sources));
        self.tell(commands)
    }

    /// The video of a member is taken away from everybody, and comes back.
    fn renegotiate(&mut self, member: usize) -> Duration {
        let (peer, [_, video]) = self.members[member];
        let line = (2 * member + 1) as u32;
        let others: Vec<_> = self.members.iter().map(|(other, _)| *other).collect();
        let mut commands = Vec::new();
        for &other in others.iter().filter(|other| **other != peer) {
            commands.push(without(subscribe(other, line, &video)));
        }
        commands.push(without(publish(peer, &video)));
        commands.push(publish(peer, &video));
        for &other in others.iter().filter(|other| **other != peer) {
            commands.push(subscribe(other, line, &video));
        }
        self.tell(commands)
    }

    /// The last who came leaves.
    fn leave(&mut self) -> Duration {
        let Some((peer, sources)) = self.members.pop() else {
            return Duration::ZERO;
        };
        let mut commands = Vec::new();
        for (other, _) in &self.members {
            for (offset, source) in sources.iter().enumerate() {
                let line = (2 * self.members.len() + offset) as u32;
                commands.push(without(subscribe(*other, line, source)));
            }
        }
        commands.push(Command::RemovePeer { peer });
        self.tell(commands)
    }

    fn tell(&mut self, commands: Vec<Command>) -> Duration {
        let begin = Instant::now();
        for command in commands {
            self.shard
                .handle_command(self.now, command, &mut self.batch);
        }
        while self.shard.poll_event().is_some() {}
        let elapsed = begin.elapsed();
        self.batch.clear();
        elapsed
    }
}

/// The command that ends what the other began.
fn without(command: Command) -> Command {
    match command {
        Command::SetSender { peer, mid, .. } => Command::SetSender {
            peer,
            mid,
            parameters: None,
        },
        Command::SetReceiver { peer, mid, .. } => Command::SetReceiver {
            peer,
            mid,
            parameters: None,
        },
        other => other,
    }
}
