//! Options of `crosspoint load`, checked once at the start.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// Puts a load of publishers and subscribers on a server, and reports what the server needs for it.
#[derive(Args, Clone, Debug, Default)]
pub struct LoadOptions {
    /// Who sends what to whom [default: meeting]
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<Profile>,

    /// Rooms, 1 to 10000 [default: 1, or 50 with one-to-one]
    #[arg(long, value_name = "N", value_parser = |text: &str| number::<usize>(text, "1 to 10000"))]
    pub rooms: Option<usize>,

    /// Participants of a room that publish, 1 to 1000 [default: meeting 8, webinar 1, audio 10, one-to-one 2]
    #[arg(long, value_name = "N", value_parser = |text: &str| number::<usize>(text, "1 to 1000"))]
    pub publishers: Option<usize>,

    /// Participants of a room that receive, 1 to 1000; a list such as `10,50,150` runs one after the other
    /// [default: meeting 8, webinar 50, audio 200, one-to-one 2]
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        value_parser = |text: &str| number::<usize>(text, "1 to 1000, or a list of them"))]
    pub subscribers: Option<Vec<usize>>,

    /// Bits a second of a publisher's video, of its best layer with --simulcast, 30000 to 50000000
    /// [default: 1500000]
    #[arg(long, value_name = "BITS", value_parser = |text: &str| number::<u64>(text, "30000 to 50000000"))]
    pub video_bitrate: Option<u64>,

    /// Publish video in three layers
    #[arg(long)]
    pub simulcast: bool,

    /// Publish audio [default: every profile does]
    #[arg(long, overrides_with = "no_audio")]
    pub audio: bool,

    /// Publish no audio
    #[arg(long, overrides_with = "audio")]
    pub no_audio: bool,

    /// Publish no video [default: the profile audio publishes none]
    #[arg(long)]
    pub no_video: bool,

    /// How long to measure, 1 to 86400 [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = |text: &str| number::<u64>(text, "1 to 86400"))]
    pub seconds: Option<u64>,

    /// How long media flows before the measurement, 0 to 3600 [default: 2]
    #[arg(long, value_name = "SECONDS", value_parser = |text: &str| number::<u64>(text, "0 to 3600"))]
    pub warm_up: Option<u64>,

    /// Clients that join in a second, 1 to 10000 [default: 50]
    #[arg(long, value_name = "N", value_parser = |text: &str| number::<u32>(text, "1 to 10000"))]
    pub join_rate: Option<u32>,

    /// Clients that come and go beside the others, so many in a second, 1 to 1000. They join the same rooms and new ones,
    /// publish and receive; half of them say goodbye, the others break off, fall silent or are gone before they are
    /// connected. Crosspoint only [default: none]
    #[arg(long, value_name = "N", value_parser = |text: &str| number::<u32>(text, "1 to 1000"))]
    pub churn: Option<u32>,

    /// How long each of those stays, 1 to 3600 [default: 3]
    #[arg(long, value_name = "SECONDS", requires = "churn", value_parser = |text: &str| number::<u64>(text, "1 to 3600"))]
    pub churn_stay: Option<u64>,

    /// Which server is driven [default: crosspoint]
    #[arg(long, value_name = "SERVER")]
    pub target: Option<TargetKind>,

    /// The server's WebSocket, such as `ws://192.0.2.1:8080/ws`, or `ws://192.0.2.1:8080/ws?token=TOKEN` with a token for every
    /// room [default: a Crosspoint that is started for it]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The process whose processor time and memory are measured, where --url names a server of this machine
    #[arg(long, value_name = "PID", value_parser = |text: &str| number::<u32>(text, "a process of this machine"))]
    pub pid: Option<u32>,

    /// An option for the Crosspoint that is started, such as `--server-arg=--shards=1`; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub server_arg: Vec<String>,

    /// Share of packets that get lost, each way, in percent, 0 to 50 [default: 0]
    #[arg(long, value_name = "PERCENT", value_parser = |text: &str| number::<f64>(text, "0 to 50"))]
    pub loss: Option<f64>,

    /// Delay of every packet, each way, in milliseconds, 0 to 5000 [default: 0]
    #[arg(long, value_name = "MS", value_parser = |text: &str| number::<u64>(text, "0 to 5000"))]
    pub delay: Option<u64>,

    /// Further delay of each packet, of random length up to this many milliseconds, 0 to 5000; packets
    /// keep their order [default: 0]
    #[arg(long, value_name = "MS", value_parser = |text: &str| number::<u64>(text, "0 to 5000"))]
    pub jitter: Option<u64>,

    /// Share of packets that the next ones overtake, each way, in percent, 0 to 50 [default: 0]
    #[arg(long, value_name = "PERCENT", value_parser = |text: &str| number::<f64>(text, "0 to 50"))]
    pub reorder: Option<f64>,

    /// Makes the traffic, the same for the same number [default: 1]
    #[arg(long, value_name = "NUMBER", value_parser = |text: &str| number::<u64>(text, "0 to 18446744073709551615"))]
    pub seed: Option<u64>,

    /// How media is encrypted, where the server agrees [default: aes-128-gcm]
    #[arg(long, value_name = "PROFILE")]
    pub srtp: Option<SrtpSuite>,

    /// Decrypt one of so many packets of a stream, 1 to 100000 [default: 16]
    #[arg(long, value_name = "N", value_parser = |text: &str| number::<u32>(text, "1 to 100000"))]
    pub sample: Option<u32>,

    /// Report as JSON
    #[arg(long)]
    pub json: bool,

    /// Draw processor time per packet and latency against subscribers into this SVG file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,

    /// With --plot: draw the reports of --json in this file, one or a list of them, instead of putting a load on
    /// anything; may be repeated
    #[arg(long, value_name = "FILE", requires = "plot")]
    pub from: Vec<PathBuf>,

    /// Measure the machine's floor instead of a server: a bare forwarder that receives, encrypts and sends
    ///
    /// The forwarder is a process of its own, started on loopback, or the one of `--url udp://ADDR:PORT` (see
    /// --limit-listen). For each packet it looks up the sender by its address, opens the packet with AES-128-GCM, copies
    /// it for each receiver of the room and seals the copy with the receiver's own key. After all that the kernel had
    /// (at most as much as a shard's tick) was read, each receiver's packets leave in runs of equal length, one system
    /// call for each run (GSO). It reads with GRO, as the server does. It does no ICE, DTLS, replay checks, header
    /// rewriting, retransmission, RTCP (which it drops), congestion control or statistics, and keys are fixed: no server
    /// that forwards the same packets by the same system calls can need less.
    #[arg(long)]
    pub limit: bool,

    /// Be the bare forwarder of --limit on this UDP address, and nothing else; port 0 takes a free one. It forwards for
    /// whoever asks, with keys that are no secret: for measurements only
    #[arg(long, value_name = "ADDR:PORT", exclusive = true)]
    pub limit_listen: Option<SocketAddr>,
}

