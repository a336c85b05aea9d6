//! A peer connection of the `webrtc` crate, with an audio and a video track whose RTP packets the test writes itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Bytes, BytesMut};
use rtc::interceptor::Slot;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_nack, configure_rtcp_reports, configure_simulcast_extension_headers, configure_twcc,
};
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
    RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCConfigurationBuilder, RTCIceCandidateInit, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState, Registry, SettingEngineBuilder,
};

use super::frames;
use super::watched::Watched;
use super::wire::{Tap, Traffic};

/// Payload type of Opus in this client's offers.
pub const OPUS: u8 = 111;
/// Payload type of DTMF (RFC 4733) at 48 kHz.
pub const TELEPHONE_EVENT: u8 = 110;
const VP8: u8 = 96;
const VP9: u8 = 98;

/// The extension that carries the audio level (RFC 6464).
pub const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// A video codec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Video {
    Vp8,
    Vp9,
}

impl Video {
    fn payload_type(self) -> u8 {
        match self {
            Self::Vp8 => VP8,
            Self::Vp9 => VP9,
        }
    }

    fn codec(self) -> RTCRtpCodec {
        let (mime_type, fmtp) = match self {
            Self::Vp8 => ("video/VP8", ""),
            Self::Vp9 => ("video/VP9", "profile-id=0"),
        };
        let feedback = |typ: &str, parameter: &str| RTCPFeedback {
            typ: typ.to_owned(),
            parameter: parameter.to_owned(),
        };
        RTCRtpCodec {
            mime_type: mime_type.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: fmtp.to_owned(),
            rtcp_feedback: vec![
                feedback("ccm", "fir"),
                feedback("nack", ""),
                feedback("nack", "pli"),
            ],
        }
    }
}

/// What a peer can do.
#[derive(Clone, Debug)]
pub struct Abilities {
    /// Video codecs it offers, the first being what it sends.
    pub video: Vec<Video>,
    /// Whether it has an audio track.
    pub sends_audio: bool,
    /// Whether it has a video track.
    pub sends_video: bool,
    /// How many of each kind it offers `recvonly`.
    pub spare_receivers: usize,
    /// Labels of data channels it opens at once.
    pub channels: Vec<String>,
    /// Whether it answers `a=setup:passive`, as this crate does by itself where the other side is ICE-lite. It says so in
    /// renewed answers too, where the roles cannot change any more (RFC 8842 section 5.3); so that is for one-time answers.
    pub passive: bool,
}

/// What the peer connection wants of its client.
#[derive(Debug)]
pub enum Wish {
    Negotiation,
    Candidate(RTCIceCandidateInit),
}

/// A track that `ontrack` gave.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The first word of its msid.
    pub stream: String,
    /// The second.
    pub track: String,
    pub kind: RtpCodecKind,
    /// What it brought, retransmissions put in their place.
    pub packets: Vec<rtc::rtp::Packet>,
}

/// A data channel and what came on it.
#[derive(Clone)]
pub struct Channel {
    pub label: String,
    pub protocol: String,
    pub ordered: bool,
    pub open: bool,
    pub closed: bool,
    /// Text or binary, and the content.
    pub messages: Vec<(bool, Bytes)>,
    pub channel: Arc<dyn DataChannel>,
}

/// What happened to a peer.
#[derive(Default)]
pub struct Happenings {
    pub remotes: Vec<Remote>,
    pub channels: Vec<Channel>,
    pub connected: bool,
    /// All connection states it went through.
    pub states: Vec<RTCPeerConnectionState>,
}

