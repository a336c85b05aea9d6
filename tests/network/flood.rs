//! Sends what nobody asked for: STUN checks for nobody, DTLS hellos and random bytes, evenly mixed, from many ports, at a
//! given rate. Prints how many it sent.
//!
//!     flood TARGET RATE SECONDS
//!
//! `tests/measure/flood.mjs` lets a server have it while a call goes on. Send it to nobody else.

use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Ports that it comes from.
const PORTS: usize = 64;
/// Datagrams of each kind that are made beforehand.
const MADE: usize = 256;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match &words[..] {
        [target, rate, seconds] => target
            .parse()
            .ok()
            .zip(rate.parse().ok())
            .zip(seconds.parse().ok()),
        _ => None,
    };
    let Some(((target, rate), seconds)) = parsed else {
        eprintln!("flood: expected TARGET RATE SECONDS, such as 127.0.0.1:7880 100000 10");
        return ExitCode::from(2);
    };
    match flood(target, rate, Duration::from_secs(seconds)) {
        Ok(sent) => {
            println!("{{\"sent\": {sent}, \"seconds\": {seconds}}}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("flood: {error}");
            ExitCode::FAILURE
        }
    }
}

fn flood(target: SocketAddr, rate: u64, time: Duration) -> std::io::Result<u64> {
    let any: SocketAddr = if target.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let sockets = (0..PORTS).map(|_| {
        let socket = UdpSocket::bind(any)?;
        socket.connect(target)?;
        Ok(socket)
    });
    let sockets: Vec<UdpSocket> = sockets.collect::<std::io::Result<_>>()?;
    let datagrams: Vec<Vec<u8>> = (0..MADE)
        .flat_map(|_| [check(), hello(), noise(20, 1_200)])
        .collect();
    let began = Instant::now();
    let mut sent = 0;
    let mut tries = 0_usize;
    loop {
        let passed = began.elapsed();
        if passed >= time {
            return Ok(sent);
        }
        let due = (passed.as_secs_f64() * rate as f64) as usize;
        while tries < due {
            // A full buffer loses it, as a network would.
            let datagram = &datagrams[tries % datagrams.len()];
            sent += u64::from(sockets[tries % PORTS].send(datagram).is_ok());
            tries += 1;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A connectivity check that is whole, for a user that there is not, signed with nothing.
fn check() -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend(noise(12, 12));
    let user: Vec<u8> = noise(16, 16).iter().map(|byte| b'a' + byte % 26).collect();
    let username = [&user[..8], b":", &user[8..15]].concat();
    let integrity = noise(20, 20);
    for (kind, value) in [
        (0x0006_u16, &username[..]),
        (0x0024, &[110, 0, 1, 255]),
        (0x802a, &user[..8]),
        (0x0025, &[]),
        (0x0008, &integrity),
    ] {
        attribute(&mut message, kind, value);
    }
    length(&mut message, 8);
    let fingerprint = stun::fingerprint::fingerprint_value(&message).to_be_bytes();
    attribute(&mut message, 0x8028, &fingerprint);
    length(&mut message, 0);
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn length(message: &mut [u8], more: usize) {
    let length = (message.len() - 20 + more) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// A DTLS record with a ClientHello of usual size, whose contents are random.
fn hello() -> Vec<u8> {
    let body = noise(150, 150);
    let mut hello = vec![22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 162];
    hello.extend([1, 0, 0, 150, 0, 0, 0, 0, 0, 0, 0, 150]);
    hello.extend(body);
    hello
}

fn noise(least: usize, most: usize) -> Vec<u8> {
    let length = rand::random_range(least..=most);
    (0..length).map(|_| rand::random()).collect()
}