/// Who sends what to whom.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Everybody sees and hears everybody, audio and video.
    #[default]
    Meeting,
    /// Few publish audio and video, many watch.
    Webinar,
    /// Some speak, many listen.
    Audio,
    /// Many rooms of two.
    OneToOne,
}

/// Which server is driven.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetKind {
    /// Crosspoint.
    #[default]
    Crosspoint,
    /// Janus with its videoroom plugin.
    Janus,
}

/// How media is encrypted.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SrtpSuite {
    /// SRTP_AEAD_AES_128_GCM
    #[default]
    #[value(name = "aes-128-gcm")]
    Aes128Gcm,
    /// SRTP_AES128_CM_HMAC_SHA1_80
    #[value(name = "aes-cm-128-hmac-sha1-80")]
    AesCm128HmacSha1_80,
}

impl Profile {
    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meeting => "meeting",
            Self::Webinar => "webinar",
            Self::Audio => "audio",
            Self::OneToOne => "one-to-one",
        }
    }
}

impl TargetKind {
    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crosspoint => "crosspoint",
            Self::Janus => "janus",
        }
    }
}

/// What happens to packets on their way, each way, before they are sent and after they are received.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Share of packets that get lost, 0 to 0.5.
    pub loss: f64,
    /// Delay of every packet.
    pub delay: Duration,
    /// Greatest further delay of a packet. Packets keep their order.
    pub jitter: Duration,
    /// Share of packets that the next ones overtake, 0 to 0.5.
    pub reorder: f64,
}

