//! Who receives what: everybody in a call receives every track of the others in it, if it may receive anything.

use super::peer::Peer;
use super::{Notice, Rooms};
use crate::negotiation::{PublishedTrack, SubscribedTrack};
use crate::shard::{ParticipantId, TrackId};
use crate::signaling::protocol::{ErrorCode, ProtocolError, ServerMessage};

impl Rooms {
    /// Gives the others of the call what a participant publishes now, and takes from them what it published before.
    pub(super) fn publish(&mut self, id: ParticipantId) {
        self.tell_refused(id);
        let Some(peer) = self.peer_mut(id) else {
            return;
        };
        let mut published = peer.negotiation.tracks().to_vec();
        peer.stopped
            .retain(|stopped| published.iter().any(|one| one.track == *stopped));
        published.retain(|one| !peer.stopped.contains(&one.track));
        if peer.published == published {
            return;
        }
        let old = std::mem::replace(&mut peer.published, published);
        let is_old = |track: TrackId| old.iter().any(|old| old.track == track);
        let added: Vec<SubscribedTrack> = peer
            .subscribable(id)
            .into_iter()
            .filter(|new| !is_old(new.track))
            .collect();
        let removed: Vec<TrackId> = old
            .iter()
            .map(|old| old.track)
            .filter(|track| !peer.published.iter().any(|new| new.track == *track))
            .collect();
        let shown = |peer: &Peer, tracks: &[PublishedTrack], wanted: &dyn Fn(TrackId) -> bool| {
            let tracks = tracks.iter().filter(|published| wanted(published.track));
            tracks
                .map(|published| peer.track_info(published))
                .collect::<Vec<_>>()
        };
        let gone = shown(peer, &old, &|track| removed.contains(&track));
        let new = shown(peer, &peer.published, &|track| !is_old(track));
        peer.muted.retain(|track| !removed.contains(track));
        for track in &added {
            self.publisher_by_track.insert(track.track, id);
        }
        self.change_subscriptions(id, &added, &removed);
        self.changed.insert(id);
        for track in gone {
            self.notice_about(id, |who| Notice::TrackUnpublished(who, track));
        }
        for track in new {
            self.notice_about(id, |who| Notice::TrackPublished(who, track));
        }
    }

    /// Tells a participant what it offered to send and may not, once for each. No answer to a message: its offer is answered.
    fn tell_refused(&mut self, id: ParticipantId) {
        let Some(peer) = self.peer_mut(id) else {
            return;
        };
        let refused = peer.negotiation.refused().to_vec();
        let known = std::mem::replace(&mut peer.refused, refused.clone());
        let words: Vec<&str> = refused
            .iter()
            .filter(|refused| !known.contains(refused))
            .map(|(_, source)| source.word())
            .collect();
        if !words.is_empty() {
            let message = format!("your token does not let you send {}", words.join(", "));
            let error = ProtocolError::new(ErrorCode::NotGranted, message);
            self.send(id, &ServerMessage::error(&error, false));
        }
    }

    /// Whether anybody's tracks may be forwarded to a participant.
    pub(super) fn may_subscribe(&self, id: ParticipantId) -> bool {
        let participant = self.participants.get(&id);
        participant.is_some_and(|participant| participant.access.grants.subscribe)
    }

    /// Takes from the others of the call all that a participant publishes.
    pub(super) fn unpublish_all(&mut self, id: ParticipantId) {
        let Some(peer) = self.peer_mut(id) else {
            return;
        };
        let gone = peer.track_infos();
        let removed: Vec<TrackId> = std::mem::take(&mut peer.published)
            .into_iter()
            .map(|old| old.track)
            .collect();
        self.change_subscriptions(id, &[], &removed);
        for track in gone {
            self.notice_about(id, |who| Notice::TrackUnpublished(who, track));
        }
    }

    /// Gives a participant what the others of its call publish.
    pub(super) fn subscribe_to_all(&mut self, id: ParticipantId) {
        if !self.may_subscribe(id) {
            return;
        }
        let tracks: Vec<SubscribedTrack> = self
            .others_in_call(id)
            .into_iter()
            .filter_map(|other| Some(self.peer(other)?.subscribable(other)))
            .flatten()
            .collect();
        self.weigh(id, tracks.len(), 0);
        let screens: Vec<TrackId> = self
            .others_in_call(id)
            .into_iter()
            .filter_map(|other| Some(self.peer(other)?.screens()))
            .flatten()
            .collect();
        if let Some(peer) = self.peer_mut(id) {
            for track in tracks {
                peer.negotiation.add_track(track);
            }
            for track in screens {
                peer.put_first(track);
            }
        }
    }

    fn change_subscriptions(
        &mut self,
        publisher: ParticipantId,
        added: &[SubscribedTrack],
        removed: &[TrackId],
    ) {
        for track in removed {
            self.publisher_by_track.remove(track);
        }
        if added.is_empty() && removed.is_empty() {
            return;
        }
        let screens = self.peer(publisher).map_or(Vec::new(), Peer::screens);
        for other in self.others_in_call(publisher) {
            if !self.may_subscribe(other) {
                continue;
            }
            let Some(peer) = self.peer_mut(other) else {
                continue;
            };
            for track in removed {
                peer.negotiation.remove_track(*track);
                peer.wishes.remove(track);
            }
            for track in added {
                peer.negotiation.add_track(track.clone());
                if screens.contains(&track.track) {
                    peer.put_first(track.track);
                }
            }
            self.weigh(other, added.len(), removed.len());
            self.touched.insert(other);
        }
    }

    /// The others in a participant's call.
    pub(super) fn others_in_call(&self, id: ParticipantId) -> Vec<ParticipantId> {
        let call = self.peer(id).and_then(|peer| self.calls.get(&peer.call));
        call.map(|call| {
            call.members
                .iter()
                .copied()
                .filter(|member| *member != id)
                .collect()
        })
        .unwrap_or_default()
    }
}
