//! A whole client: signalling, a peer connection, and the polite side of perfect negotiation between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use webrtc::peer_connection::{
    RTCIceCandidateInit, RTCSdpType, RTCSessionDescription, RTCSignalingState,
};

use super::frames;
use super::peer::{Abilities, Peer, Video, Wish};
use super::sdp::{self, Section};
use super::server::Server;
use super::signaling::{Dialect, Sender, Signaling};
use super::watched::{Watched, patiently};

/// Who a client is.
#[derive(Clone, Debug)]
pub struct Setup {
    pub room: String,
    pub name: String,
    pub dialect: Dialect,
    /// What admits it, where the server asks for that.
    pub token: Option<String>,
    pub abilities: Abilities,
    /// Whether its session versions go down instead of up.
    pub counts_down: bool,
}

impl Setup {
    /// A member of the room `lobby` with audio and VP8 video.
    pub fn new(name: &str) -> Self {
        Self {
            room: "lobby".to_owned(),
            name: name.to_owned(),
            dialect: Dialect::V1,
            token: None,
            abilities: Abilities {
                video: vec![Video::Vp8],
                sends_audio: true,
                sends_video: true,
                spare_receivers: 0,
                channels: Vec::new(),
                passive: false,
            },
            counts_down: false,
        }
    }

    pub fn room(mut self, room: &str) -> Self {
        room.clone_into(&mut self.room);
        self
    }

    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub fn video(mut self, video: &[Video]) -> Self {
        self.abilities.video = video.to_vec();
        self
    }

    pub fn channel(mut self, label: &str) -> Self {
        self.abilities.channels.push(label.to_owned());
        self
    }

    /// Sends nothing; offers to receive that many tracks of each kind.
    pub fn viewer(mut self, spare_receivers: usize) -> Self {
        self.abilities.sends_audio = false;
        self.abilities.sends_video = false;
        self.abilities.spare_receivers = spare_receivers;
        self
    }

    /// Answers as DTLS server.
    pub fn passive(mut self) -> Self {
        self.abilities.passive = true;
        self
    }

    pub fn without_video(mut self) -> Self {
        self.abilities.sends_video = false;
        self
    }
}

/// A track that the server sends, as it describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub mid: String,
    pub track: String,
    pub participant: u64,
    pub name: String,
    pub kind: String,
    pub source: String,
    pub muted: bool,
    pub ssrc: u32,
    pub rtx: Option<u32>,
}

/// The state of the negotiation.
#[derive(Default)]
struct Negotiation {
    /// The call is on: offers of the server's are answered at once.
    in_call: bool,
    /// The other side of a one-to-one call.
    target: Option<String>,
    /// Another offer is due once the state is stable.
    again: bool,
    /// Offers and answers of the server's are left to the test.
    held: bool,
    /// The sources to name in offers, by kind.
    sources: Vec<(String, String)>,
}

/// What the server said in its last offer or answer.
#[derive(Clone, Default, Debug)]
pub struct Described {
    pub sdp: String,
    pub tracks: Vec<Value>,
    /// How many offers came from the server.
    pub offers: usize,
    /// How many answers.
    pub answers: usize,
}

impl Described {
    pub fn sections(&self) -> Vec<Section> {
        sdp::sections(&self.sdp)
    }

    /// The tracks that the server sends, each with its m-section; panics where the two disagree.
    pub fn received(&self) -> Vec<Received> {
        let sections = self.sections();
        self.tracks
            .iter()
            .filter_map(|entry| {
                let mid = entry["mid"].as_str().unwrap_or_default();
                let section = sections.iter().find(|section| section.mid == mid)?;
                section.sends().then(|| Received {
                    mid: mid.to_owned(),
                    track: entry["track"].as_str().unwrap_or_default().to_owned(),
                    participant: entry["participant"].as_u64().unwrap_or_default(),
                    name: entry["name"].as_str().unwrap_or_default().to_owned(),
                    kind: entry["kind"].as_str().unwrap_or_default().to_owned(),
                    source: entry["source"].as_str().unwrap_or_default().to_owned(),
                    muted: entry["muted"].as_bool().unwrap_or_default(),
                    ssrc: section.ssrc.unwrap_or_default(),
                    rtx: section.rtx,
                })
            })
            .collect()
    }
}

