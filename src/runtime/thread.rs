//! A shard's thread: waits for datagrams, commands and timers, and gives them to the shard in ticks.

use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::counters::{CounterCell, ShardCounters};
use super::handover::Handover;
use super::hold::Hold;
use super::links::Links;
use super::metrics::Metrics;
use super::moved::Moved;
use super::socket::{MediaSocket, ShardSocket};
use super::streams::{MediaStream, Streams};
use super::turn::ToTurn;
use super::wait::{Bell, Wait};
use crate::shard::{Batch, Command, Event, LinkBatch, Shard, Stray};
use crate::transport::{Path, Protocol, stun_username};

/// Batches read in one tick before what they caused is sent: bounds memory and delay under load.
const READS_PER_TICK: usize = 8;

/// Batches of other shards read in one tick, for the same reason.
const LINKS_PER_TICK: usize = 64;

/// How long memory is kept that a busier moment needed.
const KEEP_MEMORY: Duration = Duration::from_secs(10);

/// Counters are published this often while there is something to count.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);

/// Connections for media that may wait for a shard's thread.
const STREAM_QUEUE: usize = 256;

/// Below this share of a core a thread is taken to rest.
const QUIET: f64 = 0.005;

/// Turns in a row that may end in a bug before the thread is taken for broken.
const MAX_BUGS: u32 = 100;

/// Events that may wait for control; what does not fit stays in the shard until there is room.
const EVENT_QUEUE: usize = 4_096;

/// An event, and the index of the shard that told it.
pub type ShardEvent = (usize, Event);

/// How the threads send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeSettings {
    /// How long datagrams may wait, so that more of them leave in one call; 0 for never.
    pub max_hold: Duration,
    /// Whether datagrams may leave as segments of one call (GSO), where the system can do that.
    pub segments: bool,
    /// Whether the sockets share one port, so that datagrams may come to the wrong shard.
    pub shared_port: bool,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            max_hold: Duration::from_millis(5),
            segments: true,
            shared_port: false,
        }
    }
}

/// The running shards. Dropping it ends them.
#[derive(Debug)]
pub struct Runtime {
    shards: Vec<ShardHandle>,
    moved: Moved,
}

#[derive(Debug)]
struct ShardHandle {
    commands: Commands,
    streams: mpsc::Sender<MediaStream>,
    thread: JoinHandle<()>,
    port: u16,
    counters: CounterCell,
}

impl Runtime {
    /// Starts one thread for each pair of a socket and a shard.
    pub fn start(
        pairs: Vec<(MediaSocket, Shard)>,
        settings: RuntimeSettings,
    ) -> io::Result<(Self, mpsc::Receiver<ShardEvent>)> {
        let (events, receiver) = mpsc::channel(EVENT_QUEUE);
        let mut shards = Vec::with_capacity(pairs.len());
        let waits = pairs.iter().map(|_| Wait::new());
        let waits: Vec<Wait> = waits.collect::<io::Result<_>>()?;
        let links = Links::between(waits.iter().map(Wait::bell).collect());
        let shared = settings.shared_port && pairs.len() > 1;
        let moved = Moved::default();
        let handovers: Vec<Option<Handover>> = match shared {
            true => Handover::between(waits.iter().map(Wait::bell).collect(), &moved)
                .into_iter()
                .map(Some)
                .collect(),
            false => pairs.iter().map(|_| None).collect(),
        };
        let parts = pairs.into_iter().zip(links).zip(waits).zip(handovers);
        for (index, ((((mut socket, shard), links), wait), handover)) in parts.enumerate() {
            let to_turn = socket.take_to_turn();
            let to_turn = to_turn.map(|sender| ToTurn::new(Instant::now(), sender));
            let (commands, queue) = mpsc::unbounded_channel();
            let (streams, opened) = mpsc::channel(STREAM_QUEUE);
            let events = events.clone();
            let port = socket.port();
            let socket = ShardSocket::new(socket, settings.segments, &wait)?;
            let bell = wait.bell();
            let counters = CounterCell::default();
            let published = counters.clone();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || {
                    let tick = Tick {
                        index,
                        wait,
                        socket,
                        to_turn,
                        opened,
                        streams: Streams::new(),
                        shard,
                        batch: Batch::new(),
                        links,
                        handover,
                        events,
                        hold: Hold::new(Instant::now(), settings.max_hold),
                        counters: published,
                        publish_at: None,
                        give_back_at: None,
                    };
                    if let Err(error) = tick.run(queue) {
                        tracing::error!(shard = index, %error, "the media socket failed; its calls are over");
                    }
                })?;
            shards.push(ShardHandle {
                commands: Commands {
                    queue: Some(commands),
                    bell,
                },
                streams,
                thread,
                port,
                counters,
            });
        }
        Ok((Self { shards, moved }, receiver))
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The counters of each shard.
    pub fn counters(&self) -> Vec<ShardCounters> {
        self.shards
            .iter()
            .map(|handle| handle.counters.read())
            .collect()
    }

