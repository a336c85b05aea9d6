//! What a client really sends and receives: an interceptor nearest to the network, which sees every RTP and RTCP packet
//! before anything interprets it, and can lose some.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

use super::watched::Watched;

/// Decides of each packet whether it is lost.
pub type Loses = Box<dyn FnMut(&rtc::rtp::Packet) -> bool + Send>;

/// A packet and when it passed.
#[derive(Clone, Debug)]
pub struct Passed<T> {
    pub at: Instant,
    pub packet: T,
}

/// Everything that has passed.
#[derive(Default)]
pub struct Traffic {
    pub rtp_in: Vec<Passed<rtc::rtp::Packet>>,
    pub rtp_out: Vec<Passed<rtc::rtp::Packet>>,
    pub rtcp_in: Vec<Passed<Box<dyn rtcp::Packet>>>,
    pub rtcp_out: Vec<Passed<Box<dyn rtcp::Packet>>>,
    /// Which incoming packets are lost on their way.
    pub loses_in: Option<Loses>,
    /// Which outgoing packets are lost on their way.
    pub loses_out: Option<Loses>,
}

impl Traffic {
    /// The packets that came of one SSRC.
    pub fn of(&self, ssrc: u32) -> impl Iterator<Item = &rtc::rtp::Packet> {
        self.rtp_in
            .iter()
            .map(|passed| &passed.packet)
            .filter(move |packet| packet.header.ssrc == ssrc)
    }

    /// The RTCP packets of one type that came, with their times.
    pub fn rtcp<T: 'static>(&self) -> impl Iterator<Item = (Instant, &T)> {
        self.rtcp_in
            .iter()
            .filter_map(|passed| Some((passed.at, passed.packet.as_any().downcast_ref::<T>()?)))
    }
}

/// The interceptor.
pub struct Tap {
    traffic: Arc<Watched<Traffic>>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl Tap {
    pub fn new(traffic: Arc<Watched<Traffic>>) -> Self {
        Self {
            traffic,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Tap {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        let at = Instant::now();
        let lost = self.traffic.update(|traffic| match &msg.message.packet {
            Packet::Rtp(packet) => {
                let lost = traffic.loses_in.as_mut().is_some_and(|loses| loses(packet));
                if !lost {
                    traffic.rtp_in.push(Passed {
                        at,
                        packet: packet.clone(),
                    });
                }
                lost
            }
            Packet::Rtcp(packets) => {
                let packets = packets.iter().cloned();
                traffic
                    .rtcp_in
                    .extend(packets.map(|packet| Passed { at, packet }));
                false
            }
            _ => false,
        });
        if !lost {
            self.reads.push_back(msg);
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        let at = Instant::now();
        let lost = self.traffic.update(|traffic| match &msg.message.packet {
            Packet::Rtp(packet) => {
                traffic.rtp_out.push(Passed {
                    at,
                    packet: packet.clone(),
                });
                traffic
                    .loses_out
                    .as_mut()
                    .is_some_and(|loses| loses(packet))
            }
            Packet::Rtcp(packets) => {
                let packets = packets.iter().cloned();
                traffic
                    .rtcp_out
                    .extend(packets.map(|packet| Passed { at, packet }));
                false
            }
            _ => false,
        });
        if !lost {
            self.writes.push_back(msg);
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for Tap {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