/// All options with a value, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadConfig {
    /// Who sends what to whom.
    pub profile: Profile,
    /// Number of rooms.
    pub rooms: usize,
    /// Participants of a room that publish.
    pub publishers: usize,
    /// Participants of a room that receive, one run for each entry. Never empty.
    pub subscribers: Vec<usize>,
    /// Whether publishers send audio.
    pub audio: bool,
    /// Bits a second of a publisher's video; none without video.
    pub video_bitrate: Option<u64>,
    /// Whether video is published in three layers.
    pub simulcast: bool,
    /// How long to measure.
    pub duration: Duration,
    /// How long media flows before.
    pub warm_up: Duration,
    /// Clients that join in a second.
    pub join_rate: u32,
    /// Clients that come and go in a second, beside those of the plan; none without them.
    pub churn: Option<u32>,
    /// How long each of those stays.
    pub churn_stay: Duration,
    /// Which server is driven.
    pub target: TargetKind,
    /// Its WebSocket; none where a server is started for the run.
    pub url: Option<String>,
    /// The process that is measured, where `url` is given.
    pub pid: Option<u32>,
    /// Options for the server that is started.
    pub server_args: Vec<String>,
    /// What happens to packets on their way.
    pub impairment: Impairment,
    /// Makes the traffic.
    pub seed: u64,
    /// How media is encrypted, where the server agrees.
    pub srtp: SrtpSuite,
    /// One of so many packets of a stream is decrypted.
    pub sample: u32,
    /// Whether the report is JSON.
    pub json: bool,
    /// The file for the drawing.
    pub plot: Option<PathBuf>,
    /// Whether the machine's floor is measured instead of a server.
    pub limit: bool,
}

