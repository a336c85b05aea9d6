//! A server and a model browser, connected by two queues that nobody empties in step: whatever both do,
//! and in whatever order it arrives, in the end they agree on every m-line.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::browser::{Browser, Flavor, Signaling};
use super::view::View;
use super::{negotiation, track};
use crate::negotiation::{Negotiation, NegotiationError, SignalingState, TrackIds};
use crate::rtp::{MediaKind, Mid};
use crate::shard::{Command, ReceiveParameters, SendParameters, TrackId};

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    // The application in the browser.
    AddTrack(MediaKind),
    AddTransceiver(MediaKind, (bool, bool)),
    RemoveTrack(usize),
    Stop(usize),
    SetDirection(usize, (bool, bool)),
    RestartIce,
    // The browser.
    FireNegotiationNeeded,
    // The room.
    Subscribe(MediaKind),
    Unsubscribe(usize),
    ServerRestartsIce,
    /// The peer is on another shard from now on.
    Moves,
    /// The publisher of a track is.
    PublisherMoves(usize),
    // The network.
    ToServer,
    ToBrowser,
    RepeatAnswer,
    /// The browser's offer arrives, but it is not answered before something else happens.
    ToServerSlowly,
}

fn kind() -> impl Strategy<Value = MediaKind> {
    prop_oneof![Just(MediaKind::Audio), Just(MediaKind::Video)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => kind().prop_map(Step::AddTrack),
        2 => (kind(), any::<(bool, bool)>()).prop_map(|(k, d)| Step::AddTransceiver(k, d)),
        3 => any::<usize>().prop_map(Step::RemoveTrack),
        1 => any::<usize>().prop_map(Step::Stop),
        2 => (any::<usize>(), any::<(bool, bool)>()).prop_map(|(i, d)| Step::SetDirection(i, d)),
        1 => Just(Step::RestartIce),
        6 => Just(Step::FireNegotiationNeeded),
        6 => kind().prop_map(Step::Subscribe),
        5 => any::<usize>().prop_map(Step::Unsubscribe),
        1 => Just(Step::ServerRestartsIce),
        1 => Just(Step::Moves),
        1 => any::<usize>().prop_map(Step::PublisherMoves),
        10 => Just(Step::ToServer),
        10 => Just(Step::ToBrowser),
        2 => Just(Step::RepeatAnswer),
        2 => Just(Step::ToServerSlowly),
    ]
}

#[derive(Clone, Debug)]
enum Message {
    Offer(String),
    Answer(String),
}

struct World {
    server: Negotiation,
    browser: Browser,
    ids: TrackIds,
    to_server: VecDeque<Message>,
    to_browser: VecDeque<Message>,
    /// The browser's answers that arrived, to come again.
    answers: Vec<String>,
    wanted: BTreeMap<TrackId, MediaKind>,
    /// The shards of the publishers that moved.
    homes: BTreeMap<TrackId, usize>,
    next_track: u64,
    receivers: BTreeMap<Mid, ReceiveParameters>,
    senders: BTreeMap<Mid, SendParameters>,
    /// The most m-lines that what happened can explain.
    lines_allowed: usize,
    peak_wanted: BTreeMap<MediaKind, usize>,
}

