//! Runs the plan: clients join, media flows, an interval is measured, everybody leaves.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::LoadConfig;
use super::churn::Churn;
use super::measure::{Histogram, ProcessSample, sample_process};
use super::media::{Measured, MediaCommand, MediaSettings, MediaThread, PeerProgress, PeerState};
use super::options::{LoadError, SrtpSuite};
use super::peer::{MediaHandle, Seat};
use super::plan::Plan;
use super::report::{ProcessUse, Report, RunReport};
use super::target::{self, Target, TargetError};
use crate::transport::Identity;

/// How long clients may take to join, after the last of them began.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Where some have failed, the others' tracks are not waited for longer than this without any change.
const STALL_TIMEOUT: Duration = Duration::from_secs(3);
/// How often it is looked whether all are there.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long goodbyes may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The end that was asked for by Ctrl-C. It can be waited for again and again.
pub(super) type Ended = watch::Receiver<bool>;

/// One run for each number of subscribers, or until the end is asked for.
pub(super) async fn run(config: &LoadConfig, ended: Ended) -> Result<Report, LoadError> {
    // A client needs two sockets, and a server that is started inherits what is allowed here.
    crate::server::allow_open_files();
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        target: config.target.name().to_owned(),
        profile: config.profile.name(),
        seed: config.seed,
        sample: config.sample,
        runs: Vec::new(),
    };
    for &subscribers in &config.subscribers {
        let plan = Plan::new(config, subscribers);
        let (target, run) = step(config, &plan, ended.clone()).await?;
        report.target = target;
        report.runs.push(run);
        if *ended.borrow() {
            break;
        }
    }
    Ok(report)
}

/// One run, with a server of its own where none is given. Returns what the server calls itself, too.
async fn step(
    config: &LoadConfig,
    plan: &Plan,
    ended: Ended,
) -> Result<(String, RunReport), LoadError> {
    let failed = |error: &dyn std::fmt::Display| LoadError::Run(error.to_string());
    let identity = match config.srtp {
        SrtpSuite::Aes128Gcm => Identity::preferring_gcm(),
        SrtpSuite::AesCm128HmacSha1_80 => Identity::without_gcm(),
    };
    let settings = MediaSettings {
        identity: identity.map_err(|error| failed(&error))?,
        impairment: config.impairment,
        sample: config.sample,
    };
    let media = MediaThread::start(settings).map_err(|error| failed(&error))?;
    let target = target::open(config, plan)
        .await
        .map_err(|error| failed(&error))?;
    let run = Run {
        config,
        plan,
        target: target.clone(),
        media: media.handle().clone(),
        clients: Clients::new(plan),
        ended,
    };
    let report = run.run().await;
    let description = target.description();
    target.close().await;
    Ok((description, report?))
}

/// What the clients' tasks say of themselves.
struct Clients {
    /// When each began.
    started: Vec<Instant>,
    /// How many the server has let in.
    joined: Arc<AtomicUsize>,
    tasks: JoinSet<Result<(), TargetError>>,
    /// Why some are no more, and how often.
    failed: BTreeMap<String, usize>,
}

struct Run<'a> {
    config: &'a LoadConfig,
    plan: &'a Plan,
    target: Arc<dyn Target>,
    media: MediaHandle,
    clients: Clients,
    ended: Ended,
}

impl Clients {
    fn new(plan: &Plan) -> Self {
        Self {
            started: Vec::with_capacity(plan.clients.len()),
            joined: Arc::default(),
            tasks: JoinSet::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Takes note of those that are over.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            let reason = match ended {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the generator's own fault: a client's task panicked".to_owned(),
            };
            *self.failed.entry(reason).or_default() += 1;
        }
    }
}

