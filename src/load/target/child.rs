//! The Crosspoint that is started where no URL is given: this same program, on free ports of the loopback
//! interface, with limits that let the load in.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::TargetError;
use crate::load::LoadConfig;
use crate::load::plan::Plan;

/// How long it may take until it says its address.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take for its end.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// What is shown of its log if it does not start, in bytes.
const SHOWN: usize = 4_000;

/// How long a client that went without a word may seem to be there.
const GHOST_SECONDS: u64 = 90;

/// A running server. It is killed when this is dropped.
pub(super) struct ChildServer {
    child: Child,
    /// Its WebSocket.
    pub(super) url: String,
    /// Its process.
    pub(super) pid: u32,
}

impl ChildServer {
    /// Starts it and waits for its address.
    pub(super) async fn start(config: &LoadConfig, plan: &Plan) -> Result<Self, TargetError> {
        let failed = |reason: String| {
            TargetError::Connect(format!("the server could not be started: {reason}"))
        };
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new(program);
        // What is set for a server of one's own is not meant for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CROSSPOINT_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments(config, plan))
            .args(&config.server_args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C is for the generator, which ends the server itself.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let (Some(stdout), Some(stderr), Some(pid)) =
            (child.stdout.take(), child.stderr.take(), child.id())
        else {
            return Err(failed("it has no output".to_owned()));
        };
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(START_TIMEOUT, lines.next_line()).await;
        let port = first
            .ok()
            .and_then(Result::ok)
            .flatten()
            .and_then(|line| line.rsplit(':').next()?.trim().parse::<u16>().ok());
        let Some(port) = port else {
            let _ = child.kill().await;
            let mut log = String::new();
            let _ = stderr.take(SHOWN as u64).read_to_string(&mut log).await;
            return Err(failed(log.trim().to_owned()));
        };
        // Whatever else it says must be read, or it could wait for ever; errors are for whoever watches.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("server: {line}");
            }
        });
        Ok(Self {
            child,
            url: format!("ws://127.0.0.1:{port}/ws"),
            pid,
        })
    }

    /// Ends it: asks first where the system can ask.
    pub(super) async fn end(mut self) {
        #[cfg(target_os = "linux")]
        if let Ok(pid) = i32::try_from(self.pid) {
            use nix::sys::signal::{Signal, kill};
            let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGINT);
            if tokio::time::timeout(END_TIMEOUT, self.child.wait())
                .await
                .is_ok()
            {
                return;
            }
        }
        let _ = self.child.kill().await;
    }
}

/// Free ports, and limits that let the load in. They come before what the user says, who wins.
fn arguments(config: &LoadConfig, plan: &Plan) -> Vec<String> {
    let visitors = config.churn.map_or(0, |rate| {
        let there = config.churn_stay.as_secs().saturating_add(GHOST_SECONDS);
        rate as usize * usize::try_from(there).unwrap_or(usize::MAX)
    });
    let clients = plan.clients.len() + visitors;
    let participants = plan.clients.len() / config.rooms.max(1) + visitors;
    let has = |option: &str| {
        let given = config.server_args.iter();
        given
            .map(|argument| argument.split('=').next().unwrap_or_default())
            .any(|name| name == option)
    };
    [
        ("--listen", "127.0.0.1:0".to_owned()),
        ("--udp-port", "0".to_owned()),
        ("--log", "warn".to_owned()),
        (
            "--max-participants",
            participants.clamp(2, 1_000).to_string(),
        ),
        (
            "--max-rooms",
            (config.rooms + visitors).min(1_000_000).to_string(),
        ),
        (
            "--max-sockets-per-address",
            (clients + 16).min(1_000_000).to_string(),
        ),
        ("--max-joins-per-second", "10000".to_owned()),
        ("--max-messages-per-second", "10000".to_owned()),
        ("--max-sdp-bytes", "262144".to_owned()),
        // The load counts on everything that it sends.
        ("--loudest", "0".to_owned()),
    ]
    .into_iter()
    .filter(|(option, _)| !has(option))
    .flat_map(|(option, value)| [option.to_owned(), value])
    .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Options;
    use crate::load::LoadOptions;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: LoadOptions,
    }

    fn config(line: &[&str]) -> LoadConfig {
        let line = std::iter::once("load").chain(line.iter().copied());
        Line::try_parse_from(line)
            .unwrap()
            .options
            .resolve()
            .unwrap()
    }

    #[test]
    fn the_server_is_given_limits_that_let_everybody_in() {
        for line in [
            &["--profile", "audio"][..],
            &["--profile", "one-to-one", "--rooms", "5000"],
            &["--profile", "webinar", "--subscribers", "999"],
            &[
                "--rooms",
                "3",
                "--subscribers",
                "40",
                "--server-arg=--max-rooms=7",
            ],
            &["--churn", "1000", "--churn-stay", "3600"],
        ] {
            let config = config(line);
            let plan = Plan::new(&config, config.subscribers[0]);
            let mut arguments = arguments(&config, &plan);
            arguments.extend(config.server_args.iter().cloned());
            let given = std::iter::once("crosspoint".to_owned()).chain(arguments);
            let server = Options::try_parse_from(given).unwrap().resolve().unwrap();
            let in_room = |client: &&crate::load::plan::ClientPlan| client.room == 0;
            let participants = plan.clients.iter().filter(in_room).count();
            assert!(server.limits.max_participants >= participants);
            assert!(server.limits.max_rooms >= config.rooms);
            assert!(server.limits.max_sockets_per_address >= plan.clients.len());
        }
    }
}
