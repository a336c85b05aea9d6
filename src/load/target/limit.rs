//! The bare forwarder of [`crate::load::limit`] as a target: the same load, no server.
//!
//! Opened by the driver for `--limit`. There is no signalling: every client registers its UDP port with the
//! forwarder, and both know the keys; who sends which stream follows from the plan. Nothing is asked for
//! again and no keyframe is asked for, since nobody would answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Running, Target, TargetError};
use crate::load::LoadConfig;
use crate::load::limit::{Registration, Side, fixed_keys};
use crate::load::media::{MediaSetup, ReceiverSetup, SenderSetup, SourcePlan, StreamSetup};
use crate::load::peer::{Publishes, Seat};
use crate::load::plan::{ClientPlan, VideoPlan};
use crate::rtp::{Extension, ExtensionMap, Mid};

/// Until a registration is repeated, and how often it is.
const REGISTER_INTERVAL: Duration = Duration::from_millis(200);
const REGISTER_TRIES: usize = 50;
/// How long the forwarder's process may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// As browsers number them, so that packets have the headers that a server gets.
const EXTENSIONS: [(u8, Extension); 4] = [
    (1, Extension::AudioLevel),
    (2, Extension::AbsSendTime),
    (3, Extension::TransportCc),
    (4, Extension::Mid),
];
/// SSRCs of one client: audio and video, and those of their retransmissions.
const STREAMS: u32 = 4;
const FIRST_SSRC: u32 = 0x2000_0000;
const OPUS: u8 = 111;
const VP8: u8 = 96;

/// A bare forwarder.
pub(super) struct Limit {
    address: SocketAddr,
    process: Option<u32>,
    child: Mutex<Option<Child>>,
    /// Tells this run's endpoints from those of others.
    run: u64,
    rooms: usize,
    publishers: usize,
    audio: bool,
    video: Option<VideoPlan>,
}

impl Limit {
    /// Takes the forwarder of `--url`, or starts one on loopback.
    pub(super) async fn open(config: &LoadConfig) -> Result<Self, TargetError> {
        let (address, process, child) = match &config.url {
            Some(url) => (address_of(url)?, config.pid, None),
            None => {
                let (child, address) = start().await?;
                (address, child.id(), Some(child))
            }
        };
        Ok(Self {
            address,
            process,
            child: Mutex::new(child),
            run: rand::random(),
            rooms: config.rooms,
            publishers: config.publishers,
            audio: config.audio,
            video: config.video_bitrate.map(|bitrate| VideoPlan {
                bitrate,
                simulcast: config.simulcast,
            }),
        })
    }

    async fn stay(&self, seat: &mut Seat) -> Result<(), TargetError> {
        let io = |error: std::io::Error| TargetError::Connect(error.to_string());
        let any: IpAddr = match self.address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await.map_err(io)?;
        socket.connect(self.address).await.map_err(io)?;
        let local = socket.local_addr().map_err(io)?.ip();
        let plan = seat.plan().clone();
        let peer = seat
            .open_peer(local, Publishes::default())
            .map_err(|error| TargetError::Connect(error.to_string()))?;
        let registration = Registration {
            run: self.run,
            endpoint: plan.index as u32,
            room: plan.room as u32,
            port: peer.address().port(),
            receives: plan.receives,
        };
        self.register(&socket, registration).await?;
        let srtp = fixed_keys(registration.endpoint, Side::Endpoint)
            .map_err(|error| TargetError::Connect(format!("no keys: {error}")))?;
        peer.connect_without_handshake(self.address, srtp, self.media(&plan));
        seat.joined();
        seat.leaving().await;
        Ok(())
    }

    async fn register(
        &self,
        socket: &UdpSocket,
        registration: Registration,
    ) -> Result<(), TargetError> {
        let datagram = registration.datagram();
        let mut answer = [0; 64];
        for _ in 0..REGISTER_TRIES {
            // What is refused now may be taken in a moment: the forwarder may be about to start.
            let _ = socket.send(&datagram).await;
            let received = timeout(REGISTER_INTERVAL, socket.recv(&mut answer)).await;
            match received {
                Ok(Ok(len)) if answer[..len] == datagram => return Ok(()),
                Ok(_) => tokio::time::sleep(REGISTER_INTERVAL).await,
                Err(_) => {}
            }
        }
        Err(TargetError::Connect(format!(
            "the bare forwarder at {} does not answer: it is started with \
             `crosspoint load --limit-listen ADDR:PORT`",
            self.address
        )))
    }