    /// A reader of all counters that outlives the runtime.
    pub fn metrics(&self) -> Metrics {
        let shards = self.shards.iter();
        Metrics {
            shards: shards
                .map(|handle| (handle.port, handle.counters.clone()))
                .collect(),
        }
    }

    /// Queues a command for one shard. A shard that is over ignores it.
    pub fn send(&self, shard: usize, command: Command) {
        if let Some(handle) = self.shards.get(shard) {
            handle.commands.send(command);
        }
    }

    /// Hands a connection for media to the shard of its peer, which its first check names. It is closed where that is no check
    /// for any of ours, and when the shard is over, or does not keep up.
    pub fn take_stream(&self, stream: MediaStream) {
        // The first two bytes are the frame's length.
        let ufrag = stream.first.get(2..).and_then(stun_username);
        let shard = ufrag.and_then(|ufrag| self.moved.shard_of(ufrag));
        if let Some(handle) = shard.and_then(|shard| self.shards.get(shard))
            && handle.streams.try_send(stream).is_ok()
        {
            handle.commands.bell.ring();
        }
    }

    /// Lets every shard do what it was told so far, and waits for its end.
    pub fn stop(self) {
        // All at once, then one after the other.
        let threads = self.shards.into_iter().map(|handle| handle.thread);
        for thread in threads.collect::<Vec<_>>() {
            let _ = thread.join();
        }
    }
}

/// Control's end of a shard's queue. Dropping it ends the shard.
#[derive(Debug)]
struct Commands {
    // Unbounded: the only sender is control, whose input is bounded and rate-limited, and which must
    // never wait for a shard while that shard waits for it. Gone only while this is dropped.
    queue: Option<mpsc::UnboundedSender<Command>>,
    bell: Arc<Bell>,
}

impl Commands {
    /// Queues a command, which nobody reads if the shard is over.
    fn send(&self, command: Command) {
        if let Some(queue) = &self.queue
            && queue.send(command).is_ok()
        {
            self.bell.ring();
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.queue = None;
        self.bell.ring();
    }
}

/// What one thread owns.
struct Tick {
    index: usize,
    wait: Wait,
    socket: ShardSocket,
    /// Who takes what is for TURN and STUN, if somebody does.
    to_turn: Option<ToTurn>,
    /// Connections that are new.
    opened: mpsc::Receiver<MediaStream>,
    streams: Streams,
    shard: Shard,
    batch: Batch,
    links: Links<LinkBatch>,
    /// Where all shards share one port.
    handover: Option<Handover>,
    events: mpsc::Sender<ShardEvent>,
    hold: Hold,
    counters: CounterCell,
    /// When the counters are to be published, if they changed.
    publish_at: Option<Instant>,
    /// When memory is to be given back, if there may be some.
    give_back_at: Option<Instant>,
}

impl Tick {
    fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) -> io::Result<()> {
        let mut bugs = 0;
        loop {
            match catch(|| self.turn(&mut commands)) {
                Ok(turned) => {
                    bugs = 0;
                    if turned?.is_break() {
                        return Ok(());
                    }
                }
                // Outside of what is one peer's business, or in giving that up.
                Err(()) => {
                    bugs += 1;
                    if bugs > MAX_BUGS {
                        return Err(io::Error::other("one bug after the other"));
                    }
                    tracing::error!(shard = self.index, "a bug was met; the shard goes on");
                    // Nobody knows how far it was written.
                    self.batch = Batch::new();
                }
            }
        }
    }