/// One peer connection.
pub struct Peer {
    pub connection: Arc<dyn PeerConnection>,
    pub traffic: Arc<Watched<Traffic>>,
    pub happenings: Arc<Watched<Happenings>>,
    pub audio: Option<Outgoing>,
    pub video: Option<Outgoing>,
    codecs: [Vec<RTCRtpCodecParameters>; 2],
    pumps: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Peer {
    /// A peer that has not negotiated yet; its wishes come on the channel.
    pub async fn new(abilities: &Abilities) -> (Self, mpsc::UnboundedReceiver<Wish>) {
        let traffic = Arc::new(Watched::<Traffic>::default());
        let happenings = Arc::new(Watched::<Happenings>::default());
        let (wishes, wish) = mpsc::unbounded_channel();
        let codecs = codecs(abilities);
        let (engine, registry) = engine(&codecs, traffic.clone());
        let role = if abilities.passive {
            RTCDtlsRole::Auto
        } else {
            RTCDtlsRole::Client
        };
        let settings = SettingEngineBuilder::new().with_answering_dtls_role(role);
        let connection = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::default().build())
            .with_setting_engine(settings.build())
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Handler {
                wishes,
                happenings: happenings.clone(),
            }))
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .build()
            .await
            .expect("a peer connection");
        let connection: Arc<dyn PeerConnection> = Arc::new(connection);
        let mut peer = Self {
            connection,
            traffic,
            happenings,
            audio: None,
            video: None,
            codecs,
            pumps: std::sync::Mutex::default(),
        };
        if abilities.sends_audio {
            let codec = opus();
            peer.audio = Some(peer.add_track(RtpCodecKind::Audio, codec, OPUS, 960).await);
        }
        if abilities.sends_video {
            let first = *abilities.video.first().expect("a video codec");
            let payload_type = first.payload_type();
            let codec = first.codec();
            peer.video = Some(
                peer.add_track(RtpCodecKind::Video, codec, payload_type, 3_000)
                    .await,
            );
        }
        for _ in 0..abilities.spare_receivers {
            for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
                peer.add_receiver(kind).await;
            }
        }
        for label in &abilities.channels {
            peer.open_channel(label, None).await;
        }
        (peer, wish)
    }

    /// Adds a `sendrecv` transceiver with a new track.
    pub async fn add_track(
        &self,
        kind: RtpCodecKind,
        codec: RTCRtpCodec,
        payload_type: u8,
        step: u32,
    ) -> Outgoing {
        let ssrc = fresh();
        let rtx = fresh();
        let track = MediaStreamTrack::new(
            format!("stream-{ssrc:08x}"),
            format!("track-{ssrc:08x}"),
            format!("{kind:?}"),
            kind,
            vec![RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters {
                    ssrc: Some(ssrc),
                    rtx: (kind == RtpCodecKind::Video).then_some(
                        rtc::rtp_transceiver::rtp_sender::RTCRtpRtxParameters { ssrc: rtx },
                    ),
                    ..Default::default()
                },
                codec,
                ..Default::default()
            }],
        );
        let track = self.attach(track).await;
        Outgoing::new(track, ssrc, payload_type, step)
    }

    async fn attach(&self, track: MediaStreamTrack) -> Arc<TrackLocalStaticRTP> {
        let video = track.kind() == RtpCodecKind::Video;
        let track = Arc::new(TrackLocalStaticRTP::new(track));
        let transceiver = self
            .connection
            .add_transceiver_from_track(
                track.clone(),
                Some(RTCRtpTransceiverInit {
                    direction: RTCRtpTransceiverDirection::Sendrecv,
                    ..Default::default()
                }),
            )
            .await
            .expect("a transceiver");
        // Otherwise it would offer the track's own codec only.
        transceiver
            .set_codec_preferences(self.codecs[usize::from(video)].clone())
            .await
            .expect("known codecs");
        track
    }

    /// Adds a `sendrecv` video transceiver that sends two layers, told apart by their rids; gives one track for each rid.
    pub async fn add_simulcast(&self, rids: [&str; 2]) -> [Outgoing; 2] {
        let codec = Video::Vp8.codec();
        let ssrcs = [fresh(), fresh()];
        let encodings = rids
            .iter()
            .zip(ssrcs)
            .map(|(rid, ssrc)| RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters {
                    rid: (*rid).to_owned(),
                    ssrc: Some(ssrc),
                    ..Default::default()
                },
                codec: codec.clone(),
                ..Default::default()
            });
        let track = MediaStreamTrack::new(
            format!("stream-{:08x}", ssrcs[0]),
            format!("track-{:08x}", ssrcs[0]),
            "Video".to_owned(),
            RtpCodecKind::Video,
            encodings.collect(),
        );
        let track = self.attach(track).await;
        ssrcs.map(|ssrc| Outgoing::new(track.clone(), ssrc, Video::Vp8.payload_type(), 3_000))
    }

    /// Adds a `recvonly` transceiver.
    pub async fn add_receiver(&self, kind: RtpCodecKind) {
        self.connection
            .add_transceiver_from_kind(
                kind,
                Some(RTCRtpTransceiverInit {
                    direction: RTCRtpTransceiverDirection::Recvonly,
                    ..Default::default()
                }),
            )
            .await
            .expect("a transceiver");
    }

    /// Opens a data channel.
    pub async fn open_channel(
        &self,
        label: &str,
        init: Option<RTCDataChannelInit>,
    ) -> Arc<dyn DataChannel> {
        let channel = self
            .connection
            .create_data_channel(label, init)
            .await
            .expect("a data channel");
        listen(channel.clone(), self.happenings.clone()).await;
        channel
    }

    /// Waits until ICE and DTLS are through.
    #[track_caller]
    pub fn connected(&self) -> impl Future<Output = ()> {
        self.happenings.until("the connection", |happenings| {
            happenings.connected.then_some(())
        })
    }

    /// Starts to send audio every 20 ms and video every 33 ms, a keyframe first and whenever one is asked for, each packet
    /// as [`frames`] makes it.
    pub fn start_media(&self, label: u8) {
        self.start_audio(label);
        self.start_video(label);
    }

    /// Only the audio of [`start_media`](Self::start_media).
    pub fn start_audio(&self, label: u8) {
        let Some(audio) = self.audio.clone() else {
            return;
        };
        self.keep(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
            loop {
                ticks.tick().await;
                audio.write(|index| frames::audio(label, index)).await;
            }
        }));
    }

    /// Only the video of [`start_media`](Self::start_media), in VP8.
    pub fn start_video(&self, label: u8) {
        self.start_video_as(move |index, key| frames::vp8(label, index, key));
    }

    /// Video with payloads of the caller's: given a packet's index and whether it shall be a keyframe.
    pub fn start_video_as(&self, payload: impl Fn(u32, bool) -> Bytes + Send + Sync + 'static) {
        let Some(video) = self.video.clone() else {
            return;
        };
        let traffic = self.traffic.clone();
        self.keep(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(std::time::Duration::from_millis(33));
            let mut answered = 0;
            let mut first = true;
            loop {
                ticks.tick().await;
                let asked = keyframe_requests(&traffic, video.ssrc);
                let key = first || asked > answered;
                answered = asked;
                first = false;
                video.write(|index| payload(index, key)).await;
            }
        }));
    }

    fn keep(&self, pump: JoinHandle<()>) {
        self.pumps
            .lock()
            .expect("no panic while it is locked")
            .push(pump);
    }

    /// Stops sending media.
    pub fn stop_media(&self) {
        let mut pumps = self.pumps.lock().expect("no panic while it is locked");
        for pump in pumps.drain(..) {
            pump.abort();
        }
    }

    /// How often the video track was asked for a keyframe.
    pub fn keyframe_requests(&self) -> usize {
        self.video
            .as_ref()
            .map_or(0, |video| self.keyframe_requests_for(video.ssrc))
    }

    /// How often one SSRC was asked for a keyframe.
    pub fn keyframe_requests_for(&self, ssrc: u32) -> usize {
        keyframe_requests(&self.traffic, ssrc)
    }

    /// The channel that came from the server for one sender, once it is open.
    #[track_caller]
    pub fn channel_from(&self, label: &str, protocol: &str) -> impl Future<Output = Channel> {
        let label = label.to_owned();
        let protocol = protocol.to_owned();
        self.happenings.until(
            format!("a data channel {label:?} with protocol {protocol:?}"),
            move |happenings| {
                happenings
                    .channels
                    .iter()
                    .find(|channel| {
                        channel.open && channel.label == label && channel.protocol == protocol
                    })
                    .cloned()
            },
        )
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop_media();
    }
}