impl Run<'_> {
    async fn run(mut self) -> Result<RunReport, LoadError> {
        let (leave, leaving) = watch::channel(false);
        self.join(&leaving).await;
        self.settle().await?;
        let (stop, stopping) = watch::channel(false);
        let clients = self.plan.clients.len();
        let churn = Churn::new(self.config, clients, &self.target, &self.media);
        let churn = churn.map(|churn| tokio::spawn(churn.run(stopping)));
        self.pause(self.config.warm_up).await;
        let before = self.sample();
        // What came until now is forgotten.
        let begun = self.measure().await?;
        self.pause(self.config.duration).await;
        let ended_early = *self.ended.borrow();
        let measured = self.measure().await?;
        let after = self.sample();
        stop.send_replace(true);
        let churn = match churn {
            Some(churn) => churn.await.ok(),
            None => None,
        };
        self.clients.reap();
        let mut report = self.report(begun.at, &measured, before, after, ended_early);
        report.churn = churn;
        leave.send_replace(true);
        let all_left = async { while self.clients.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, all_left).await;
        if report.joined == 0 && !ended_early {
            let reasons: Vec<&str> = report.failed.iter().map(|(r, _)| r.as_str()).collect();
            return Err(LoadError::Run(format!(
                "no client could join. {}",
                if reasons.is_empty() {
                    "No media connection came about: are the server's UDP ports reachable?"
                        .to_owned()
                } else {
                    reasons.join("; ")
                }
            )));
        }
        Ok(report)
    }

    /// Starts the clients, one after the other.
    async fn join(&mut self, leaving: &watch::Receiver<bool>) {
        let pause = Duration::from_secs(1) / self.config.join_rate;
        let mut next = tokio::time::Instant::now();
        for client in &self.plan.clients {
            if *self.ended.borrow() {
                return;
            }
            tokio::time::sleep_until(next).await;
            next += pause;
            let joined = self.clients.joined.clone();
            let is_new = std::sync::atomic::AtomicBool::new(true);
            let note = move || {
                if is_new.swap(false, Ordering::Relaxed) {
                    joined.fetch_add(1, Ordering::Relaxed);
                }
            };
            let mut seat = Seat::new(
                client.clone(),
                self.media.clone(),
                Box::new(note),
                leaving.clone(),
            );
            let target = self.target.clone();
            self.clients.started.push(Instant::now());
            self.clients
                .tasks
                .spawn(async move { target.run(&mut seat).await });
        }
    }

    /// Waits until all are connected and receive what they should, or nothing more can be hoped for.
    async fn settle(&mut self) -> Result<(), LoadError> {
        let end = Instant::now() + JOIN_TIMEOUT;
        let expected = self.expected_tracks();
        let mut last = (Instant::now(), (0, 0));
        loop {
            self.clients.reap();
            let peers = self.progress().await?;
            let tracks: usize = peers.iter().map(|peer| peer.tracks).sum();
            let over: usize = self.clients.failed.values().sum();
            let connected = connected_clients(&peers, self.plan.clients.len());
            let there = connected.iter().filter(|at| at.is_some()).count();
            let joined = self.clients.joined.load(Ordering::Relaxed);
            let all = self.plan.clients.len();
            let all_there = there >= all && joined >= all && tracks >= expected;
            if last.1 != (there, tracks) {
                last = (Instant::now(), (there, tracks));
            }
            let hopeless = over > 0 && there + over >= all && last.0.elapsed() > STALL_TIMEOUT;
            if hopeless || all_there || over >= all || Instant::now() >= end || *self.ended.borrow()
            {
                return Ok(());
            }
            self.pause(LOOK_INTERVAL).await;
        }
    }

    /// Lets time pass, unless the end is asked for.
    async fn pause(&self, duration: Duration) {
        let mut ended = self.ended.clone();
        let asked: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            if ended.wait_for(|ended| *ended).await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        let _ = tokio::time::timeout(duration, asked).await;
    }

    async fn progress(&self) -> Result<Vec<PeerProgress>, LoadError> {
        let (answer, answered) = oneshot::channel();
        self.media.send(MediaCommand::Progress(answer));
        answered.await.map_err(|_| media_is_over())
    }

    async fn measure(&self) -> Result<Box<Measured>, LoadError> {
        let (answer, answered) = oneshot::channel();
        self.media.send(MediaCommand::Measure(answer));
        answered.await.map_err(|_| media_is_over())
    }

    /// The server's process, and our own.
    fn sample(&self) -> [Option<ProcessSample>; 2] {
        let server = self.target.process().and_then(sample_process);
        [server, sample_process(std::process::id())]
    }

    fn expected_tracks(&self) -> usize {
        let clients = self.plan.clients.iter();
        clients
            .map(|client| client.expected.0 + client.expected.1)
            .sum()
    }

    fn report(
        &self,
        begun: Instant,
        measured: &Measured,
        before: [Option<ProcessSample>; 2],
        after: [Option<ProcessSample>; 2],
        ended_early: bool,
    ) -> RunReport {
        let tally = &measured.tally;
        let connected = connected_clients(&measured.peers, self.plan.clients.len());
        let mut join = Histogram::default();
        for (started, connected) in self.clients.started.iter().zip(&connected) {
            if let Some(connected) = connected {
                join.record(connected.saturating_duration_since(*started));
            }
        }
        let mut failed = self.clients.failed.clone();
        // Visitors speak for themselves.
        let of_plan = |peer: &&PeerProgress| peer.client < self.plan.clients.len();
        for peer in measured.peers.iter().filter(of_plan) {
            if let PeerState::Failed(reason) = &peer.state {
                *failed.entry(reason.clone()).or_default() += 1;
            }
        }
        let mut srtp: Vec<&'static str> = measured.peers.iter().filter_map(|p| p.srtp).collect();
        srtp.sort_unstable();
        srtp.dedup();
        let packets = tally.received.packets;
        let [server, generator] =
            [0, 1].map(|which| used(before[which].as_ref(), after[which].as_ref(), packets));
        RunReport {
            rooms: self.config.rooms,
            publishers: self.config.publishers,
            subscribers: self.plan.subscribers,
            srtp,
            seconds: measured.at.saturating_duration_since(begun).as_secs_f64(),
            ended_early,
            clients: self.plan.clients.len(),
            joined: connected.iter().filter(|at| at.is_some()).count(),
            failed: failed.into_iter().collect(),
            tracks_expected: self.expected_tracks(),
            tracks_received: measured
                .peers
                .iter()
                .filter(of_plan)
                .map(|peer| peer.tracks)
                .sum(),
            sent: tally.sent,
            received: tally.received,
            loss: tally.loss,
            latency: tally.latency.percentiles(),
            join: join.percentiles(),
            keyframe: tally.keyframe.percentiles(),
            churn: None,
            server,
            generator,
        }
    }
}