/// Why there is no report.
#[derive(Debug, PartialEq, Eq)]
pub enum LoadError {
    /// An option's value is not allowed.
    Value {
        /// The long name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What may be given, in words.
        allowed: String,
    },
    /// The load could not be put on the server: what failed, and what to do.
    Run(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value {
                option,
                value,
                allowed,
            } => write!(f, "`--{option}` cannot be `{value}`: allowed is {allowed}"),
            Self::Run(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for LoadError {}

/// Most participants of one room.
const MAX_PARTICIPANTS: usize = 1_000;

impl LoadOptions {
    /// Fills in what is not given, and checks everything.
    pub fn resolve(self) -> Result<LoadConfig, LoadError> {
        let profile = self.profile.unwrap_or_default();
        let target = self.target.unwrap_or_default();
        let (rooms, publishers, subscribers) = match profile {
            Profile::Meeting => (1, 8, 8),
            Profile::Webinar => (1, 1, 50),
            Profile::Audio => (1, 10, 200),
            Profile::OneToOne => (50, 2, 2),
        };
        let rooms = ranged("rooms", self.rooms, rooms, 1..=10_000)?;
        let subscribers = self.subscribers.unwrap_or_else(|| vec![subscribers]);
        if subscribers.is_empty() {
            return Err(wrong("subscribers", "nothing", "at least one number"));
        }
        for &given in &subscribers {
            ranged("subscribers", Some(given), 0, 1..=MAX_PARTICIPANTS)?;
        }
        // With fewer receivers than the profile's publishers a meeting has fewer publishers too.
        let fewest = subscribers.iter().copied().min().unwrap_or(publishers);
        let default = match profile {
            Profile::Meeting if self.publishers.is_none() => subscribers[0].min(fewest),
            _ => publishers,
        };
        let publishers = ranged("publishers", self.publishers, default, 1..=MAX_PARTICIPANTS)?;
        check_counts(profile, publishers, &subscribers)?;
        let audio = !self.no_audio;
        let bitrate = ranged(
            "video-bitrate",
            self.video_bitrate,
            1_500_000,
            30_000..=50_000_000,
        )?;
        let video = !self.no_video && profile != Profile::Audio;
        if !audio && !video {
            return Err(wrong(
                "no-audio",
                "given",
                "it only where video is published: not with --no-video or --profile audio",
            ));
        }
        if self.simulcast && !video {
            return Err(wrong(
                "simulcast",
                "given",
                "it only where video is published",
            ));
        }
        if self.limit {
            if let Some(url) = self.url.as_ref().filter(|url| !url.starts_with("udp://")) {
                return Err(wrong(
                    "url",
                    url,
                    "with --limit the address of a bare forwarder, such as udp://127.0.0.1:7900",
                ));
            }
        } else if let Some(url) = self.url.as_ref().filter(|url| !is_web_socket(url)) {
            return Err(wrong(
                "url",
                url,
                "a WebSocket without TLS, such as ws://127.0.0.1:8080/ws",
            ));
        }
        if !self.server_arg.is_empty() && (self.url.is_some() || target != TargetKind::Crosspoint) {
            return Err(wrong(
                "server-arg",
                self.server_arg.join(" "),
                "it only for the Crosspoint that is started without --url",
            ));
        }
        if self.churn.is_some() && (self.limit || target != TargetKind::Crosspoint) {
            return Err(wrong(
                "churn",
                "given",
                "it only where Crosspoint is driven",
            ));
        }
        let churn = self
            .churn
            .map(|rate| ranged("churn", Some(rate), rate, 1..=1_000));
        let churn_stay = ranged("churn-stay", self.churn_stay, 3, 1..=3_600)?;
        let seconds = ranged("seconds", self.seconds, 10, 1..=86_400)?;
        let warm_up = ranged("warm-up", self.warm_up, 2, 0..=3_600)?;
        let delay = ranged("delay", self.delay, 0, 0..=5_000)?;
        let jitter = ranged("jitter", self.jitter, 0, 0..=5_000)?;
        Ok(LoadConfig {
            profile,
            rooms,
            publishers,
            subscribers,
            audio,
            video_bitrate: video.then_some(bitrate),
            simulcast: self.simulcast,
            duration: Duration::from_secs(seconds),
            warm_up: Duration::from_secs(warm_up),
            join_rate: ranged("join-rate", self.join_rate, 50, 1..=10_000)?,
            churn: churn.transpose()?,
            churn_stay: Duration::from_secs(churn_stay),
            target,
            url: self.url,
            pid: self.pid,
            server_args: self.server_arg,
            impairment: Impairment {
                loss: ranged("loss", self.loss, 0.0, 0.0..=50.0)? / 100.0,
                delay: Duration::from_millis(delay),
                jitter: Duration::from_millis(jitter),
                reorder: ranged("reorder", self.reorder, 0.0, 0.0..=50.0)? / 100.0,
            },
            seed: self.seed.unwrap_or(1),
            srtp: self.srtp.unwrap_or_default(),
            sample: ranged("sample", self.sample, 16, 1..=100_000)?,
            json: self.json,
            plot: self.plot,
            limit: self.limit,
        })
    }
}

/// Whether the profile can have that many.
fn check_counts(
    profile: Profile,
    publishers: usize,
    subscribers: &[usize],
) -> Result<(), LoadError> {
    for &count in subscribers {
        match profile {
            Profile::Meeting if publishers > count => {
                return Err(wrong(
                    "publishers",
                    publishers,
                    format!("1 to {count}: in a meeting those who publish receive as well"),
                ));
            }
            Profile::OneToOne if count != 2 => {
                return Err(wrong(
                    "subscribers",
                    count,
                    "2 in one-to-one; --rooms says how many pairs there are",
                ));
            }
            Profile::OneToOne if publishers > 2 => {
                return Err(wrong("publishers", publishers, "1 or 2 in one-to-one"));
            }
            Profile::Webinar | Profile::Audio if publishers + count > MAX_PARTICIPANTS => {
                return Err(wrong(
                    "subscribers",
                    count,
                    format!(
                        "1 to {}, so that a room has {MAX_PARTICIPANTS} participants at most",
                        MAX_PARTICIPANTS.saturating_sub(publishers)
                    ),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a URL names a WebSocket without TLS, with a host.
fn is_web_socket(url: &str) -> bool {
    url.strip_prefix("ws://")
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

/// A number on the command line; its range is checked later.
fn number<T: FromStr>(text: &str, allowed: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("allowed is a number, {allowed}"))
}

fn wrong(option: &'static str, value: impl fmt::Display, allowed: impl Into<String>) -> LoadError {
    LoadError::Value {
        option,
        value: value.to_string(),
        allowed: allowed.into(),
    }
}

fn ranged<T: PartialOrd + Copy + fmt::Display>(
    option: &'static str,
    given: Option<T>,
    default: T,
    range: RangeInclusive<T>,
) -> Result<T, LoadError> {
    match given {
        None => Ok(default),
        Some(value) if range.contains(&value) => Ok(value),
        Some(value) => Err(wrong(
            option,
            value,
            format!("{} to {}", range.start(), range.end()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: LoadOptions,
    }

    fn options(line: &[&str]) -> Result<LoadConfig, String> {
        let line = std::iter::once("load").chain(line.iter().copied());
        let parsed = Line::try_parse_from(line).map_err(|error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        })?;
        parsed.options.resolve().map_err(|error| error.to_string())
    }

    #[test]
    fn each_profile_has_its_numbers() {
        for (profile, rooms, publishers, subscribers, video) in [
            ("meeting", 1, 8, 8, true),
            ("webinar", 1, 1, 50, true),
            ("audio", 1, 10, 200, false),
            ("one-to-one", 50, 2, 2, true),
        ] {
            let config = options(&["--profile", profile]).unwrap();
            assert_eq!(config.profile.name(), profile);
            assert_eq!((config.rooms, config.publishers), (rooms, publishers));
            assert_eq!(config.subscribers, [subscribers]);
            assert_eq!(config.video_bitrate.is_some(), video);
            assert!(config.audio);
        }
    }

    #[test]
    fn a_list_of_subscribers_is_several_runs() {
        let config = options(&["--profile", "webinar", "--subscribers", "10,50,150"]).unwrap();
        assert_eq!(config.subscribers, [10, 50, 150]);
    }

    #[test]
    fn impairment_is_in_shares_and_durations() {
        let line = [
            "--loss",
            "5",
            "--delay",
            "20",
            "--jitter",
            "7",
            "--reorder",
            "0.5",
        ];
        let found = options(&line).unwrap().impairment;
        assert_eq!((found.loss, found.reorder), (0.05, 0.005));
        assert_eq!(found.delay, Duration::from_millis(20));
        assert_eq!(found.jitter, Duration::from_millis(7));
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_allowed() {
        for (line, words) in [
            (
                &["--profile", "party"][..],
                "meeting, webinar, audio, one-to-one",
            ),
            (&["--target", "other"], "crosspoint, janus"),
            (&["--srtp", "none"], "aes-128-gcm, aes-cm-128-hmac-sha1-80"),
            (
                &["--seconds", "0"],
                "`--seconds` cannot be `0`: allowed is 1 to 86400",
            ),
            (&["--seconds", "soon"], "a number, 1 to 86400"),
            (
                &["--loss", "60"],
                "`--loss` cannot be `60`: allowed is 0 to 50",
            ),
            (&["--loss", "NaN"], "allowed is 0 to 50"),
            (&["--rooms", "0"], "1 to 10000"),
            (&["--churn", "0"], "1 to 1000"),
            (
                &["--churn", "1", "--target", "janus"],
                "where Crosspoint is driven",
            ),
            (&["--subscribers", "8,x"], "1 to 1000, or a list"),
            (
                &["--publishers", "9", "--subscribers", "8"],
                "1 to 8: in a meeting",
            ),
            (
                &["--profile", "one-to-one", "--subscribers", "3"],
                "--rooms says how many",
            ),
            (
                &["--profile", "webinar", "--subscribers", "1000"],
                "1 to 999",
            ),
            (&["--no-audio", "--no-video"], "video is published"),
            (&["--profile", "audio", "--simulcast"], "video is published"),
            (&["--url", "http://localhost"], "ws://127.0.0.1:8080/ws"),
            (
                &["--url", "ws://a/ws", "--server-arg=--shards=1"],
                "without --url",
            ),
        ] {
            let error = options(line).unwrap_err();
            assert!(error.contains(words), "{line:?}: {error}");
        }
    }
}