    /// Sleeps until there is something to do, and does it. Breaks once nobody can ask for more.
    fn turn(
        &mut self,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> io::Result<ControlFlow<()>> {
        self.hold.rest(Instant::now());
        let timeout = [
            self.shard.poll_timeout(),
            self.publish_at,
            self.give_back_at,
            self.batch.due(),
            self.streams.due(),
            self.handover.as_ref().and_then(Handover::due),
        ];
        let readable = self.wait.sleep(timeout.into_iter().flatten().min())?;
        self.begin();
        // First: who was told of a new peer may have sent it a check by now.
        while let Ok(command) = commands.try_recv() {
            self.command(command);
        }
        if readable {
            self.read()?;
        }
        self.read_streams();
        self.take_links();
        self.take_handed_over();
        let now = Instant::now();
        if self.shard.poll_timeout().is_some_and(|due| due <= now) {
            let (shard, batch) = (&mut self.shard, &mut self.batch);
            if catch(|| shard.handle_timeout(now, batch)).is_err() {
                shard.abandon_current(now, batch);
            }
        }
        // Before the flush, which takes longest: the others go on meanwhile.
        self.post();
        // Farewells wait for nobody.
        let over = commands.is_closed() && commands.is_empty();
        self.flush(over);
        if over {
            return Ok(ControlFlow::Break(()));
        }
        self.tell();
        let now = Instant::now();
        self.publish(now);
        self.give_back(now);
        Ok(ControlFlow::Continue(()))
    }

    /// The thread was woken.
    fn begin(&mut self) {
        let now = Instant::now();
        self.hold.wake(now);
        self.batch.begin(now, self.hold.holding());
    }

    fn read(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let (shard, batch) = (&mut self.shard, &mut self.batch);
        let (to_turn, handover) = (&mut self.to_turn, &mut self.handover);
        for _ in 0..READS_PER_TICK {
            let more = self.socket.read(|path, datagram| {
                // First, since it may come from a peer's address: browsers ask for both by one socket.
                let turn = to_turn.as_mut();
                if turn.is_some_and(|turn| turn.takes(now, path, datagram)) {
                    return;
                }
                let Some(stray) = take(shard, now, path, datagram, batch) else {
                    return;
                };
                let others = handover.as_mut();
                if !others.is_some_and(|others| others.take(now, path, datagram)) {
                    shard.drop_stray(stray);
                }
            })?;
            if !more {
                return Ok(());
            }
        }
        self.wait.has_more();
        Ok(())
    }

    /// Takes new connections over, and reads those that something came by.
    fn read_streams(&mut self) {
        let now = Instant::now();
        let mut unread = self.wait.take_ready();
        while let Ok(new) = self.opened.try_recv() {
            match self.streams.add(now, new, &self.wait) {
                // There is something to read in what came with it.
                Ok(index) => unread.push(index),
                Err(error) => tracing::debug!(%error, "a connection for media was not taken"),
            }
        }
        unread.retain(|&index| {
            self.streams.flush(index);
            let (shard, batch) = (&mut self.shard, &mut self.batch);
            let unread = self.streams.read(now, index, |path, datagram| {
                if let Some(stray) = take(shard, now, path, datagram, batch) {
                    shard.drop_stray(stray);
                }
            });
            let unknown = self.streams.unknown(index);
            if unknown.is_some_and(|origin| shard.knows(origin)) {
                self.streams.recognize(index);
            }
            unread
        });
        self.wait.put_back_ready(unread);
        let shard = &self.shard;
        self.streams.expire(now, |origin| shard.knows(origin));
    }

    /// Reads what other shards have sent.
    fn take_links(&mut self) {
        for _ in 0..LINKS_PER_TICK {
            let Some((from, link)) = self.links.try_recv() else {
                return;
            };
            self.take_link(from, link);
        }
        self.wait.hurry();
    }

    /// Reads what came to the sockets of other shards.
    fn take_handed_over(&mut self) {
        let Some(handover) = &mut self.handover else {
            return;
        };
        let now = Instant::now();
        let (shard, batch) = (&mut self.shard, &mut self.batch);
        let more = handover.read(now, LINKS_PER_TICK, |from, path, datagram| {
            let taken = catch(|| shard.handle_handed_over(now, from, path, datagram, batch));
            match taken {
                Ok(Ok(())) => {}
                Ok(Err(stray)) => shard.drop_stray(stray),
                Err(()) => shard.abandon_current(now, batch),
            }
            shard.knows(path.origin())
        });
        handover.expire(now, |origin| shard.knows(origin));
        if more {
            self.wait.hurry();
        }
    }

    /// Sends the lanes whose time has come, or all.
    fn flush(&mut self, all: bool) {
        let now = (!all).then(Instant::now);
        while let Some(lane) = self.batch.next_due(now) {
            match lane.path().protocol {
                Protocol::Udp => self.socket.send(&lane, &mut self.wait),
                Protocol::Tcp => self.socket.count(self.streams.send(&lane)),
            }
        }
    }

    /// Publishes the counters now and then.
    fn publish(&mut self, now: Instant) {
        match self.publish_at {
            Some(at) if at <= now => {
                // Whoever sleeps for long has said before that there is nothing to do.
                let is_quiet = self.hold.share() < QUIET;
                self.publish_at = (!is_quiet).then(|| now + PUBLISH_INTERVAL);
                self.counters.publish(ShardCounters {
                    drops: *self.shard.drops(),
                    busy: self.hold.share(),
                    handed_over: self.handover.as_ref().map_or(0, Handover::count),
                    population: self.shard.population(),
                    ..self.socket.counters()
                });
            }
            Some(_) => {}
            None => self.publish_at = Some(now + PUBLISH_INTERVAL),
        }
    }

    /// Gives memory back now and then that was not needed meanwhile, until there is no more.
    fn give_back(&mut self, now: Instant) {
        match self.give_back_at {
            Some(at) if at <= now => {
                let mut more = self.batch.give_back();
                more |= self.shard.give_back();
                more |= self.handover.as_mut().is_some_and(Handover::give_back);
                self.give_back_at = more.then(|| now + KEEP_MEMORY);
            }
            Some(_) => {}
            None => self.give_back_at = Some(now + KEEP_MEMORY),
        }
    }

    fn command(&mut self, command: Command) {
        let now = Instant::now();
        if let Some(handover) = &mut self.handover {
            match &command {
                Command::AddPeer {
                    peer, local_ice, ..
                } => handover.adopt(*peer, &local_ice.ufrag),
                Command::SetTransport { peer, transport } => {
                    handover.adopt(*peer, &transport.local_ice.ufrag);
                }
                Command::RemovePeer { peer } => handover.forget(*peer),
                _ => {}
            }
        }
        let (shard, batch) = (&mut self.shard, &mut self.batch);
        if catch(|| shard.handle_command(now, command, batch)).is_err() {
            shard.abandon_current(now, batch);
        }
    }

    fn take_link(&mut self, from: usize, mut link: LinkBatch) {
        let now = Instant::now();
        let (shard, batch) = (&mut self.shard, &mut self.batch);
        while catch(|| shard.handle_link(now, from, &mut link, batch)).is_err() {
            shard.abandon_current(now, batch);
        }
        self.links.give_back(from, link);
    }

    /// Hands the other shards what there is for them.
    fn post(&mut self) {
        while let Some((to, link)) = self.links.returned() {
            self.shard.recycle_link(to, link);
        }
        while let Some((to, link)) = self.shard.poll_link() {
            self.links.send(to, link);
        }
        if let Some(handover) = &mut self.handover {
            handover.post();
        }
    }

    fn tell(&mut self) {
        while let Ok(place) = self.events.try_reserve() {
            match self.shard.poll_event() {
                Some(event) => place.send((self.index, event)),
                None => return,
            }
        }
    }
}

/// Gives the shard a datagram. One that is a stray comes back as such.
fn take(
    shard: &mut Shard,
    now: Instant,
    path: Path,
    datagram: &mut [u8],
    batch: &mut Batch,
) -> Option<Stray> {
    match catch(|| shard.handle_datagram(now, path, datagram, batch)) {
        Ok(taken) => taken.err(),
        Err(()) => {
            shard.abandon_current(now, batch);
            None
        }
    }
}

/// A panic is our bug; it may end the peer that met it and nobody else.
fn catch<T>(work: impl FnOnce() -> T) -> Result<T, ()> {
    catch_unwind(AssertUnwindSafe(work)).map_err(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::LoudestLimits;
    use crate::shard::tests::bugs::Place;
    use crate::shard::{CallId, IceCredentials, ParticipantId, PeerId, ShardConfig};
    use crate::transport::{ChannelLimits, Identity};

    fn shard() -> Shard {
        Shard::new(ShardConfig {
            index: 0,
            shards: 1,
            identity: Identity::generate().unwrap(),
            channels: ChannelLimits {
                max_message_bytes: 1_000,
                max_channels: 1,
                max_buffered_bytes: 1_000,
            },
            loudest: LoudestLimits::default(),
            seed: 1,
        })
    }

    /// Adds a peer, and waits for what the shard tells of it.
    fn lives(runtime: &Runtime, events: &mut mpsc::Receiver<ShardEvent>, peer: u64) {
        let id = PeerId(peer);
        runtime.send(
            0,
            Command::AddPeer {
                peer: id,
                call: CallId(1),
                participant: ParticipantId(peer),
                shards: Vec::new(),
                local_ice: IceCredentials {
                    ufrag: format!("user{peer}"),
                    pwd: "a password that is long".to_owned(),
                },
            },
        );
        runtime.send(0, Command::Stats { peer: id });
        loop {
            match events.blocking_recv() {
                Some((0, Event::Stats { peer, .. })) if peer == id => return,
                Some(_) => {}
                None => panic!("the shard is over"),
            }
        }
    }

    #[test]
    fn a_bug_anywhere_in_a_shard_does_not_end_its_thread() {
        for place in [Place::Command, Place::PollTimeout, Place::PollEvent] {
            let shard = shard();
            shard.bugs.put(place, 0);
            let socket = MediaSocket::bind(0).unwrap();
            let started = Runtime::start(vec![(socket, shard)], RuntimeSettings::default());
            let (runtime, mut events) = started.unwrap();
            // The first peer may meet it, and then is told to have failed.
            if place == Place::Command {
                let peer = PeerId(1);
                runtime.send(
                    0,
                    Command::AddPeer {
                        peer,
                        call: CallId(1),
                        participant: ParticipantId(1),
                        shards: Vec::new(),
                        local_ice: IceCredentials {
                            ufrag: "first".to_owned(),
                            pwd: "a password that is long".to_owned(),
                        },
                    },
                );
                runtime.send(0, Command::Stats { peer });
                let failed = events.blocking_recv();
                assert!(
                    matches!(
                        failed,
                        Some((
                            0,
                            Event::Failed {
                                peer: PeerId(1),
                                ..
                            }
                        ))
                    ),
                    "{failed:?}"
                );
            }
            lives(&runtime, &mut events, 2);
            lives(&runtime, &mut events, 3);
            runtime.stop();
        }
    }
}