fn keyframe_requests(traffic: &Watched<Traffic>, ssrc: u32) -> usize {
    traffic.read(|traffic| {
        let plis = traffic
            .rtcp::<PictureLossIndication>()
            .filter(|(_, pli)| pli.media_ssrc == ssrc)
            .count();
        let firs = traffic
            .rtcp::<FullIntraRequest>()
            .filter(|(_, fir)| fir.fir.iter().any(|entry| entry.ssrc == ssrc))
            .count();
        plis + firs
    })
}

/// A track that the test sends, and the numbers of its next packet.
#[derive(Clone)]
pub struct Outgoing {
    pub track: Arc<TrackLocalStaticRTP>,
    pub ssrc: u32,
    pub payload_type: u8,
    step: u32,
    sequence: Arc<AtomicU32>,
    timestamp: Arc<AtomicU32>,
    index: Arc<AtomicU32>,
}

impl Outgoing {
    fn new(track: Arc<TrackLocalStaticRTP>, ssrc: u32, payload_type: u8, step: u32) -> Self {
        Self {
            track,
            ssrc,
            payload_type,
            step,
            sequence: Arc::new(AtomicU32::new(fresh() & 0x7fff)),
            timestamp: Arc::new(AtomicU32::new(fresh())),
            index: Arc::new(AtomicU32::new(0)),
        }
    }