/// The client.
pub struct Client {
    pub name: String,
    /// The participant id.
    pub id: u64,
    /// The token to resume the session with.
    pub resume: String,
    pub signaling: Arc<Signaling>,
    pub peer: Arc<Peer>,
    pub described: Arc<Watched<Described>>,
    negotiator: Arc<Negotiator>,
}

/// Everything that the negotiation needs, shared with the task that runs it.
struct Negotiator {
    /// Another one after [`Client::renew_peer`].
    peer: std::sync::Mutex<Arc<Peer>>,
    described: Arc<Watched<Described>>,
    state: Mutex<Negotiation>,
    sender: std::sync::Mutex<Sender>,
    name: String,
    descriptions: AtomicU64,
    counts_down: bool,
}

impl Client {
    /// Opens a socket and takes a name; joins no call yet.
    pub async fn connect(server: &Server, setup: Setup) -> Self {
        let token = setup.token.as_ref();
        let token = token.map_or(String::new(), |token| format!("&token={token}"));
        let path = format!("/ws?room={}{token}", setup.room);
        let mut signaling = Signaling::open(server.port(), &path, setup.dialect).await;
        let feed = signaling.feed.take().expect("not taken yet");
        let hello = signaling.expect("id").await;
        let id = hello["id"].as_u64().expect("an id");
        let resume = hello["resume"].as_str().unwrap_or_default().to_owned();
        signaling.send(json!({"type": "username", "name": setup.name, "id": id, "date": 0}));
        // It settles by a word in the chat, which it may not be granted.
        if setup.dialect == Dialect::V1 && hello["grants"]["chat"] != false {
            signaling.settle().await;
        }
        let (peer, wishes) = Peer::new(&setup.abilities).await;
        let peer = Arc::new(peer);
        let described = Arc::new(Watched::<Described>::default());
        let negotiator = Arc::new(Negotiator {
            peer: std::sync::Mutex::new(peer.clone()),
            described: described.clone(),
            state: Mutex::default(),
            sender: std::sync::Mutex::new(signaling.sender()),
            name: setup.name.clone(),
            descriptions: AtomicU64::new(0),
            counts_down: setup.counts_down,
        });
        tokio::spawn(negotiator.clone().handle_messages(feed));
        tokio::spawn(negotiator.clone().handle_wishes(wishes));
        Self {
            name: setup.name,
            id,
            resume,
            signaling: Arc::new(signaling),
            peer,
            described,
            negotiator,
        }
    }

    /// Opens a socket, takes a name, joins the room's call, and waits until media can flow.
    pub async fn join(server: &Server, setup: Setup) -> Self {
        let client = Self::connect(server, setup).await;
        client.offer().await;
        client.peer.connected().await;
        client
    }

    /// Joins the room's call.
    pub async fn offer(&self) {
        let mut state = self.negotiator.state.lock().await;
        state.in_call = true;
        self.negotiator.offer(&mut state).await;
    }

    /// Joins the room's call, and says what the tracks show, by kind.
    pub async fn offer_with_sources(&self, sources: &[(&str, &str)]) {
        self.negotiator.state.lock().await.sources = sources
            .iter()
            .map(|(kind, source)| ((*kind).to_owned(), (*source).to_owned()))
            .collect();
        self.offer().await;
    }

    /// The mid of the first own m-line of a kind.
    pub async fn local_mid(&self, kind: &str) -> String {
        let description = self.peer.connection.local_description().await;
        let sections = sdp::sections(&description.expect("a description").sdp);
        let section = sections.into_iter().find(|section| section.kind == kind);
        section.expect("an m-line of that kind").mid
    }

    /// Replaces the peer connection by a fresh one, as a client does after a call has ended.
    pub async fn renew_peer(&mut self, setup: &Setup) {
        self.forget_call().await;
        self.close().await;
        let (peer, wishes) = Peer::new(&setup.abilities).await;
        self.peer = Arc::new(peer);
        *self.negotiator.peer.lock().expect("no panic") = self.peer.clone();
        self.described
            .update(|described| *described = Described::default());
        tokio::spawn(self.negotiator.clone().handle_wishes(wishes));
    }

