//! The `crosspoint` command: reads the options, starts the server or what else was asked for, and ends it on
//! Ctrl-C or SIGTERM.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crosspoint::access::{TokenCommandError, TokenOptions};
use crosspoint::config::{Config, LogFormat, Options};
use crosspoint::doctor::{self, DoctorError, DoctorOptions};
use crosspoint::load::{self, LoadConfig, LoadOptions};
use crosspoint::server::{Server, ServerError, allow_open_files};
use crosspoint::telemetry::{self, Telemetry, TelemetryError};
use tokio::runtime::Handle;

/// Gives back what a busy hour needed, within seconds. With glibc's, what still lives keeps the pages around it for good.
#[cfg(all(feature = "jemalloc", target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit status of a wrong command line, as clap has it.
const USAGE: u8 = 2;

/// The protocol crates warn of whatever a network sends; that is for who asks for it by name.
const QUIET: &str = ",rtc_dtls=error,rtc_sctp=error,rtc_srtp=error";

/// Hosts group calls in the browser: serves the page, carries the signalling and forwards the media.
#[derive(Parser)]
#[command(name = "crosspoint", version, about, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(flatten)]
    serve: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What it does instead of serving.
#[derive(Subcommand)]
enum Command {
    Doctor(Box<DoctorOptions>),
    Load(Box<LoadOptions>),
    Token(Box<TokenOptions>),
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    match line.command {
        None => match line.serve.resolve() {
            Ok(config) => serve(&config),
            Err(error) => misused(&error),
        },
        Some(Command::Doctor(options)) => examine(*options),
        Some(Command::Load(options)) => load(*options),
        Some(Command::Token(options)) => token(*options),
    }
}

fn misused(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("crosspoint: {error}");
    ExitCode::from(USAGE)
}

fn executor() -> std::io::Result<tokio::runtime::Runtime> {
    // Two, so that one long message holds up nobody; where there is only one core they would wake each other in vain.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(2))
        .enable_all()
        .build()
}

/// Prints a token, and nothing else.
fn token(options: TokenOptions) -> ExitCode {
    match options.mint() {
        Ok(token) => {
            println!("{token}");
            ExitCode::SUCCESS
        }
        Err(error @ TokenCommandError::NoKey(_)) => misused(&error),
        Err(error) => fail(&error),
    }
}

/// Looks for what is wrong, and prints what was found.
fn examine(options: DoctorOptions) -> ExitCode {
    let json = options.json;
    let config = match options.resolve() {
        Ok(config) => config,
        Err(DoctorError::Config(report)) => return tell(&report, json),
        Err(error) => return misused(&error),
    };
    allow_open_files();
    let executor = match executor() {
        Ok(executor) => executor,
        Err(error) => return fail(&error),
    };
    // What the calls' own server has to say is among the findings.
    let _telemetry = match telemetry::start("off", LogFormat::Text, None, executor.handle()) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(&error),
    };
    tell(&executor.block_on(doctor::run(config)), json)
}

fn tell(report: &doctor::Report, json: bool) -> ExitCode {
    if json {
        match serde_json::to_string_pretty(report) {
            Ok(json) => println!("{json}"),
            Err(error) => return fail(&error),
        }
    } else {
        print!("{report}");
    }
    if report.well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Does what was asked of the load generator.
fn load(options: LoadOptions) -> ExitCode {
    if let Some(address) = options.limit_listen {
        return match load::limit::serve(address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        };
    }
    if let (false, Some(svg)) = (options.from.is_empty(), &options.plot) {
        return match load::plot::plot_files(&options.from, svg) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        };
    }
    match options.resolve() {
        Ok(config) => put_load(&config),
        Err(error) => misused(&error),
    }
}

/// Puts a load on a server and prints the report.
fn put_load(config: &LoadConfig) -> ExitCode {
    let executor = match executor() {
        Ok(executor) => executor,
        Err(error) => return fail(&error),
    };
    let filter = format!("warn{QUIET}");
    let _telemetry = match telemetry::start(&filter, LogFormat::Text, None, executor.handle()) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(&error),
    };
    let result = executor.block_on(async {
        let (drain, ended) =
            end_asked().map_err(|error| load::LoadError::Run(error.to_string()))?;
        let ended = async {
            tokio::select! {
                () = drain => {}
                () = ended => {}
            }
        };
        load::run(config, ended).await
    });
    let report = match result {
        Ok(report) => report,
        Err(error @ load::LoadError::Value { .. }) => return misused(&error),
        Err(error) => return fail(&error),
    };
    if config.json {
        match serde_json::to_string_pretty(&report) {
            Ok(json) => println!("{json}"),
            Err(error) => return fail(&error),
        }
    } else {
        print!("{report}");
    }
    if let Some(svg) = &config.plot
        && let Err(error) = load::plot::plot_report(&report, svg)
    {
        return fail(&error);
    }
    ExitCode::SUCCESS
}

/// Serves until it is ended.
fn serve(config: &Config) -> ExitCode {
    allow_open_files();
    let executor = match executor() {
        Ok(executor) => executor,
        Err(error) => return fail(&error),
    };
    // Dropped before the executor, on which the last spans are sent.
    let _telemetry = match start_telemetry(config, executor.handle()) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(&error),
    };
    let result = executor.block_on(async {
        let server = Server::bind(config).await?;
        // Whoever reads the address may end the program at once.
        let (drain, ended) = end_asked().map_err(ServerError::System)?;
        for url in server.urls() {
            // Nobody may read it.
            let version = env!("CARGO_PKG_VERSION");
            let _ = writeln!(std::io::stdout(), "Crosspoint {version}: open {url}");
        }
        server.run_and_drain(drain, ended).await
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("crosspoint: {error}");
    ExitCode::FAILURE
}

fn start_telemetry(config: &Config, executor: &Handle) -> Result<Telemetry, TelemetryError> {
    let quiet = match config.log.contains("rtc_") {
        true => "",
        false => QUIET,
    };
    // The filter was checked with the other options.
    let filter = format!("{}{quiet}", config.log);
    let endpoint = config.otlp_endpoint.as_ref();
    telemetry::start(&filter, config.log_format, endpoint, executor)
}

/// The first resolves at SIGTERM, the second at Ctrl-C or another SIGTERM; from now on these end nothing by themselves.
#[cfg(unix)]
fn end_asked() -> std::io::Result<(impl Future<Output = ()>, impl Future<Output = ()>)> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (first, heard) = tokio::sync::oneshot::channel::<()>();
    let end = async move {
        tokio::select! {
            _ = interrupt.recv() => return,
            _ = terminate.recv() => {}
        }
        let _ = first.send(());
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let drain = async {
        if heard.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    Ok((drain, end))
}

/// The second resolves at Ctrl-C; there is nothing else to be heard.
#[cfg(not(unix))]
fn end_asked() -> std::io::Result<(impl Future<Output = ()>, impl Future<Output = ()>)> {
    let end = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    Ok((std::future::pending(), end))
}