    /// Sends the next packet with header extensions.
    pub async fn write_with(&self, extensions: &[(u8, &str)], payload: impl FnOnce(u32) -> Bytes) {
        let index = self.index.fetch_add(1, Ordering::Relaxed);
        let mut packet = self.next();
        packet.payload = payload(index);
        for (id, value) in extensions {
            packet
                .header
                .set_extension(*id, Bytes::copy_from_slice(value.as_bytes()))
                .expect("an extension fits");
        }
        let _ = self.track.write_rtp(packet).await;
    }

    /// Sends the next packet, a frame of its own; gives its index and sequence number.
    pub async fn write(&self, payload: impl FnOnce(u32) -> Bytes) -> (u32, u16) {
        let index = self.index.fetch_add(1, Ordering::Relaxed);
        let mut packet = self.next();
        packet.payload = payload(index);
        let sequence = packet.header.sequence_number;
        // Before the negotiation is through there is nowhere to send it.
        let _ = self.track.write_rtp(packet).await;
        (index, sequence)
    }

    /// An empty packet with the next sequence number and timestamp.
    pub fn next(&self) -> rtc::rtp::Packet {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) as u16;
        let timestamp = self.timestamp.fetch_add(self.step, Ordering::Relaxed);
        rtc::rtp::Packet {
            header: rtc::rtp::Header {
                version: 2,
                marker: true,
                payload_type: self.payload_type,
                sequence_number: sequence,
                timestamp,
                ssrc: self.ssrc,
                ..Default::default()
            },
            payload: Bytes::new(),
        }
    }
}

struct Handler {
    wishes: mpsc::UnboundedSender<Wish>,
    happenings: Arc<Watched<Happenings>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_negotiation_needed(&self) {
        let _ = self.wishes.send(Wish::Negotiation);
    }

    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(candidate) = event.candidate.to_json() {
            let _ = self.wishes.send(Wish::Candidate(candidate));
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.happenings.update(|happenings| {
            happenings.connected = state == RTCPeerConnectionState::Connected;
            happenings.states.push(state);
        });
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        listen(channel, self.happenings.clone()).await;
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let happenings = self.happenings.clone();
        let remote = Remote {
            stream: track.stream_id().await,
            track: track.track_id().await,
            kind: track.kind().await,
            packets: Vec::new(),
        };
        let position = happenings.update(|happenings| {
            happenings.remotes.push(remote);
            happenings.remotes.len() - 1
        });
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    happenings
                        .update(|happenings| happenings.remotes[position].packets.push(packet));
                }
            }
        });
    }
}