    /// Calls one user.
    pub async fn call(&self, target: &str) {
        let mut state = self.negotiator.state.lock().await;
        state.in_call = true;
        state.target = Some(target.to_owned());
        self.negotiator.offer(&mut state).await;
    }

    /// Accepts a ringing offer.
    pub async fn accept(&self, ring: &Value) {
        let mut state = self.negotiator.state.lock().await;
        state.in_call = true;
        state.target = ring["name"].as_str().map(str::to_owned);
        self.negotiator.handle_offer(&mut state, ring).await;
    }

    /// Makes the client forget that it is in a call, as after a `hang-up`.
    pub async fn forget_call(&self) {
        let mut state = self.negotiator.state.lock().await;
        state.in_call = false;
        state.target = None;
    }

    /// Offers with an ICE restart.
    pub async fn restart_ice(&self) {
        let state = self.negotiator.state.lock().await;
        self.peer.connection.restart_ice().await.expect("a restart");
        drop(state);
        self.offer().await;
    }

    /// Ignores what the server offers or answers, and lets the test handle it.
    pub async fn hold(&self) {
        self.negotiator.state.lock().await.held = true;
    }

    /// Whether a round of offer and answer has ended since `before` and nothing is pending.
    #[track_caller]
    pub fn described_after(&self, before: &Described) -> impl Future<Output = Described> {
        let (offers, answers) = (before.offers, before.answers);
        self.described.until(
            "another offer or answer of the server's",
            move |described| {
                (described.offers > offers || described.answers > answers)
                    .then(|| described.clone())
            },
        )
    }

    /// The tracks that the server describes now.
    pub fn received(&self) -> Vec<Received> {
        self.described.read(Described::received)
    }

    /// Waits until the server describes a track of this participant and kind.
    #[track_caller]
    pub fn track_from(&self, sender: &Self, kind: &str) -> impl Future<Output = Received> {
        let participant = sender.id;
        let kind = kind.to_owned();
        self.described.until(
            format!("{kind} of {} to be described to {}", sender.name, self.name),
            move |described| {
                described
                    .received()
                    .into_iter()
                    .find(|track| track.participant == participant && track.kind == kind)
            },
        )
    }

    /// Waits until no track of this participant is described any more.
    #[track_caller]
    pub fn no_track_from(&self, participant: u64) -> impl Future<Output = ()> {
        self.described.until(
            format!("no track of {participant} to be described to {}", self.name),
            move |described| {
                described
                    .received()
                    .iter()
                    .all(|track| track.participant != participant)
                    .then_some(())
            },
        )
    }

    /// Waits until `count` packets of an SSRC have come, and gives all that have.
    #[track_caller]
    pub fn packets(&self, ssrc: u32, count: usize) -> impl Future<Output = Vec<rtc::rtp::Packet>> {
        self.peer.traffic.until(
            format!("{count} packets of SSRC {ssrc:08x} at {}", self.name),
            move |traffic| {
                let packets: Vec<_> = traffic.of(ssrc).cloned().collect();
                (packets.len() >= count).then_some(packets)
            },
        )
    }

    /// Waits until `count` further packets of an SSRC have come.
    #[track_caller]
    pub fn further_packets(
        &self,
        ssrc: u32,
        count: usize,
    ) -> impl Future<Output = Vec<rtc::rtp::Packet>> {
        let seen = self.count(ssrc);
        let packets = self.packets(ssrc, seen + count);
        async move { packets.await.split_off(seen) }
    }

    /// How many packets of an SSRC have come.
    pub fn count(&self, ssrc: u32) -> usize {
        self.peer.traffic.read(|traffic| traffic.of(ssrc).count())
    }

    /// Asserts that this client gets and understands media of `sender`, audio and video: unchanged payloads without a gap.
    #[track_caller]
    pub fn hears(&self, sender: &Self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let label = sender.label();
        let audio = self.hears_audio(sender);
        async move {
            audio.await;
            if sender.peer.video.is_some() {
                let video = self.track_from(sender, "video").await;
                let packets = self.further_packets(video.ssrc, 5).await;
                check(&packets, label, frames::parse_vp8)
                    .unwrap_or_else(|error| panic!("{caller}: video of {}: {error}", sender.name));
            }
        }
    }

