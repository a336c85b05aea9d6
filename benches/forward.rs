//! What forwarding one packet costs the core, without a socket: from the sealed datagram of the publisher
//! to the sealed datagrams of the subscribers, with AES-GCM keys from real DTLS handshakes. Then the same with all
//! subscribers on another shard: `home` is what the publisher's shard does, `mirror` what theirs does.
//!
//! `cargo bench --bench forward` measures time. `benches/instructions` counts instructions with the help of
//! `forward count=FAN_OUT`, of which it looks only at [`counted`].

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use support::{Datagram, Memory};

/// Copies that are measured for each fan-out.
const COPIES: usize = 400_000;
/// As many as pass between two checks, which keep the paths.
const CHUNK: usize = 2_000;
/// Packets whose instructions are counted.
const COUNTED: usize = 200;

fn main() {
    let count = std::env::args().find_map(|a| a.strip_prefix("count=")?.parse().ok());
    if let Some(fan_out) = count {
        let mut memory = room(fan_out);
        let mut packets = memory.packets(COUNTED);
        let copies = counted(&mut memory, &mut packets);
        println!("{copies}");
        return;
    }
    let sealing = sealing();
    println!("fan-out   ns per packet   ns per copy   without sealing   Gbit/s out");
    for fan_out in [1, 10, 100, 1_000] {
        let (packets, elapsed) = measure(fan_out);
        let nanos = elapsed.as_nanos() as f64;
        let copies = (packets * fan_out) as f64;
        let bits = copies * 1_200.0 * 8.0;
        println!(
            "{fan_out:7} {:15.0} {:13.0} {:17.0} {:12.2}",
            nanos / packets as f64,
            nanos / copies,
            nanos / copies - sealing,
            bits / nanos
        );
    }
    println!("\nsubscribers on another shard: ns per packet");
    println!("fan-out   one shard   home   mirror   extra");
    for fan_out in [1, 10, 100] {
        let (alone, _) = measure_groups(fan_out, 0);
        let (home, mirror) = measure_groups(fan_out, 1);
        let extra = home + mirror - alone;
        println!(
            "{fan_out:7} {alone:11.0} {home:6.0} {mirror:8.0} {extra:7.0} ({:.1} %)",
            extra / alone * 100.0
        );
    }
}

/// A publisher and as many subscribers, whose histories and buffers have their size.
fn room(fan_out: usize) -> Memory {
    let mut memory = Memory::new();
    memory.join(false);
    for joined in 1..=fan_out {
        memory.join(true);
        if joined.is_multiple_of(100) {
            memory.check_all();
        }
    }
    memory.publish();
    let mut warm_up = memory.packets(CHUNK);
    memory.run(&mut warm_up);
    memory.check_all();
    memory
}

/// What is counted. Kept apart, so that it can be found.
#[inline(never)]
fn counted(memory: &mut Memory, packets: &mut [Datagram]) -> usize {
    memory.run(packets)
}

fn measure(fan_out: usize) -> (usize, Duration) {
    let mut memory = room(fan_out);
    let chunks = (COPIES / fan_out).div_ceil(CHUNK);
    let mut elapsed = Duration::ZERO;
    for _ in 0..chunks {
        memory.check_all();
        let mut packets = memory.packets(CHUNK);
        let begin = Instant::now();
        let copies = memory.run(&mut packets);
        elapsed += begin.elapsed();
        assert_eq!(copies, CHUNK * fan_out, "every copy left");
    }
    (chunks * CHUNK, elapsed)
}

/// Packets that cross together: what a tick brings under load.
const TOGETHER: usize = 20;

/// What one packet took on the publisher's shard, and on others, in nanoseconds, with all subscribers on this shard.
fn measure_groups(fan_out: usize, shard: usize) -> (f64, f64) {
    let mut memory = Memory::with_shards(2);
    memory.join(false);
    for _ in 0..fan_out {
        memory.join_on(shard, true);
    }
    memory.publish();
    let mut warm_up = memory.packets(CHUNK);
    memory.run(&mut warm_up);
    let chunks = (COPIES / fan_out).div_ceil(CHUNK);
    let (mut home, mut mirror) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..chunks {
        memory.check_all();
        let mut packets = memory.packets(CHUNK);
        let mut copies = 0;
        for group in packets.chunks_mut(TOGETHER) {
            let begin = Instant::now();
            for packet in group {
                memory.now += Duration::from_millis(1);
                memory.deliver(0, packet);
            }
            let between = Instant::now();
            memory.cross();
            mirror += between.elapsed();
            home += between - begin;
            copies += memory.take_copies();
            memory.tick_shard();
            memory.batch.clear();
        }
        assert_eq!(copies, CHUNK * fan_out, "every copy left");
    }
    [home, mirror]
        .map(|elapsed| elapsed.as_nanos() as f64 / (chunks * CHUNK) as f64)
        .into()
}

/// Nanoseconds that encrypting one such packet takes by itself.
fn sealing() -> f64 {
    const PACKETS: usize = 100_000;
    let mut memory = Memory::new();
    memory.join(false);
    let mut out = Vec::with_capacity(1_300);
    let begin = Instant::now();
    for index in 0..PACKETS {
        out.clear();
        out.resize(1_184, index as u8);
        black_box(memory.seal(&mut out, 12, 100_000 + index as u64));
    }
    begin.elapsed().as_nanos() as f64 / PACKETS as f64
}