/// When each client was connected with all the peers that it has.
fn connected_clients(peers: &[PeerProgress], clients: usize) -> Vec<Option<Instant>> {
    let mut connected: Vec<Option<Option<Instant>>> = vec![None; clients];
    for peer in peers {
        let at = peer
            .connected
            .filter(|_| peer.state == PeerState::Connected);
        if let Some(slot) = connected.get_mut(peer.client) {
            // With several peers the last one counts, and one that is not connected spoils it.
            *slot = Some(match *slot {
                None => at,
                Some(before) => before.zip(at).map(|(before, at)| before.max(at)),
            });
        }
    }
    connected.into_iter().map(Option::flatten).collect()
}

/// What a process used between two samples.
fn used(
    before: Option<&ProcessSample>,
    after: Option<&ProcessSample>,
    packets: u64,
) -> Option<ProcessUse> {
    let (before, after) = (before?, after?);
    let user = after.user.saturating_sub(before.user).as_secs_f64();
    let system = after.system.saturating_sub(before.system).as_secs_f64();
    Some(ProcessUse {
        user_seconds: user,
        system_seconds: system,
        seconds_per_million: (packets > 0).then(|| (user + system) / packets as f64 * 1e6),
        resident_bytes: after.resident,
    })
}

fn media_is_over() -> LoadError {
    LoadError::Run("the media thread ended".to_owned())
}