    /// Only the audio of [`hears`](Self::hears).
    #[track_caller]
    pub fn hears_audio(&self, sender: &Self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let label = sender.label();
        async move {
            // The first track is what `start_media` sends on.
            let audio = self.track_from(sender, "audio").await;
            let packets = self.further_packets(audio.ssrc, 10).await;
            check(&packets, label, frames::parse_audio)
                .unwrap_or_else(|error| panic!("{caller}: audio of {}: {error}", sender.name));
        }
    }

    /// Starts audio and video, marked with [`label`](Self::label).
    pub fn start_media(&self) {
        self.peer.start_media(self.label());
    }

    /// What marks this client's media.
    pub fn label(&self) -> u8 {
        self.name.as_bytes().first().copied().unwrap_or_default()
    }

    /// Sends RTCP packets; none of them is interpreted on the way out.
    pub async fn send_rtcp(&self, packets: Vec<Box<dyn rtc::rtcp::Packet>>) {
        use webrtc::media_stream::track_local::TrackLocal;
        let track = self.peer.audio.as_ref().or(self.peer.video.as_ref());
        let track = track.expect("a track to send by");
        track.track.write_rtcp(packets).await.expect("RTCP is sent");
    }

    /// Asks for a keyframe, as a decoder that cannot go on.
    pub async fn ask_for_keyframe(&self, media_ssrc: u32) {
        use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
        let pli = PictureLossIndication {
            sender_ssrc: 1,
            media_ssrc,
        };
        self.send_rtcp(vec![Box::new(pli)]).await;
    }

    /// Replaces a broken socket by one that resumes the session.
    pub async fn resume(&mut self, server: &Server) -> Value {
        let path = format!("/ws?resume={}", self.resume);
        let mut signaling = Signaling::open(server.port(), &path, Dialect::V1).await;
        let feed = signaling.feed.take().expect("not taken yet");
        let hello = signaling.expect("id").await;
        if let Some(resume) = hello["resume"].as_str() {
            resume.clone_into(&mut self.resume);
        }
        *self.negotiator.sender.lock().expect("no panic") = signaling.sender();
        tokio::spawn(self.negotiator.clone().handle_messages(feed));
        self.signaling = Arc::new(signaling);
        hello
    }

    /// Ends the peer connection, so that the process does not keep its sockets and timers.
    pub async fn close(&self) {
        self.peer.stop_media();
        let _ = tokio::time::timeout(Duration::from_secs(2), self.peer.connection.close()).await;
    }

    /// Adds another audio track and lets `negotiationneeded` do the rest.
    pub async fn add_audio_track(&self) -> super::peer::Outgoing {
        let codec = rtc::rtp_transceiver::rtp_sender::RTCRtpCodec {
            mime_type: "audio/opus".to_owned(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
            rtcp_feedback: Vec::new(),
        };
        self.peer
            .add_track(RtpCodecKind::Audio, codec, super::peer::OPUS, 960)
            .await
    }
}

/// Checks that packets hold what `parse` understands, are marked with `label`, and that neither their sequence numbers nor
/// their indices have gaps.
pub fn check(
    packets: &[rtc::rtp::Packet],
    label: u8,
    parse: impl Fn(&[u8]) -> Option<frames::Packet>,
) -> Result<(), String> {
    let mut sorted: Vec<&rtc::rtp::Packet> = packets.iter().collect();
    let Some(first) = sorted.first().map(|packet| packet.header.sequence_number) else {
        return Err("no packets".to_owned());
    };
    // A distance above half the range is a packet from before the first: reordered.
    sorted.sort_by_key(|packet| packet.header.sequence_number.wrapping_sub(first) as i16);
    let mut before: Option<(u16, u32)> = None;
    for packet in sorted {
        let sequence = packet.header.sequence_number;
        let parsed = parse(&packet.payload).ok_or_else(|| {
            format!(
                "packet {sequence} was changed: {:02x?}",
                &packet.payload[..]
            )
        })?;
        if parsed.label != label {
            return Err(format!(
                "packet {sequence} is of {}, not {label}",
                parsed.label
            ));
        }
        if let Some((last_sequence, last_index)) = before {
            let distance = sequence.wrapping_sub(last_sequence);
            if distance != 1 || parsed.index != last_index + 1 {
                return Err(format!(
                    "after sequence number {last_sequence} with index {last_index} came {sequence} with {}",
                    parsed.index
                ));
            }
        }
        before = Some((sequence, parsed.index));
    }
    Ok(())
}

impl Negotiator {
    async fn handle_messages(self: Arc<Self>, mut feed: mpsc::UnboundedReceiver<Value>) {
        while let Some(message) = feed.recv().await {
            self.handle_message(&message).await;
        }
    }

