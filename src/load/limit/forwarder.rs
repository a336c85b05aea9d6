//! The bare forwarder without its socket: who sends to whom, and what happens to one packet.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;

use super::keys::{Side, fixed_keys};
use super::registration::Registration;
use crate::rtp::HeaderView;
use crate::rtp::sequence::extend;
use crate::shard::{Batch, LaneSlot};
use crate::transport::{DatagramKind, Path, Protocol, Srtp, classify};

/// Endpoints of one run.
const MAX_ENDPOINTS: usize = 20_000;
/// Streams of one endpoint: audio and three layers of video, with room to spare.
const MAX_STREAMS: usize = 16;

/// All endpoints of one run.
#[derive(Default)]
pub(super) struct Forwarder {
    run: u64,
    endpoints: Vec<Endpoint>,
    by_address: FxHashMap<SocketAddr, usize>,
}

struct Endpoint {
    path: Path,
    registration: Registration,
    srtp: Srtp,
    slot: LaneSlot,
    streams: Vec<Stream>,
    /// Who gets what it sends.
    receivers: Vec<usize>,
}

struct Stream {
    ssrc: u32,
    highest: u64,
}

impl Forwarder {
    /// Takes one datagram, and writes what it causes.
    pub(super) fn handle_datagram(&mut self, path: Path, datagram: &mut [u8], batch: &mut Batch) {
        if classify(datagram) == Some(DatagramKind::Rtp) {
            self.forward(path, datagram, batch);
        } else if let Some(registration) = Registration::parse(datagram)
            && self.register(path, registration)
        {
            batch.push(path, datagram);
        }
    }

    /// Returns false when there is no room for it.
    fn register(&mut self, path: Path, registration: Registration) -> bool {
        if registration.run != self.run {
            *self = Self {
                run: registration.run,
                ..Self::default()
            };
        }
        let path = Path {
            protocol: Protocol::Udp,
            remote: SocketAddr::new(path.remote.ip(), registration.port),
            ..path
        };
        if let Some(&known) = self.by_address.get(&path.remote) {
            return self.endpoints[known].registration == registration;
        }
        if self.endpoints.len() >= MAX_ENDPOINTS {
            return false;
        }
        let Ok(srtp) = fixed_keys(registration.endpoint, Side::Forwarder) else {
            return false;
        };
        let index = self.endpoints.len();
        let mut receivers = Vec::new();
        for (other, endpoint) in self.endpoints.iter_mut().enumerate() {
            if endpoint.registration.room == registration.room {
                if registration.receives {
                    endpoint.receivers.push(index);
                }
                if endpoint.registration.receives {
                    receivers.push(other);
                }
            }
        }
        self.by_address.insert(path.remote, index);
        self.endpoints.push(Endpoint {
            path,
            registration,
            srtp,
            slot: LaneSlot::default(),
            streams: Vec::new(),
            receivers,
        });
        true
    }

    fn forward(&mut self, path: Path, datagram: &mut [u8], batch: &mut Batch) {
        let Some(&from) = self.by_address.get(&path.remote) else {
            return;
        };
        let Ok(view) = HeaderView::parse(datagram) else {
            return;
        };
        let (ssrc, sequence, header_len) = (view.ssrc(), view.sequence(), view.header_len());
        let sender = &mut self.endpoints[from];
        let Some(index) = sender.index(ssrc, sequence) else {
            return;
        };
        let Ok(len) = sender.srtp.open_rtp(datagram, header_len, index) else {
            return;
        };
        let plain = &datagram[..len];
        // Taken out for the loop, since the receivers lie beside their sender.
        let receivers = std::mem::take(&mut sender.receivers);
        for &to in &receivers {
            let Endpoint {
                path, srtp, slot, ..
            } = &mut self.endpoints[to];
            batch.write(slot, *path, false, |out| {
                let start = out.len();
                out.extend_from_slice(plain);
                srtp.seal_rtp(out, start, header_len, index).is_ok()
            });
        }
        self.endpoints[from].receivers = receivers;
    }
}

