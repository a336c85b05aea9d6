//! On a port that all shards share, the one that first hears a peer owns it.
//!
//! Whose socket the kernel gives a client's datagrams to, nobody knows before the first has come. So a peer begins on the shard
//! of its call, and where its first check comes to another one's socket it moves there: nothing has come of it yet but that
//! check, which goes along. It moves once; what comes to other sockets later is handed over.

use bytes::Bytes;

use super::Rooms;
use crate::shard::{Command, ParticipantId, PeerId, TrackId, shard_letter};
use crate::transport::Path;

impl Rooms {
    /// A peer's shard tells that shard `to` heard the peer first, by this check.
    pub(super) fn move_peer(&mut self, id: PeerId, to: usize, path: Path, check: Bytes) {
        let Some(&owner) = self.participant_by_peer.get(&id) else {
            return;
        };
        let Some(peer) = self.peer(owner) else {
            return;
        };
        let (call, load, from) = (peer.call, peer.load, peer.shard);
        if to == from || to >= self.load_by_shard.len() {
            return;
        }
        tracing::debug!(parent: &self.span(owner), from, to, "moves to the shard that heard it first");
        // First, so that those who are subscribed there look for it elsewhere.
        self.leave_shard(id, call, from);
        self.weigh(owner, 0, load);
        let Some(peer) = self.peer_mut(owner) else {
            return;
        };
        peer.shard = to;
        let local_ice = peer.negotiation.begin_anew(shard_letter(to));
        let published: Vec<TrackId> = peer.published.iter().map(|one| one.track).collect();
        peer.joining.record("shard", to);
        self.weigh(owner, load, 0);
        self.enter_shard(owner, local_ice);
        self.drain_commands(owner);
        self.ask_again(owner, to);
        self.command(
            to,
            Command::Hear {
                peer: id,
                path,
                check,
            },
        );
        for other in self.others_in_call(owner) {
            if let Some(peer) = self.peer_mut(other) {
                peer.negotiation.set_home(&published, to);
                self.drain_commands(other);
            }
        }
    }

    /// Asks a peer's new shard what the one before was asked, and may not have answered.
    fn ask_again(&mut self, owner: ParticipantId, shard: usize) {
        let Some(peer) = self.peer(owner) else {
            return;
        };
        let id = peer.id;
        let mut asked = Vec::new();
        if peer.stats_asked || !peer.operators_ask_stats.is_empty() {
            asked.push(Command::Stats { peer: id });
        }
        let timelines = peer.timeline_asked.iter();
        asked.extend(timelines.map(|&track| Command::Timeline { peer: id, track }));
        if !peer.timelines_asked.is_empty() {
            asked.push(Command::Timelines { peer: id });
        }
        for command in asked {
            self.command(shard, command);
        }
    }
}