    /// What a client sends, and what it gets from the others of its room.
    fn media(&self, plan: &ClientPlan) -> MediaSetup {
        let mut extensions = ExtensionMap::default();
        for (id, extension) in EXTENSIONS {
            extensions.insert(id, extension);
        }
        let audio = plan.audio.then_some(SourcePlan::Audio);
        let sources = audio.into_iter().chain(plan.video.map(SourcePlan::Video));
        let senders = sources.filter_map(|source| sender(plan.index, source));
        // As the plan numbers them: member by member, in each the rooms in turn.
        let others = (0..self.publishers).map(|member| member * self.rooms + plan.room);
        let others = others.filter(|&index| plan.receives && index != plan.index);
        let receivers = others.flat_map(|index| self.receivers(index));
        MediaSetup {
            extensions,
            senders: senders.collect(),
            receivers: receivers.collect(),
        }
    }

    fn receivers(&self, client: usize) -> impl Iterator<Item = ReceiverSetup> {
        let audio = self.audio.then_some(SourcePlan::Audio);
        let sources = audio.into_iter().chain(self.video.map(SourcePlan::Video));
        sources.filter_map(move |source| {
            let is_video = matches!(source, SourcePlan::Video(_));
            Some(ReceiverSetup {
                mid: mid(is_video)?,
                kind: source.kind(),
                ssrc: ssrc(client, is_video),
                rtx_ssrc: None,
                nack: false,
                pli: false,
            })
        })
    }
}

impl Target for Limit {
    fn description(&self) -> String {
        "limit (receive, AES-GCM, send)".to_owned()
    }

    fn process(&self) -> Option<u32> {
        self.process
    }

    fn run<'a>(&'a self, seat: &'a mut Seat) -> Running<'a> {
        Box::pin(self.stay(seat))
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let Some(mut child) = self.child.lock().await.take() {
                // It is over, or was so already.
                let _ = child.kill().await;
            }
        })
    }
}

/// `udp://ADDR:PORT`.
fn address_of(url: &str) -> Result<SocketAddr, TargetError> {
    let address = url
        .strip_prefix("udp://")
        .and_then(|rest| rest.parse().ok());
    address.ok_or_else(|| {
        TargetError::Connect(format!(
            "`{url}` is no address of a bare forwarder: expected for example udp://192.0.2.1:7900"
        ))
    })
}

/// Starts a forwarder on loopback, and reads where it is.
async fn start() -> Result<(Child, SocketAddr), TargetError> {
    let failed = |reason: String| TargetError::Connect(format!("the bare forwarder: {reason}"));
    let io = |error: std::io::Error| failed(error.to_string());
    let mut command = Command::new(std::env::current_exe().map_err(io)?);
    // Ctrl-C is for the generator, which ends the forwarder itself.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command
        .args(["load", "--limit-listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(io)?;
    let Some(out) = child.stdout.take() else {
        return Err(failed("it has no output".to_owned()));
    };
    let mut line = String::new();
    let mut out = BufReader::new(out);
    let read = timeout(START_TIMEOUT, out.read_line(&mut line)).await;
    read.map_err(|_| failed("it does not start".to_owned()))?
        .map_err(io)?;
    match line.trim().parse() {
        Ok(address) => Ok((child, address)),
        Err(_) => Err(failed(format!("it says `{}`", line.trim()))),
    }
}

fn sender(client: usize, source: SourcePlan) -> Option<SenderSetup> {
    let is_video = matches!(source, SourcePlan::Video(_));
    Some(SenderSetup {
        mid: mid(is_video)?,
        source,
        payload_type: if is_video { VP8 } else { OPUS },
        rtx_payload_type: None,
        // Nobody chooses layers here: the best one is sent alone.
        streams: vec![StreamSetup {
            rid: None,
            ssrc: ssrc(client, is_video),
            rtx_ssrc: ssrc(client, is_video) + 1,
        }],
    })
}

fn ssrc(client: usize, is_video: bool) -> u32 {
    let first = FIRST_SSRC + (client as u32) * STREAMS;
    if is_video { first + 2 } else { first }
}

fn mid(is_video: bool) -> Option<Mid> {
    if is_video { "1" } else { "0" }.parse().ok()
}