impl Endpoint {
    /// The packet's index (RFC 3711 section 3.3.1). The first packet of a stream is in the first cycle.
    fn index(&mut self, ssrc: u32, sequence: u16) -> Option<u64> {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) {
            let index = extend(stream.highest, sequence);
            stream.highest = stream.highest.max(index);
            return Some(index);
        }
        if self.streams.len() >= MAX_STREAMS {
            return None;
        }
        let highest = u64::from(sequence);
        self.streams.push(Stream { ssrc, highest });
        Some(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSRC: u32 = 7;

    fn path(endpoint: u32) -> Path {
        Path {
            protocol: Protocol::Udp,
            remote: ([192, 0, 2, 1], 1_000 + endpoint as u16).into(),
            local: None,
        }
    }

    fn registration(endpoint: u32, room: u32, receives: bool) -> Registration {
        Registration {
            run: 1,
            endpoint,
            room,
            port: 1_000 + endpoint as u16,
            receives,
        }
    }

    fn register(forwarder: &mut Forwarder, registration: Registration) -> bool {
        let mut batch = Batch::new();
        let mut datagram = registration.datagram();
        let signalling = path(0);
        forwarder.handle_datagram(signalling, &mut datagram, &mut batch);
        let answers: Vec<_> = sent(&batch);
        assert!(answers.is_empty() || answers == [(signalling, datagram)]);
        !answers.is_empty()
    }

    fn sent(batch: &Batch) -> Vec<(Path, Vec<u8>)> {
        let lanes = batch.lanes();
        lanes
            .flat_map(|lane| lane.datagrams().map(|bytes| (lane.path(), bytes.to_vec())))
            .collect()
    }

    fn packet(sequence: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, 96];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(&SSRC.to_be_bytes());
        packet.extend_from_slice(payload);
        packet
    }

    fn sealed(from: u32, index: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = packet(index as u16, payload);
        let mut srtp = fixed_keys(from, Side::Endpoint).unwrap();
        srtp.seal_rtp(&mut out, 0, 12, index).expect("sealed");
        out
    }

    fn opened(by: u32, index: u64, mut datagram: Vec<u8>) -> Vec<u8> {
        let mut srtp = fixed_keys(by, Side::Endpoint).unwrap();
        let len = srtp.open_rtp(&mut datagram, 12, index).expect("opened");
        datagram.truncate(len);
        datagram
    }

    #[test]
    fn a_packet_goes_to_all_others_of_its_room_who_receive() {
        let mut forwarder = Forwarder::default();
        for (endpoint, room, receives) in [
            (1, 1, true),
            (2, 1, true),
            (3, 1, false),
            (4, 2, true),
            (5, 1, true),
        ] {
            assert!(register(
                &mut forwarder,
                registration(endpoint, room, receives)
            ));
        }
        let mut batch = Batch::new();
        forwarder.handle_datagram(path(1), &mut sealed(1, 10, b"frame"), &mut batch);
        let sent = sent(&batch);
        let to: Vec<_> = sent.iter().map(|(path, _)| *path).collect();
        assert_eq!(to, [path(2), path(5)]);
        for ((_, datagram), by) in sent.into_iter().zip([2, 5]) {
            assert_eq!(opened(by, 10, datagram), packet(10, b"frame"));
        }
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut forwarder = Forwarder::default();
        register(&mut forwarder, registration(1, 1, false));
        register(&mut forwarder, registration(2, 1, true));
        let mut batch = Batch::new();
        for index in 65_534..65_538 {
            batch.clear();
            forwarder.handle_datagram(path(1), &mut sealed(1, index, b"x"), &mut batch);
            let (_, datagram) = sent(&batch).pop().expect("forwarded");
            assert_eq!(opened(2, index, datagram), packet(index as u16, b"x"));
        }
    }

    #[test]
    fn strangers_and_forged_packets_go_nowhere() {
        let mut forwarder = Forwarder::default();
        register(&mut forwarder, registration(1, 1, true));
        register(&mut forwarder, registration(2, 1, true));
        let mut batch = Batch::new();
        forwarder.handle_datagram(path(9), &mut sealed(9, 1, b"x"), &mut batch);
        forwarder.handle_datagram(path(1), &mut sealed(2, 1, b"x"), &mut batch);
        forwarder.handle_datagram(path(1), &mut [0x80, 200, 0, 1, 0, 0, 0, 7], &mut batch);
        forwarder.handle_datagram(path(1), &mut [], &mut batch);
        assert_eq!(sent(&batch), []);
    }

    #[test]
    fn registering_again_is_answered_and_a_new_run_replaces_the_old() {
        let mut forwarder = Forwarder::default();
        assert!(register(&mut forwarder, registration(1, 1, true)));
        assert!(register(&mut forwarder, registration(1, 1, true)));
        assert_eq!(forwarder.endpoints.len(), 1);
        assert!(register(&mut forwarder, registration(2, 1, true)));
        let next = Registration {
            run: 2,
            ..registration(3, 1, true)
        };
        assert!(register(&mut forwarder, next));
        assert_eq!(forwarder.endpoints.len(), 1);
    }
}