impl World {
    fn new(flavor: Flavor) -> Self {
        Self {
            server: negotiation(),
            browser: Browser::new(flavor),
            ids: TrackIds::default(),
            to_server: VecDeque::new(),
            to_browser: VecDeque::new(),
            answers: Vec::new(),
            wanted: BTreeMap::new(),
            homes: BTreeMap::new(),
            next_track: 1_000_000,
            receivers: BTreeMap::new(),
            senders: BTreeMap::new(),
            lines_allowed: 0,
            peak_wanted: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::AddTrack(kind) => {
                self.browser.add_track(kind);
                self.lines_allowed += 1;
            }
            Step::AddTransceiver(kind, direction) => {
                self.browser.add_transceiver(kind, direction);
                self.lines_allowed += 1;
            }
            Step::RemoveTrack(choice) => self.browser.remove_track(choice),
            Step::Stop(choice) => {
                self.browser.stop(choice);
                // What it received moves, perhaps before the m-line can be recycled.
                self.lines_allowed += 1;
            }
            Step::SetDirection(choice, direction) => {
                self.browser.set_direction(choice, direction);
                self.lines_allowed += 1;
            }
            Step::RestartIce => self.browser.restart_ice(),
            Step::FireNegotiationNeeded => {
                self.fire_negotiation_needed();
            }
            Step::Subscribe(kind) => {
                self.next_track += 1;
                self.server.add_track(track(self.next_track, kind));
                self.wanted.insert(TrackId(self.next_track), kind);
                let count = self.wanted.values().filter(|k| **k == kind).count();
                let peak = self.peak_wanted.entry(kind).or_default();
                *peak = count.max(*peak);
                self.server_offers();
            }
            Step::Unsubscribe(choice) => {
                let choice = choice % self.wanted.len().max(1);
                if let Some(&track) = self.wanted.keys().nth(choice) {
                    self.wanted.remove(&track);
                    self.server.remove_track(track);
                    self.server_offers();
                }
            }
            Step::ServerRestartsIce => {
                self.server.restart_ice();
                self.server_offers();
            }
            Step::Moves => {
                let receivers = std::mem::take(&mut self.receivers);
                let senders = std::mem::take(&mut self.senders);
                self.server.begin_anew('B');
                self.apply_commands();
                assert_eq!((&self.receivers, &self.senders), (&receivers, &senders));
            }
            Step::PublisherMoves(choice) => {
                let choice = choice % self.wanted.len().max(1);
                if let Some(&track) = self.wanted.keys().nth(choice) {
                    let home = self.homes.entry(track).or_default();
                    *home += 1;
                    self.server.set_home(&[track], *home);
                }
            }
            Step::ToServer => {
                self.answer_slow_offer();
                if let Some(message) = self.to_server.pop_front() {
                    self.deliver_to_server(&message);
                    self.answer_slow_offer();
                }
            }
            Step::ToServerSlowly => {
                self.answer_slow_offer();
                if let Some(message) = self.to_server.pop_front() {
                    self.deliver_to_server(&message);
                }
            }
            Step::ToBrowser => {
                if let Some(message) = self.to_browser.pop_front() {
                    self.deliver_to_browser(&message);
                }
            }
            Step::RepeatAnswer => {
                if let Some(answer) = self.answers.last() {
                    let before = self.server.signaling_state();
                    let result = self.server.handle_answer(answer, &[], &mut self.ids);
                    assert_eq!(result, Err(NegotiationError::UnexpectedAnswer));
                    assert_eq!(self.server.signaling_state(), before);
                }
            }
        }
        self.apply_commands();
    }

    fn fire_negotiation_needed(&mut self) -> bool {
        let fires = self.browser.signaling == Signaling::Stable && self.browser.needs_negotiation();
        if fires {
            let offer = self.browser.offer();
            self.to_server.push_back(Message::Offer(offer));
        }
        fires
    }

    fn deliver_to_server(&mut self, message: &Message) {
        match message {
            Message::Offer(sdp) => match self.server.handle_offer(sdp, &[], &mut self.ids) {
                Ok(()) | Err(NegotiationError::Glare) => {}
                Err(error) => panic!("{error}\n{sdp}"),
            },
            Message::Answer(sdp) => {
                match self.server.handle_answer(sdp, &[], &mut self.ids) {
                    Ok(()) | Err(NegotiationError::UnexpectedAnswer) => {}
                    Err(error) => panic!("{error}\n{sdp}"),
                }
                self.answers.push(sdp.clone());
                self.server_offers();
            }
        }
    }

