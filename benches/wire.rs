//! What forwarding one packet costs the whole shard, kernel included: its thread with a real socket, clients
//! with real keys on loopback, and traffic as browsers shape it.
//!
//! `cargo bench --bench wire -- [subscribers=50,150] [publishers=1] [seconds=4] [hold=MS] [segments=off] [audio=only]`
//!
//! The clients' sockets do not coalesce what they receive, so that the server pays for every segment as it
//! would on a network. Its processor time includes the kernel's receiving half, which runs in the sender's
//! time on loopback. Run it on a quiet machine with at least two cores.

#[allow(dead_code, reason = "other benches use the rest")]
#[path = "support/client.rs"]
mod client;
#[path = "support/pace.rs"]
mod pace;
#[path = "support/process.rs"]
mod process;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crosspoint::rtp::sequence::extend;
use crosspoint::rtp::{
    ExtensionValues, HeaderFields, HeaderView, MediaKind, own_extensions, write_header,
};
use crosspoint::runtime::{MediaSocket, Runtime, RuntimeSettings};
use crosspoint::shard::{Shard, ShardConfig, TrackId};
use crosspoint::transport::{DatagramKind, Identity, Path, Protocol, TransportEvent, classify};
use tokio::net::UdpSocket;

use client::{Client, LIMITS, Source, extensions, publish, subscribe};
use pace::{Pace, Piece};
use process::ThreadClock;

/// How often the receivers look: as exact are the latencies.
const DRAIN: Duration = Duration::from_micros(250);

/// One packet in this many is decrypted, for its time stamp.
const SAMPLED: u64 = 16;

fn main() {
    let options = Options::read();
    println!(
        "{} publisher(s), {} s, hold {:?}, segments {}",
        options.publishers, options.seconds, options.hold, options.segments
    );
    println!("subscribers  packets/s   ns/packet  core%  per send  lost   p50 ms  p99 ms  max ms");
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for &subscribers in &options.subscribers {
        let measured =
            tokio::task::LocalSet::new().block_on(&executor, measure(&options, subscribers));
        measured.print(subscribers);
    }
}

/// What to measure.
struct Options {
    subscribers: Vec<usize>,
    publishers: usize,
    seconds: u64,
    hold: Duration,
    segments: bool,
    video: bool,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            subscribers: vec![50, 150],
            publishers: 1,
            seconds: 4,
            hold: Duration::from_millis(5),
            segments: true,
            video: true,
        };
        for argument in std::env::args().skip(1) {
            let Some((name, value)) = argument.split_once('=') else {
                continue;
            };
            let number = || value.parse().expect("a number");
            match name {
                "subscribers" => {
                    options.subscribers = value
                        .split(',')
                        .map(|count| count.parse().expect("numbers"))
                        .collect();
                }
                "publishers" => options.publishers = number() as usize,
                "seconds" => options.seconds = number(),
                "hold" => {
                    options.hold = Duration::from_micros(
                        (1e3 * value.parse::<f64>().expect("a number")) as u64,
                    )
                }
                "segments" => options.segments = value != "off",
                "audio" => options.video = value != "only",
                _ => panic!("there is no `{name}`"),
            }
        }
        options
    }

    /// The tracks of one publisher.
    fn sources(&self, publisher: usize) -> Vec<Source> {
        let number = publisher as u32;
        let source = |kind, offset| Source {
            track: TrackId(u64::from(2 * number + offset)),
            kind,
            ssrc: 0x1000 * (2 * number + offset + 1),
        };
        let audio = source(MediaKind::Audio, 0);
        if self.video {
            vec![audio, source(MediaKind::Video, 1)]
        } else {
            vec![audio]
        }
    }
}

/// What one run showed.
struct Measured {
    elapsed: Duration,
    cpu: Duration,
    received: u64,
    expected: u64,
    per_send: f64,
    latencies: Vec<u64>,
}

impl Measured {
    fn print(mut self, subscribers: usize) {
        self.latencies.sort_unstable();
        let at = |share: f64| {
            let last = self.latencies.len().saturating_sub(1);
            let nanos = self.latencies.get((last as f64 * share) as usize);
            nanos.copied().unwrap_or(0) as f64 / 1e6
        };
        println!(
            "{subscribers:11} {:10.0} {:11.0} {:6.1} {:9.2} {:5} {:8.2} {:7.2} {:7.2}",
            self.received as f64 / self.elapsed.as_secs_f64(),
            self.cpu.as_nanos() as f64 / self.received as f64,
            100.0 * self.cpu.as_secs_f64() / self.elapsed.as_secs_f64(),
            self.per_send,
            self.expected.saturating_sub(self.received),
            at(0.5),
            at(0.99),
            at(1.0),
        );
    }
}

/// A client and its socket.
struct End {
    client: Client,
    socket: UdpSocket,
}

