//! One wire: two TUN devices, and a way in each direction between them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rand::rngs::StdRng;
use tappers::{Interface, Tun};

use crate::way::Way;

/// The longest packet there can be.
const LONGEST: usize = 65_536;
/// Packets taken from one device before others have their turn.
const TURN: usize = 64;

/// The two ends of a wire and what is between them.
pub(crate) struct Wire {
    server: Tun,
    client: Tun,
    pub(crate) down: Way,
    pub(crate) up: Way,
    taken: u64,
}

impl Wire {
    /// Makes the two devices. They go where they are moved to, and vanish with the wire.
    pub(crate) fn open(server: &str, client: &str) -> io::Result<Self> {
        Ok(Self {
            server: device(server)?,
            client: device(client)?,
            down: Way::new(),
            up: Way::new(),
            taken: 0,
        })
    }

    /// Where packets come from.
    pub(crate) fn sources(&self) -> [BorrowedFd<'_>; 2] {
        [self.server.as_fd(), self.client.as_fd()]
    }

    /// When the next packet comes out at one of the ends.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.down.due().into_iter().chain(self.up.due()).min()
    }

    /// Takes what the devices have, and gives them what is due. Fails where a device is gone.
    pub(crate) fn run(&mut self, rng: &mut StdRng, buffer: &mut Buffer) -> io::Result<()> {
        for (device, way) in [(&self.server, &mut self.down), (&self.client, &mut self.up)] {
            for _ in 0..TURN {
                let Some(packet) = buffer.read(device)? else {
                    break;
                };
                self.taken += 1;
                way.take(Instant::now(), self.taken, rng, packet);
            }
        }
        let now = Instant::now();
        self.down
            .deliver(now, |packet| self.client.send(packet).is_ok());
        self.up
            .deliver(now, |packet| self.server.send(packet).is_ok());
        Ok(())
    }
}

/// Where a packet is read to.
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    pub(crate) fn new() -> Self {
        Self(vec![0; LONGEST])
    }

    fn read(&mut self, device: &Tun) -> io::Result<Option<&[u8]>> {
        match device.recv(&mut self.0) {
            Ok(len) => Ok(Some(&self.0[..len])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn device(name: &str) -> io::Result<Tun> {
    let name = Interface::new(name)?;
    let mut device = Tun::new_named(name)?;
    device.set_nonblocking(true)?;
    Ok(device)
}
