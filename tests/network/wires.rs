//! A network between namespaces, with real datagrams: each wire is two TUN devices, and a [`link::Link`] for each way
//! between them. `tests/browser/support/network.mjs` runs it.
//!
//! It is told what to do by lines of JSON on its input, and answers each with one line:
//!
//! | line | what it does |
//! | --- | --- |
//! | `{"open":"alice","server":"dev1","client":"dev2"}` | makes a wire and its two devices, to be moved to their namespaces |
//! | `{"wire":"alice","down":{"rate":500000,"delay_ms":20}}` | changes how a way treats packets; what is not named stays |
//! | `{"stats":"alice"}` | says what passed so far, and what waits |
//!
//! `down` is the way from the server to the client, `up` the other; [`settings::Settings`] has what can be set. It ends
//! when its input does, and its devices with it. The only argument is the seed of what is random.

#[cfg(target_os = "linux")]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the simulated network of the shard uses it too"
)]
mod link;
#[cfg(target_os = "linux")]
#[path = "wires/orders.rs"]
mod orders;
#[cfg(target_os = "linux")]
#[path = "wires/program.rs"]
mod program;
#[cfg(target_os = "linux")]
#[path = "wires/settings.rs"]
mod settings;
#[cfg(target_os = "linux")]
#[path = "wires/way.rs"]
mod way;
#[cfg(target_os = "linux")]
#[path = "wires/wire.rs"]
mod wire;

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    let seed = std::env::args().nth(1).map_or(Ok(1), |seed| seed.parse());
    program::run(seed.map_err(std::io::Error::other)?)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("network namespaces are only on Linux");
}