async fn measure(options: &Options, subscribers: usize) -> Measured {
    let identity = Identity::generate().expect("an identity");
    let socket = MediaSocket::bind(0).expect("a media port");
    let server: SocketAddr = (Ipv4Addr::LOCALHOST, socket.port()).into();
    let shard = Shard::new(ShardConfig {
        index: 0,
        shards: 1,
        identity: identity.clone(),
        channels: LIMITS,
        loudest: crosspoint::forward::LoudestLimits::default(),
        seed: 1,
    });
    let settings = RuntimeSettings {
        shared_port: false,
        max_hold: options.hold,
        segments: options.segments,
    };
    let (runtime, mut events) = Runtime::start(vec![(socket, shard)], settings).expect("a shard");
    let clock = ThreadClock::of("shard-0");
    clock.pin();
    let mut ends = Vec::new();
    for index in 0..options.publishers + subscribers {
        ends.push(connect(&runtime, &identity, index, server).await);
        while events.try_recv().is_ok() {}
    }
    for (publisher, end) in ends.iter().enumerate().take(options.publishers) {
        for source in options.sources(publisher) {
            runtime.send(0, publish(end.client.peer, &source));
        }
    }
    for end in &ends[options.publishers..] {
        let sources = (0..options.publishers).flat_map(|publisher| options.sources(publisher));
        for (line, source) in sources.enumerate() {
            runtime.send(0, subscribe(end.client.peer, line as u32, &source));
        }
    }
    let receivers = ends.split_off(options.publishers);
    let begin = Instant::now();
    let until = begin + Duration::from_millis(1_000 * (options.seconds + 1) + 100);
    let receivers: Vec<_> = receivers
        .into_iter()
        .map(|end| Receiver::new(end, begin))
        .collect();
    let receiving = std::thread::spawn(move || receive(receivers, until));
    // Until every subscription has begun and every buffer has its size.
    let settled = Duration::from_secs(1);
    let sending: Vec<_> = ends
        .into_iter()
        .enumerate()
        .map(|(index, end)| {
            let sources = options.sources(index);
            let sender = Sender::new(end, server, begin, sources, index, options.publishers);
            tokio::task::spawn_local(sender.run(settled, Duration::from_secs(options.seconds)))
        })
        .collect();
    tokio::time::sleep_until((begin + settled).into()).await;
    let (before, counted) = (clock.read(), runtime.counters()[0]);
    let mut sent = 0;
    for sender in sending {
        sent += sender.await.expect("a sender");
    }
    let elapsed = begin.elapsed() - settled;
    // What is held leaves in this time.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let cpu = clock.read() - before;
    let counters = runtime.counters()[0];
    let sends = (counters.sends - counted.sends).max(1);
    let mut measured = Measured {
        elapsed,
        cpu,
        received: 0,
        expected: sent * subscribers as u64,
        per_send: (counters.datagrams_out - counted.datagrams_out) as f64 / sends as f64,
        latencies: Vec::new(),
    };
    for receiver in receiving.join().expect("the receivers") {
        measured.received += receiver.received;
        measured.latencies.extend(receiver.latencies);
    }
    tokio::task::spawn_blocking(|| runtime.stop())
        .await
        .expect("the end of the shard");
    measured
}

/// Connects one client to the server.
async fn connect(runtime: &Runtime, identity: &Identity, index: usize, server: SocketAddr) -> End {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let socket = socket.expect("a port");
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
    let address = socket.local_addr().expect("an address");
    let path = Path {
        protocol: Protocol::Udp,
        remote: server,
        local: None,
    };
    let (mut client, commands) = Client::new(Instant::now(), identity, index, address, false);
    for command in commands {
        runtime.send(0, command);
    }
    let check = client.check(Instant::now(), path);
    let mut buffer = vec![0; 2_048];
    socket.send_to(&check, server).await.expect("a check");
    while !client.connected {
        while let Some(transmit) = client.transport.poll_transmit() {
            if classify(&transmit.contents) == Some(DatagramKind::Dtls) {
                let sent = socket.send_to(&transmit.contents, server).await;
                sent.expect("a flight");
            }
        }
        while let Some(event) = client.transport.poll_event() {
            client.connected |= event == TransportEvent::Connected;
        }
        let wait = Duration::from_millis(20);
        match tokio::time::timeout(wait, socket.recv(&mut buffer)).await {
            Ok(Ok(length)) if classify(&buffer[..length]) == Some(DatagramKind::Dtls) => {
                let _ = client
                    .transport
                    .handle_dtls(Instant::now(), path, &buffer[..length]);
            }
            Ok(_) => {}
            Err(_) => {
                client.transport.handle_timeout(Instant::now());
                // The first may have come before the server knew the client.
                let check = client.check(Instant::now(), path);
                socket.send_to(&check, server).await.expect("a check");
            }
        }
    }
    End { client, socket }
}

/// Sends the tracks of one publisher.
struct Sender {
    end: End,
    server: SocketAddr,
    begin: Instant,
    sources: Vec<Source>,
    sequences: Vec<u64>,
    pace: Pace,
}

