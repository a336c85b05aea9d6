//! The server: the real binary, in a process of its own, on free ports of the loopback interface.

use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::watched::{Watched, patiently};

/// How much of the server's log is shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// One running server. It is killed when this is dropped, and its log is printed if that happens because a test failed.
pub struct Server {
    child: Child,
    port: u16,
    log: Arc<Watched<Vec<String>>>,
}

impl Server {
    /// A server with the default limits.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server with further command-line options.
    pub async fn with(options: &[&str]) -> Self {
        Self::prepared(options, |_| {}).await
    }

    /// The same; `prepare` may give the process another environment, or another place for its log.
    pub async fn prepared(options: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(options);
        command
            .args(["--listen", "127.0.0.1:0", "--udp-port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        prepare(&mut command);
        let mut child = command.spawn().expect("the server starts");
        let log = Arc::new(Watched::<Vec<String>>::default());
        let stderr = child.stderr.take();
        let logged = tokio::spawn({
            let log = log.clone();
            async move {
                let Some(stderr) = stderr else { return };
                let mut lines = BufReader::new(stderr).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    log.update(|log| log.push(line));
                }
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
        let first = patiently("the server's address", stdout.next_line()).await;
        let Ok(Some(line)) = first else {
            let status = child.wait().await;
            let _ = logged.await;
            panic!(
                "the server ended ({status:?}) before it said its address: {}",
                log.read(|log| log.join("\n"))
            );
        };
        let expected = format!("Crosspoint {}: open http", env!("CARGO_PKG_VERSION"));
        let port = line
            .strip_prefix(&expected)
            .map(|rest| rest.trim_start_matches('s'))
            .and_then(|rest| rest.strip_prefix("://localhost:"))
            .and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("expected {expected:?} and a port, got {line:?}"));
        // Whatever else comes must be read, or the server could block on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = stdout.next_line().await {} });
        Self { child, port, log }
    }

    /// The port of HTTP and WebSocket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process, while it runs.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the server runs")
    }

    /// Waits until its log has these words.
    pub async fn logs(&self, words: &str) {
        self.logs_times(1, words).await;
    }

    /// Waits until its log has these words in so many lines.
    pub async fn logs_times(&self, times: usize, words: &str) {
        let found = |log: &mut Vec<String>| {
            let lines = log.iter().filter(|line| line.contains(words));
            (lines.count() >= times).then_some(())
        };
        let what = format_args!("{words:?} in {times} lines of the log");
        self.log.until(what, found).await;
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.log.read(|log| log.join("\n"))
    }

    /// What it logged so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.read(|log| log.clone())
    }

    /// Sends `GET path` and gives status line, headers and body as text.
    pub async fn get(&self, path: &str) -> String {
        self.get_with(path, "").await
    }

    /// The same with further headers, each with its line end.
    pub async fn get_with(&self, path: &str, headers: &str) -> String {
        self.request("GET", path, headers, "").await
    }

    /// Sends a request with a body, and gives the same.
    pub async fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect("connect");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = Vec::new();
        patiently("the HTTP answer", stream.read_to_end(&mut answer))
            .await
            .expect("read");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends a request, and gives the first line of the answer.
    pub async fn first_line(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect("connect");
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut line = String::new();
        patiently(
            "the HTTP answer",
            BufReader::new(stream).read_line(&mut line),
        )
        .await
        .expect("read");
        line
    }

    /// Asks it to end, as a service manager does.
    #[cfg(unix)]
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal, named without `SIG`.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill: {status}");
    }

    /// Waits for its end.
    pub async fn exited(&mut self) -> ExitStatus {
        patiently("the server's end", self.child.wait())
            .await
            .expect("wait")
    }

    /// Memory of the process that is resident, in bytes.
    #[cfg(target_os = "linux")]
    pub fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the process's status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("VmRSS");
        let kibibytes: usize = line
            .trim()
            .trim_end_matches("kB")
            .trim()
            .parse()
            .expect("a number");
        kibibytes * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.read(|log| {
                let skipped = log.len().saturating_sub(LOG_LINES_SHOWN);
                log.iter()
                    .skip(skipped)
                    .map(|line| format!("  | {line}\n"))
                    .collect::<String>()
            });
            eprintln!("the end of the server's log:\n{log}");
        }
    }
}

/// Runs the command until it ends by itself.
pub async fn run(options: &[&str]) -> Output {
    run_prepared(options, |_| {}).await
}

/// The same; `prepare` may give the process another environment.
pub async fn run_prepared(options: &[&str], prepare: impl FnOnce(&mut Command)) -> Output {
    let mut command = command(options);
    command.stdin(Stdio::null()).kill_on_drop(true);
    prepare(&mut command);
    let running = command.output();
    patiently(format_args!("the end of {options:?}"), running)
        .await
        .expect("the server runs")
}

fn command(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crosspoint"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CROSSPOINT_") {
            command.env_remove(name);
        }
    }
    // Nothing is kept from one server to the next, unless a test says where.
    for name in ["HOME", "STATE_DIRECTORY", "XDG_STATE_HOME"] {
        command.env_remove(name);
    }
    // For whoever looks for the cause of a failure.
    if let Ok(log) = std::env::var("TEST_SERVER_LOG") {
        command.args(["--log", &log]);
    }
    command.args(options);
    command
}

/// The sum of a counter over the shards, in Prometheus' text.
pub fn counted(metrics: &str, name: &str) -> f64 {
    let samples = metrics.lines().filter_map(|line| {
        let (sample, value) = line.split_once(' ')?;
        let is_meant = sample.split('{').next() == Some(name);
        is_meant.then(|| value.parse::<f64>().expect("a number"))
    });
    samples.sum()
}