/// Notes what comes on a data channel.
async fn listen(channel: Arc<dyn DataChannel>, happenings: Arc<Watched<Happenings>>) {
    let entry = Channel {
        label: channel.label().await.unwrap_or_default(),
        protocol: channel.protocol().await.unwrap_or_default(),
        ordered: channel.ordered().await.unwrap_or_default(),
        open: false,
        closed: false,
        messages: Vec::new(),
        channel: channel.clone(),
    };
    let position = happenings.update(|happenings| {
        happenings.channels.push(entry);
        happenings.channels.len() - 1
    });
    tokio::spawn(async move {
        while let Some(event) = channel.poll().await {
            happenings.update(|happenings| {
                let entry = &mut happenings.channels[position];
                match event {
                    DataChannelEvent::OnOpen => entry.open = true,
                    DataChannelEvent::OnClose => entry.closed = true,
                    DataChannelEvent::OnMessage(message) => {
                        entry.open = true;
                        entry
                            .messages
                            .push((message.is_string, BytesMut::freeze(message.data)));
                    }
                    _ => {}
                }
            });
        }
    });
}

fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "audio/opus".to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

/// Codecs of audio and of video.
fn codecs(abilities: &Abilities) -> [Vec<RTCRtpCodecParameters>; 2] {
    let parameters = |rtp_codec: RTCRtpCodec, payload_type: u8| RTCRtpCodecParameters {
        rtp_codec,
        payload_type,
    };
    let telephone_event = RTCRtpCodec {
        mime_type: "audio/telephone-event".to_owned(),
        clock_rate: 48_000,
        ..Default::default()
    };
    let audio = vec![
        parameters(opus(), OPUS),
        parameters(telephone_event, TELEPHONE_EVENT),
    ];
    let video = abilities.video.iter().flat_map(|video| {
        let payload_type = video.payload_type();
        let rtx = RTCRtpCodec {
            mime_type: "video/rtx".to_owned(),
            clock_rate: 90_000,
            sdp_fmtp_line: format!("apt={payload_type}"),
            ..Default::default()
        };
        [
            parameters(video.codec(), payload_type),
            parameters(rtx, payload_type + 1),
        ]
    });
    [audio, video.collect()]
}

fn engine(
    codecs: &[Vec<RTCRtpCodecParameters>; 2],
    traffic: Arc<Watched<Traffic>>,
) -> (MediaEngine, Registry) {
    let mut engine = MediaEngine::default();
    for (codecs, kind) in codecs
        .iter()
        .zip([RtpCodecKind::Audio, RtpCodecKind::Video])
    {
        for codec in codecs {
            engine
                .register_codec(codec.clone(), kind)
                .expect("a codec registers");
        }
    }
    let uri = AUDIO_LEVEL_URI.to_owned();
    engine
        .register_header_extension(
            RTCRtpHeaderExtensionCapability { uri },
            RtpCodecKind::Audio,
            None,
        )
        .expect("an extension registers");
    configure_simulcast_extension_headers(&mut engine).expect("extensions register");
    let registry = configure_nack(Registry::new(), &mut engine);
    let registry = configure_rtcp_reports(registry);
    let registry = configure_twcc(registry, &mut engine).expect("extensions register");
    // Nearest to the network.
    let registry = registry.with(Slot::from(1), Tap::new(traffic));
    (engine, registry)
}

fn fresh() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    (std::hash::RandomState::new().build_hasher().finish() as u32).max(1)
}
