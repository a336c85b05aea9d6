//! What `crosspoint doctor` may be told.

use std::fmt;

use clap::Args;

use super::finding::{Finding, Report};
use super::reach::ServerUrl;
use crate::config::{Config, Options};
use crate::turn::HostPort;

/// Checks this machine with the server's configuration, or a server from here: ports, buffers, clock, certificate, announced
/// addresses, and a call through each way (UDP, TCP, TURN). Says each failure with its fix, and exits with 1 if there is one.
#[derive(Args, Clone, Debug)]
pub struct DoctorOptions {
    /// Check the server at this URL, from here, instead of this machine: best from another network than the server's
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The token that the server at --url asks for, for every room: `crosspoint token --every-room` makes one
    #[arg(
        long,
        env = "CROSSPOINT_DOCTOR_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        requires = "url"
    )]
    pub token: Option<String>,

    /// Ask this STUN server under which address the Internet sees this machine
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "url")]
    pub stun: Option<String>,

    /// Report as JSON
    #[arg(long)]
    pub json: bool,

    /// The server's own options, with which this machine is checked
    #[command(flatten)]
    pub server: Options,
}

/// What is to be checked, and how it is told.
#[derive(Clone, Debug)]
pub struct DoctorConfig {
    pub(super) subject: Subject,
    /// A STUN server, by name and port.
    pub(super) stun: Option<HostPort>,
    /// Whether the report is JSON.
    pub json: bool,
}

/// What is looked at.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// This machine, with what the server would be told.
    Here(Box<Config>),
    /// A server, from outside.
    There(ServerUrl),
}

/// Why nothing can be checked.
#[derive(Debug)]
pub enum DoctorError {
    /// An option's value is not allowed.
    Value {
        /// The long name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What may be given, in words.
        allowed: &'static str,
    },
    /// The server would not start with its configuration, which is the first finding, and the only one.
    Config(Box<Report>),
}

impl fmt::Display for DoctorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value {
                option,
                value,
                allowed,
            } => write!(f, "`--{option}` cannot be `{value}`: allowed is {allowed}"),
            Self::Config(report) => report.fmt(f),
        }
    }
}

impl std::error::Error for DoctorError {}

impl DoctorOptions {
    /// Checks what was said, the server's own options too unless it is about another one.
    pub fn resolve(self) -> Result<DoctorConfig, DoctorError> {
        let wrong = |option, value: &str, allowed| DoctorError::Value {
            option,
            value: value.to_owned(),
            allowed,
        };
        let stun = self.stun.as_deref().map(|text| {
            let host = HostPort::parse(text).filter(|host| host.port.is_some());
            host.ok_or_else(|| wrong("stun", text, "HOST:PORT, such as stun.example.org:3478"))
        });
        let is_token = |token: &&str| {
            let of_jwt = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !token.is_empty() && token.bytes().all(of_jwt)
        };
        let token = self.token.as_deref().map(|token| {
            let token = Some(token).filter(is_token).map(str::to_owned);
            token.ok_or_else(|| wrong("token", "***", "a JWT, as `crosspoint token` prints it"))
        });
        let (stun, token) = (stun.transpose()?, token.transpose()?);
        let subject = match self.url.as_deref() {
            Some(text) => {
                let url = ServerUrl::parse(text, token);
                Subject::There(url.ok_or_else(|| {
                    wrong("url", text, "the page's, such as https://call.example.org")
                })?)
            }
            None => Subject::Here(Box::new(self.server.resolve().map_err(|error| {
                let fix = "say it as it is allowed, on the command line, in the environment or in the file; \
                           the server does not start before";
                let finding = Finding::failure("options", error.to_string(), fix);
                DoctorError::Config(Box::new(Report::of_failure(finding)))
            })?)),
        };
        Ok(DoctorConfig {
            subject,
            stun,
            json: self.json,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: DoctorOptions,
    }

    fn error(line: &[&str]) -> String {
        let line = std::iter::once("doctor").chain(line.iter().copied());
        match Line::try_parse_from(line) {
            Ok(line) => line.options.resolve().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_allowed() {
        for (line, words) in [
            (
                &["--url", "call.example.org"][..],
                "https://call.example.org",
            ),
            (
                &["--url", "ftp://call.example.org"],
                "https://call.example.org",
            ),
            (&["--stun", "stun.example.org"], "HOST:PORT"),
            (
                &["--stun", "a:1", "--url", "http://a"],
                "cannot be used with",
            ),
            (&["--token", "a.b.c"], "--url"),
            (&["--url", "http://a", "--token", "a&b"], "a JWT"),
        ] {
            let error = error(line);
            assert!(error.contains(words), "{line:?}: {error}");
        }
        assert!(!error(&["--url", "http://a", "--token", "secret word"]).contains("secret"));
    }

    #[test]
    fn a_configuration_that_cannot_be_is_the_first_finding() {
        let error = error(&["--shards", "99"]);
        assert!(error.contains("FAILURE  options"), "{error}");
        assert!(
            error.contains("`shards` cannot be `99`: allowed is 1 to 64"),
            "{error}"
        );
    }
}
