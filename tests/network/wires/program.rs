//! The loop: sleeps until a device has a packet, a packet's time has come, or a line of input is there.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::orders::{Wires, carry_out};
use crate::wire::Buffer;

/// Runs until the input ends.
pub(crate) fn run(seed: u64) -> io::Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut input = Input::open()?;
    let mut wires = Wires::new();
    let mut buffer = Buffer::new();
    say(&json!({ "seed": seed }))?;
    loop {
        if wait(&input, &wires)? {
            let Some(lines) = input.lines()? else {
                return Ok(());
            };
            for line in lines {
                say(&carry_out(&mut wires, &line))?;
            }
        }
        wires.retain(|name, wire| {
            let ran = wire.run(&mut rng, &mut buffer);
            if let Err(error) = &ran {
                eprintln!("wire {name} is gone: {error}");
            }
            ran.is_ok()
        });
    }
}

/// Sleeps until there is something to do; says whether there is input.
fn wait(input: &Input, wires: &Wires) -> io::Result<bool> {
    let sources = wires.values().flat_map(|wire| wire.sources());
    let mut fds: Vec<_> = std::iter::once(input.file.as_fd())
        .chain(sources)
        .map(|fd: BorrowedFd<'_>| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    let due = wires.values().filter_map(|wire| wire.due()).min();
    let left = due.map(|due| due.saturating_duration_since(Instant::now()).into());
    match ppoll(&mut fds, left, None) {
        Ok(_) => Ok(fds[0].any().unwrap_or(true)),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The lines of the standard input, read without waiting for more than is there.
struct Input {
    file: File,
    rest: String,
}

impl Input {
    fn open() -> io::Result<Self> {
        Ok(Self {
            file: File::from(io::stdin().as_fd().try_clone_to_owned()?),
            rest: String::new(),
        })
    }

    /// The whole lines that have come; `None` at the end.
    fn lines(&mut self) -> io::Result<Option<Vec<String>>> {
        let mut bytes = [0; 4096];
        let len = self.file.read(&mut bytes)?;
        if len == 0 {
            return Ok(None);
        }
        self.rest.push_str(&String::from_utf8_lossy(&bytes[..len]));
        let end = self.rest.rfind('\n').map_or(0, |last| last + 1);
        let whole: String = self.rest.drain(..end).collect();
        Ok(Some(whole.lines().map(str::to_owned).collect()))
    }
}

fn say(answer: &serde_json::Value) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{answer}")?;
    output.flush()
}
