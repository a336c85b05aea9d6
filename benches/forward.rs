//! What forwarding one packet costs the core, without a socket: from the sealed datagram of the publisher
//! to the sealed datagrams of the subscribers, with AES-GCM keys from real DTLS handshakes.
//!
//! `cargo bench --bench forward`

mod support;

use std::time::{Duration, Instant};

use support::Memory;

/// Copies that are measured for each fan-out.
const COPIES: usize = 400_000;
/// As many as pass between two checks, which keep the paths.
const CHUNK: usize = 2_000;

fn main() {
    println!("fan-out   ns per packet   ns per copy   Gbit/s out");
    for fan_out in [1, 10, 100] {
        let (packets, elapsed) = measure(fan_out);
        let nanos = elapsed.as_nanos() as f64;
        let copies = (packets * fan_out) as f64;
        let bits = copies * 1_200.0 * 8.0;
        println!(
            "{fan_out:7} {:15.0} {:13.0} {:12.2}",
            nanos / packets as f64,
            nanos / copies,
            bits / nanos
        );
    }
}

fn measure(fan_out: usize) -> (usize, Duration) {
    let mut memory = Memory::new();
    memory.join(false);
    for _ in 0..fan_out {
        memory.join(true);
    }
    memory.publish();
    // Until histories and buffers have their size.
    let mut warm_up = memory.packets(CHUNK);
    memory.run(&mut warm_up);
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