    fn answer_slow_offer(&mut self) {
        if self.server.signaling_state() == SignalingState::HaveRemoteOffer {
            let answer = self.server.create_answer().unwrap();
            self.to_browser.push_back(Message::Answer(answer.sdp));
            self.server_offers();
        }
    }

    fn server_offers(&mut self) {
        if let Some(offer) = self.server.create_offer() {
            assert_eq!(self.server.outstanding_offer(), Some(&offer));
            self.to_browser.push_back(Message::Offer(offer.sdp));
        }
    }

    fn deliver_to_browser(&mut self, message: &Message) {
        match message {
            Message::Offer(sdp) => {
                let answer = self.browser.answer(sdp);
                self.to_server.push_back(Message::Answer(answer));
            }
            Message::Answer(sdp) => self.browser.accept(sdp),
        }
    }

    fn apply_commands(&mut self) {
        self.take_commands();
        for sender in self.senders.values() {
            let home = self.homes.get(&sender.track).copied();
            assert_eq!(sender.home, home.unwrap_or_default());
        }
    }

    fn take_commands(&mut self) {
        while let Some(command) = self.server.poll_command() {
            match command {
                Command::SetReceiver {
                    mid, parameters, ..
                } => match parameters {
                    Some(parameters) => drop(self.receivers.insert(mid, parameters)),
                    None => assert!(self.receivers.remove(&mid).is_some()),
                },
                Command::SetSender {
                    mid, parameters, ..
                } => match parameters {
                    Some(parameters) => drop(self.senders.insert(mid, parameters)),
                    None => assert!(self.senders.remove(&mid).is_some()),
                },
                Command::SetTransport { .. } | Command::SetExtensions { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Lets everything arrive.
    fn settle(&mut self) {
        for _ in 0..500 {
            self.answer_slow_offer();
            self.server_offers();
            if let Some(message) = self.to_server.pop_front() {
                self.deliver_to_server(&message);
            } else if let Some(message) = self.to_browser.pop_front() {
                self.deliver_to_browser(&message);
            } else if !self.fire_negotiation_needed() {
                self.apply_commands();
                return;
            }
        }
        panic!("they never come to rest: {:#?}", self.browser);
    }

    fn check(&self) {
        assert_eq!(self.server.signaling_state(), SignalingState::Stable);
        assert_eq!(self.browser.signaling, Signaling::Stable);
        self.check_lines();
        // Each wanted track is on exactly one m-line, and the browser knows it by its name.
        let mut sent = BTreeMap::new();
        for (mid, track) in self.server.subscribed() {
            assert!(sent.insert(track, mid).is_none(), "{track} is sent twice");
        }
        let wanted: BTreeSet<_> = self.wanted.keys().copied().collect();
        assert_eq!(sent.keys().copied().collect::<BTreeSet<_>>(), wanted);
        let receiving: BTreeMap<String, String> = self
            .browser
            .transceivers
            .iter()
            .filter_map(|t| Some((t.mid.clone()?, t.receives.clone()?)))
            .collect();
        let expected = sent
            .iter()
            .map(|(t, mid)| (mid.to_string(), format!("9 {t}")));
        assert_eq!(receiving, expected.collect());
        // What the browser sends is published, and nothing else.
        let sending = self
            .browser
            .transceivers
            .iter()
            .filter(|t| t.current.is_some_and(|(send, _)| send));
        let sending: BTreeSet<_> = sending.filter_map(|t| t.mid.clone()).collect();
        let published: BTreeSet<_> = self
            .server
            .tracks()
            .iter()
            .map(|t| t.mid.to_string())
            .collect();
        assert_eq!(published, sending);
        // The core was told just that.
        for track in self.server.tracks() {
            assert_eq!(self.receivers[&track.mid].track, track.track);
        }
        assert_eq!(self.receivers.len(), published.len());
        let told = self.senders.values().map(|s| (s.track, s.mid));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), sent);
        let peak: usize = self.peak_wanted.values().sum();
        let lines = self.browser.local.lines.len();
        assert!(lines <= self.lines_allowed + peak, "{lines} m-lines");
    }

    /// Both descriptions say the same about each m-line.
    fn check_lines(&self) {
        let (local, remote) = (&self.browser.local.lines, &self.browser.remote.lines);
        assert_eq!(local.len(), remote.len());
        for (theirs, ours) in local.iter().zip(remote) {
            if theirs.port == 0 || ours.port == 0 {
                continue;
            }
            assert_eq!(theirs.mid, ours.mid);
            let mid: Mid = ours.mid.as_ref().unwrap().parse().unwrap();
            let receiver = self.receivers.get(&mid).map(|r| &r.codecs);
            let sender = self.senders.get(&mid).map(|s| &s.codecs);
            for codecs in [receiver, sender].into_iter().flatten() {
                for codec in codecs {
                    let number = codec.payload_type;
                    let has = |line: &View| line.codecs.iter().any(|c| c.0 == number);
                    assert!(has(theirs) && has(ours), "payload type {number}");
                }
            }
            assert_eq!(receiver.is_some(), theirs.send && ours.receive, "{mid}");
            assert_eq!(sender.is_some(), theirs.receive && ours.send, "{mid}");
        }
    }
}

fn run(flavor: Flavor, steps: &[Step]) {
    let mut world = World::new(flavor);
    for step in steps {
        world.step(*step);
    }
    world.settle();
    world.check();
}

proptest! {
    // PROPTEST_CASES scales it.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 4,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn chromium_and_the_server_agree(steps in prop::collection::vec(step(), 0..80)) {
        run(Flavor::Chromium, &steps);
    }

    #[test]
    fn firefox_and_the_server_agree(steps in prop::collection::vec(step(), 0..80)) {
        run(Flavor::Firefox, &steps);
    }

    /// Others come and go for an hour: the description grows with the most that were there at once.
    #[test]
    fn joining_and_leaving_does_not_grow_the_description(
        steps in prop::collection::vec((any::<bool>(), kind(), any::<usize>()), 0..60),
        eager in any::<bool>(),
    ) {
        let mut world = World::new(Flavor::Chromium);
        world.step(Step::AddTrack(MediaKind::Audio));
        world.step(Step::AddTrack(MediaKind::Video));
        world.settle();
        let published = world.server.tracks().to_vec();
        for (join, kind, choice) in steps {
            world.step(if join && world.wanted.len() < 6 {
                Step::Subscribe(kind)
            } else {
                Step::Unsubscribe(choice)
            });
            if eager {
                world.settle();
            } else if choice % 3 == 0 {
                world.step(Step::ToBrowser);
                world.step(Step::ToServer);
            }
        }
        world.settle();
        world.check();
        prop_assert_eq!(world.server.tracks(), published, "what it sends goes on");
        let peak: usize = [MediaKind::Audio, MediaKind::Video]
            .map(|kind| world.peak_wanted.get(&kind).copied().unwrap_or_default().max(1))
            .iter()
            .sum();
        prop_assert!(world.browser.local.lines.len() <= peak);
    }
}

#[test]
fn an_answer_that_comes_again_is_stale() {
    let mut world = World::new(Flavor::Chromium);
    world.step(Step::AddTrack(MediaKind::Audio));
    world.settle();
    world.step(Step::Subscribe(MediaKind::Video));
    world.settle();
    let answer = world.answers.last().unwrap().clone();
    let again = world.server.handle_answer(&answer, &[], &mut world.ids);
    assert_eq!(again, Err(NegotiationError::UnexpectedAnswer));
    // Even while another offer waits that it would fit.
    world.step(Step::ServerRestartsIce);
    assert_eq!(
        world.server.signaling_state(),
        SignalingState::HaveLocalOffer
    );
    let again = world.server.handle_answer(&answer, &[], &mut world.ids);
    assert_eq!(again, Err(NegotiationError::UnexpectedAnswer));
    world.settle();
    world.check();
}