    async fn handle_wishes(self: Arc<Self>, mut wishes: mpsc::UnboundedReceiver<Wish>) {
        while let Some(wish) = wishes.recv().await {
            match wish {
                Wish::Negotiation => {
                    let mut state = self.state.lock().await;
                    // The first offer is the test's to make.
                    let described = self.described.read(|described| !described.sdp.is_empty());
                    if state.in_call && described && self.needs_negotiation().await {
                        self.offer(&mut state).await;
                    }
                }
                Wish::Candidate(candidate) => self.trickle(candidate).await,
            }
        }
    }

    /// A description as it is sent.
    fn numbered(&self, sdp: &str) -> String {
        if !self.counts_down {
            return sdp.to_owned();
        }
        let version = u64::MAX / 2 - self.descriptions.fetch_add(1, Ordering::Relaxed);
        let line = |line: &str| match line.split(' ').collect::<Vec<_>>().as_slice() {
            [origin, session, _, rest @ ..] if origin.starts_with("o=") => {
                format!("{origin} {session} {version} {}", rest.join(" "))
            }
            _ => line.to_owned(),
        };
        sdp.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n")
    }

    fn peer(&self) -> Arc<Peer> {
        self.peer.lock().expect("no panic").clone()
    }

    fn send(&self, message: Value) {
        self.sender.lock().expect("no panic").send(message);
    }

    async fn handle_message(&self, message: &Value) {
        let mut state = self.state.lock().await;
        if state.held {
            return;
        }
        match message["type"].as_str() {
            Some("video-offer") if state.in_call => self.handle_offer(&mut state, message).await,
            Some("video-answer") => self.handle_answer(&mut state, message).await,
            Some("new-ice-candidate") => {
                if let Ok(candidate) =
                    serde_json::from_value::<RTCIceCandidateInit>(message["candidate"].clone())
                {
                    let _ = self.peer().connection.add_ice_candidate(candidate).await;
                }
            }
            _ => {}
        }
    }

    async fn trickle(&self, candidate: RTCIceCandidateInit) {
        let state = self.state.lock().await;
        if state.in_call {
            self.send(self.addressed(
                &state,
                json!({"type": "new-ice-candidate", "candidate": candidate}),
            ));
        }
    }

    fn addressed(&self, state: &Negotiation, mut message: Value) -> Value {
        message["name"] = json!(self.name);
        if let Some(target) = &state.target {
            message["target"] = json!(target);
        }
        message
    }

    /// Whether there is still something to offer: the crate's event may be older than the last description.
    async fn needs_negotiation(&self) -> bool {
        let peer = self.peer();
        let Some(local) = peer.connection.current_local_description().await else {
            return true;
        };
        let sections = sdp::sections(&local.sdp);
        for transceiver in peer.connection.get_transceivers().await {
            let mid = transceiver.mid().await.ok().flatten();
            let direction = transceiver.direction().await.map(|it| it.to_string());
            let agreed = sections
                .iter()
                .any(|it| Some(&it.mid) == mid.as_ref() && Ok(&it.direction) == direction.as_ref());
            if !agreed {
                return true;
            }
        }
        let channels = peer
            .happenings
            .read(|happenings| !happenings.channels.is_empty());
        channels && sections.iter().all(|it| it.kind != "application")
    }

    async fn signaling_state(&self) -> RTCSignalingState {
        // The crate does not tell the state; the descriptions do.
        let connection = &self.peer().connection;
        let local = connection.pending_local_description().await;
        let remote = connection.pending_remote_description().await;
        match (local, remote) {
            (Some(_), _) => RTCSignalingState::HaveLocalOffer,
            (None, Some(_)) => RTCSignalingState::HaveRemoteOffer,
            (None, None) => RTCSignalingState::Stable,
        }
    }

