//! The `crosspoint` command: reads the options, starts the server, and ends it on Ctrl-C or SIGTERM.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use crosspoint::config::{Config, LogFormat, Options};
use crosspoint::server::{Server, ServerError};

/// Exit status of a wrong command line, as clap has it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let config = match Options::parse().resolve() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("crosspoint: {error}");
            return ExitCode::from(USAGE);
        }
    };
    start_logging(&config);
    let executor = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(executor) => executor,
        Err(error) => return fail(&error),
    };
    let result = executor.block_on(async {
        let server = Server::bind(&config).await?;
        // Whoever reads the address may end the program at once.
        let ended = end_asked().map_err(ServerError::System)?;
        for url in server.urls() {
            println!("Crosspoint {}: open {url}", env!("CARGO_PKG_VERSION"));
        }
        server.run(ended).await
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

fn start_logging(config: &Config) {
    // The protocol crates warn of whatever a network sends; that is for who asks for it by name.
    let quiet = if config.log.contains("rtc_") {
        ""
    } else {
        ",rtc_dtls=error,rtc_sctp=error,rtc_srtp=error"
    };
    // The filter was checked with the other options.
    let filter = tracing_subscriber::EnvFilter::new(format!("{}{quiet}", config.log));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Resolves at Ctrl-C or SIGTERM, which from now on end nothing by themselves.
#[cfg(unix)]
fn end_asked() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn end_asked() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
