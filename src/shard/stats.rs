//! One peer's counters in the words of control.

use super::adapt::forwarded;
use super::subscription::Subscription;
use super::{Event, ForwardedLayer, InboundStats, OutboundStats, PeerId, PeerStats, Shard};

impl Shard {
    /// Answers a request for a peer's counters.
    pub(super) fn tell_stats(&mut self, id: PeerId) {
        let Some(&index) = self.peer_by_id.get(&id) else {
            return;
        };
        let peer = &self.peers[index];
        let stats = PeerStats {
            connected: peer.connected,
            bytes_received: peer.counts.bytes_received,
            bytes_sent: peer.counts.bytes_sent,
            packets_received: peer.counts.packets_received,
            packets_sent: peer.counts.packets_sent,
            rtt: peer.rtt,
            srtp: peer.transport.srtp_profile(),
            estimate: peer.estimate(),
            inbound: self.inbound_stats(index),
            outbound: self.outbound_stats(index),
        };
        self.events.push_back(Event::Stats {
            peer: id,
            stats: Box::new(stats),
        });
    }

    fn inbound_stats(&self, index: usize) -> Vec<InboundStats> {
        let tracks = self.peers[index].tracks.iter();
        tracks
            .map(|&track| &self.tracks[track])
            .flat_map(|track| {
                track
                    .layers
                    .iter()
                    .flatten()
                    .map(move |layer| (track, layer))
            })
            .map(|(track, layer)| InboundStats {
                mid: track.parameters.mid,
                track: track.id,
                ssrc: layer.ssrc,
                codec: layer.codec,
                packets_received: layer.receive.packets(),
                bytes_received: layer.receive.bytes(),
                packets_lost: layer.receive.lost(),
                jitter: layer.receive.jitter(),
                nack_count: layer.counts.nacks,
                pli_count: layer.counts.plis,
                key_frames: layer.counts.key_frames,
            })
            .collect()
    }

    fn outbound_stats(&self, index: usize) -> Vec<OutboundStats> {
        let subscriptions = self.peers[index].subscriptions.iter();
        subscriptions
            .map(|&subscription| &self.subscriptions[subscription])
            .map(|subscription| OutboundStats {
                mid: subscription.parameters.mid,
                track: subscription.parameters.track,
                ssrc: subscription.parameters.ssrc,
                codec: subscription.codec,
                packets_sent: subscription.counts.packets,
                bytes_sent: subscription.counts.bytes,
                retransmitted_packets_sent: subscription.counts.retransmitted,
                nack_count: subscription.counts.nacks,
                pli_count: subscription.counts.plis,
                fraction_lost: subscription.counts.fraction_lost,
                layer: self.forwarded_layer(subscription),
            })
            .collect()
    }

    fn forwarded_layer(&self, subscription: &Subscription) -> Option<ForwardedLayer> {
        let track = &self.tracks[subscription.source?];
        let layer = subscription.selector.current()?;
        track.has_layers().then(|| forwarded(Some(track), layer))
    }
}