    async fn offer(&self, state: &mut Negotiation) {
        if self.signaling_state().await != RTCSignalingState::Stable {
            state.again = true;
            return;
        }
        let connection = &self.peer().connection;
        let offer = connection.create_offer(None).await.expect("an offer");
        connection
            .set_local_description(offer.clone())
            .await
            .expect("the offer applies");
        let mut message = json!({
            "type": "video-offer",
            "sdp": {"type": "offer", "sdp": self.numbered(&offer.sdp)},
        });
        if !state.sources.is_empty() {
            let entries = sdp::sections(&offer.sdp).into_iter().filter_map(|section| {
                let (_, source) = state
                    .sources
                    .iter()
                    .find(|(kind, _)| *kind == section.kind)?;
                Some(json!({"mid": section.mid, "source": source}))
            });
            message["tracks"] = entries.collect();
        }
        self.send(self.addressed(state, message));
    }

    async fn handle_offer(&self, state: &mut Negotiation, message: &Value) {
        let connection = &self.peer().connection;
        if self.signaling_state().await == RTCSignalingState::HaveLocalOffer {
            // Glare: this side is the polite one.
            let rollback = RTCSessionDescription::rollback(None).expect("a rollback");
            connection
                .set_local_description(rollback)
                .await
                .expect("the rollback applies");
            state.again = true;
        }
        let sdp = text_of(message);
        let offer = RTCSessionDescription::offer(sdp.clone())
            .unwrap_or_else(|error| panic!("{}: unreadable offer: {error}\n{sdp}", self.name));
        connection
            .set_remote_description(offer)
            .await
            .unwrap_or_else(|error| panic!("{}: refused the offer: {error}\n{sdp}", self.name));
        let answer = connection
            .create_answer(None)
            .await
            .unwrap_or_else(|error| panic!("{}: no answer: {error}\n{sdp}", self.name));
        connection
            .set_local_description(answer.clone())
            .await
            .unwrap_or_else(|error| {
                panic!(
                    "{}: refused its own answer: {error}\n{sdp}\n{}",
                    self.name, answer.sdp
                )
            });
        self.send(self.addressed(
            state,
            json!({
                "type": "video-answer",
                "sdp": {"type": "answer", "sdp": self.numbered(&answer.sdp)},
            }),
        ));
        self.note(message, sdp, RTCSdpType::Offer);
        self.offer_again(state).await;
    }

    async fn handle_answer(&self, state: &mut Negotiation, message: &Value) {
        if self.signaling_state().await != RTCSignalingState::HaveLocalOffer {
            return;
        }
        let sdp = text_of(message);
        let answer = RTCSessionDescription::answer(sdp.clone())
            .unwrap_or_else(|error| panic!("{}: unreadable answer: {error}\n{sdp}", self.name));
        self.peer()
            .connection
            .set_remote_description(answer)
            .await
            .unwrap_or_else(|error| panic!("{}: refused the answer: {error}\n{sdp}", self.name));
        self.note(message, sdp, RTCSdpType::Answer);
        self.offer_again(state).await;
    }

    async fn offer_again(&self, state: &mut Negotiation) {
        if std::mem::take(&mut state.again) && self.needs_negotiation().await {
            self.offer(state).await;
        }
    }

    fn note(&self, message: &Value, sdp: String, kind: RTCSdpType) {
        self.described.update(|described| {
            described.sdp = sdp;
            described.tracks = message["tracks"].as_array().cloned().unwrap_or_default();
            if kind == RTCSdpType::Offer {
                described.offers += 1;
            } else {
                described.answers += 1;
            }
        });
    }
}

/// The SDP of an offer or answer, in either of its shapes.
pub fn text_of(message: &Value) -> String {
    let sdp = &message["sdp"];
    sdp.as_str()
        .or_else(|| sdp["sdp"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// Connects several clients to the room's call, all at once.
pub async fn join_all(server: &Server, setups: Vec<Setup>) -> Vec<Client> {
    patiently(
        "all to join",
        futures_util::future::join_all(setups.into_iter().map(|setup| Client::join(server, setup))),
    )
    .await
}