impl Sender {
    fn new(
        end: End,
        server: SocketAddr,
        begin: Instant,
        sources: Vec<Source>,
        index: usize,
        of: usize,
    ) -> Self {
        Self {
            end,
            server,
            begin,
            sequences: vec![1_000; sources.len()],
            pace: Pace::new(index, of, sources.len() > 1),
            sources,
        }
    }

    /// Sends for `settled` and then for `length`; returns how many packets of the second part.
    async fn run(mut self, settled: Duration, length: Duration) -> u64 {
        let mut counted = 0;
        loop {
            let piece = self.pace.next();
            if piece.at >= settled + length {
                return counted;
            }
            tokio::time::sleep_until((self.begin + piece.at).into()).await;
            let datagram = self.packet(&piece);
            let sent = self.end.socket.try_send_to(&datagram, self.server);
            counted += u64::from(sent.is_ok() && piece.at >= settled);
        }
    }

    fn packet(&mut self, piece: &Piece) -> Vec<u8> {
        let source = &self.sources[piece.track];
        let number = self.sequences[piece.track];
        self.sequences[piece.track] += 1;
        let values = ExtensionValues {
            mid: None,
            transport_cc: Some(number as u16),
            abs_send_time: None,
        };
        let video = source.kind == MediaKind::Video;
        let fields = HeaderFields {
            marker: piece.marker,
            payload_type: if video { 96 } else { 111 },
            sequence: number as u16,
            timestamp: piece.timestamp,
            ssrc: source.ssrc,
        };
        let mut out = Vec::with_capacity(1_400);
        write_header(&mut out, &fields, &own_extensions(&extensions(), &values));
        let header_len = out.len();
        if video {
            let [high, low] = (0x8000 | piece.frame as u16).to_be_bytes();
            let start = if piece.start { 0x90 } else { 0x80 };
            out.extend_from_slice(&[start, 0xe0, high, low, 0, 0, u8::from(!piece.keyframe)]);
        }
        out.extend_from_slice(&(self.begin.elapsed().as_nanos() as u64).to_be_bytes());
        out.resize(header_len + piece.size, number as u8);
        let transport = &mut self.end.client.transport;
        let sealed = transport.seal_rtp(&mut out, 0, header_len, number);
        sealed.expect("keys");
        out
    }
}

/// Empties the sockets of all receivers now and then. Nobody sleeps on them: to wake a receiver for each datagram
/// would be the server's time, which it is not on a network.
fn receive(mut receivers: Vec<Receiver>, until: Instant) -> Vec<Receiver> {
    let mut buffer = vec![0; 2_048];
    while Instant::now() < until {
        for receiver in &mut receivers {
            while let Ok(length) = receiver.socket.recv(&mut buffer) {
                receiver.take(&mut buffer[..length]);
            }
        }
        std::thread::sleep(DRAIN);
    }
    receivers
}

/// Counts what one subscriber gets.
struct Receiver {
    socket: std::net::UdpSocket,
    client: Client,
    begin: Instant,
    highest: std::collections::HashMap<u32, u64>,
    received: u64,
    sampled: u64,
    latencies: Vec<u64>,
}

impl Receiver {
    fn new(end: End, begin: Instant) -> Self {
        Self {
            socket: end.socket.into_std().expect("a socket"),
            client: end.client,
            begin,
            highest: Default::default(),
            received: 0,
            sampled: 0,
            latencies: Vec::new(),
        }
    }

    fn take(&mut self, datagram: &mut [u8]) {
        if classify(datagram) != Some(DatagramKind::Rtp) {
            return;
        }
        let Ok(view) = HeaderView::parse(datagram) else {
            return;
        };
        let (fields, header_len) = (view.fields(), view.header_len());
        // The second that settles is told by the clock: a packet more or less is no matter.
        if self.begin.elapsed() >= Duration::from_secs(1) {
            self.received += 1;
        }
        let highest = self
            .highest
            .entry(fields.ssrc)
            .or_insert_with(|| fields.sequence.into());
        let index = extend(*highest, fields.sequence);
        *highest = index.max(*highest);
        self.sampled += 1;
        if !self.sampled.is_multiple_of(SAMPLED) {
            return;
        }
        let transport = &mut self.client.transport;
        let opened = transport.open_rtp(datagram, header_len, index);
        let plain = &datagram[..opened.expect("a genuine packet")];
        let view = HeaderView::parse(plain).expect("a header");
        let payload = view.payload().expect("a payload");
        let stamp = if fields.payload_type == 96 {
            &payload[7..]
        } else {
            payload
        };
        let stamp = stamp
            .first_chunk()
            .map_or(0, |stamp| u64::from_be_bytes(*stamp));
        let now = self.begin.elapsed().as_nanos() as u64;
        self.latencies.push(now - stamp);
    }
}
