//! This machine, with the configuration that the server would have.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use rand::distr::{Alphanumeric, SampleString};
use tokio::sync::oneshot;

use super::calls::{Caller, Reached, Survey, Trouble};
use super::finding::{Finding, Report};
use super::reach::ServerUrl;
use super::ways::{self, From, signalling_fix};
use super::{addresses, certificate, clock, machine, ports, stun};
use crate::access::{Grants, KeySource, Mint, SigningKeySource};
use crate::config::{Config, IceTcp, ListenAddress};
use crate::discovery;
use crate::entrance::{CertificateSource, read_certificate};
use crate::server::Server;
use crate::turn::HostPort;

const CALLS: &str = "calls";
/// How long the doctor's tokens admit.
const TOKEN_TIME: Duration = Duration::from_secs(600);
/// The key of its own server's tokens.
const KEY: &str = "doctor";
const SECRET_LENGTH: usize = 64;
/// Rooms and participants that its calls may need at one time.
const CALLED_AT_ONCE: usize = 256;

/// Looks at everything that can be seen from within, and makes calls on this machine.
pub(super) async fn check(config: &Config, stun: Option<&HostPort>, report: &mut Report) {
    let config = &match discovery::resolved(config).await {
        Ok(config) => config,
        Err(error) => {
            let fix = "without an address that clients can send to, the server does not start: say it itself";
            report.add(Finding::failure("announced", error.to_string(), fix));
            return;
        }
    };
    let ports = ports::check(config).await;
    report.extend(ports.findings.iter().cloned());
    report.extend(machine::check());
    report.add(clock::here(SystemTime::now()));
    let turn_host = config.turn.as_ref().and_then(|turn| turn.host.as_ref());
    let turn_host = turn_host.map(|host| host.host.as_str());
    let only_loopback = addresses::is_for_loopback_only(config);
    report.extend(certificate::here(config, turn_host, only_loopback));
    if let Some(CertificateSource::Acme(acme)) = &config.tls {
        let addresses = addresses::of_server(config, ports.ipv6);
        report.extend(certificate::names_lead_here(acme, &addresses).await);
    }
    report.extend(addresses::check(config, ports.ipv6));
    if let Some(server) = stun {
        let told = addresses::told(config, ports.ipv6);
        let told: Vec<IpAddr> = told.iter().map(|one| one.address.ip()).collect();
        report.extend(stun::check(server, &told).await);
    }
    let running = ports.running;
    // The server's own are others; these need not be held meanwhile.
    drop(ports);
    match running {
        Some(address) => report.extend(on_running(config, address).await),
        None => report.extend(on_own(config).await),
    }
}

/// Calls on the server that runs here already.
async fn on_running(config: &Config, address: SocketAddr) -> Vec<Finding> {
    let token = match config.token_keys.iter().find_map(signing_key) {
        Some(key) => match mint(&key) {
            Ok(token) => Some(token),
            Err(why) => return vec![Finding::not_checked(CALLS, why)],
        },
        None if config.token_keys.is_empty() => None,
        None => {
            let why = "the server here admits those with tokens of a key that only others have: give one with --url and --token";
            return vec![Finding::not_checked(CALLS, why)];
        }
    };
    let url = ServerUrl::at(address, config.tls.is_some(), token);
    calls(Reached { url, address }).await
}

/// Calls on a server that is started for them, on free ports of loopback, and admits nobody else.
async fn on_own(config: &Config) -> Vec<Finding> {
    let secret = Alphanumeric.sample_string(&mut rand::rng(), SECRET_LENGTH);
    let config = of_own(config, &secret);
    let https = config.tls.is_some();
    let token = mint(&SigningKeySource::Secret {
        id: KEY.to_owned(),
        secret: secret.into_bytes(),
    });
    let server = match Server::bind(&config).await {
        Ok(server) => server,
        Err(error) => {
            let fix = "the server would not start either: see what is wrong above";
            return vec![Finding::failure(CALLS, error.to_string(), fix)];
        }
    };
    let (Some(address), Ok(token)) = (server.addresses().first().copied(), token) else {
        let why = "a server could not be started for them";
        return vec![Finding::not_checked(CALLS, why)];
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = server.run(async {
        // An error is the end of `stop`, which means the same.
        let _ = stopped.await;
    });
    let calling = async {
        let url = ServerUrl::at(address, https, Some(token));
        let findings = calls(Reached { url, address }).await;
        drop(stop);
        findings
    };
    let (served, mut findings) = tokio::join!(serving, calling);
    if let Err(error) = served {
        let fix = "look at what the system says of it, and at the limits of the service";
        findings.push(Finding::failure(CALLS, error.to_string(), fix));
    }
    findings
}

/// What the server of the calls is told: all that was configured, but for its ports, for whom it admits, and for whom it tells.
fn of_own(config: &Config, secret: &str) -> Config {
    let loopback = ListenAddress::One(([127, 0, 0, 1], 0).into());
    let mut own = Config {
        listen: vec![loopback],
        listen_is_default: false,
        udp_port: 0,
        token_keys: vec![KeySource::Secret {
            id: KEY.to_owned(),
            secret: secret.as_bytes().to_vec(),
        }],
        operator_token: None,
        webhooks: None,
        otlp_endpoint: None,
        ..config.clone()
    };
    let limits = &mut own.limits;
    limits.max_rooms = limits.max_rooms.max(CALLED_AT_ONCE);
    limits.max_sockets_per_address = limits.max_sockets_per_address.max(CALLED_AT_ONCE);
    limits.max_joins_per_second = limits.max_joins_per_second.max(CALLED_AT_ONCE as u32);
    if let IceTcp::Own(_) = own.ice_tcp {
        own.ice_tcp = IceTcp::Own(loopback);
    }
    if let Some(turn) = &mut own.turn {
        turn.port = turn.port.map(|_| 0);
        turn.host = None;
    }
    // Nobody is asked for a certificate, and none is kept; one that cannot be read was said to be so.
    own.tls = match own.tls {
        Some(CertificateSource::Files { chain, key }) => read_certificate(&chain, &key)
            .is_ok()
            .then_some(CertificateSource::Files { chain, key }),
        Some(CertificateSource::Acme(_) | CertificateSource::SelfSigned { .. }) => {
            Some(CertificateSource::SelfSigned { state: None })
        }
        None => None,
    };
    own
}

async fn calls(server: Reached) -> Vec<Finding> {
    let caller = match Caller::new(server) {
        Ok(caller) => caller,
        Err(why) => return vec![Finding::not_checked(CALLS, why)],
    };
    match Survey::new(&caller).await {
        Ok(survey) => {
            let findings = ways::check(&caller, &survey, From::here()).await;
            survey.end().await;
            findings
        }
        Err(Trouble::Signalling(why)) => {
            let fix = signalling_fix(&why);
            vec![Finding::failure(
                CALLS,
                format!("nobody comes in: {why}"),
                fix,
            )]
        }
        Err(trouble) => vec![Finding::failure(
            CALLS,
            format!("nobody comes in: {trouble:?}"),
            "look at the server's log",
        )],
    }
}

/// What the server's tokens are signed with, where that is known here.
fn signing_key(source: &KeySource) -> Option<SigningKeySource> {
    match source {
        KeySource::Secret { id, secret } => Some(SigningKeySource::Secret {
            id: id.clone(),
            secret: secret.clone(),
        }),
        KeySource::PublicKey { .. } => None,
    }
}

fn mint(key: &SigningKeySource) -> Result<String, String> {
    let mint = Mint {
        grants: Grants::default(),
        valid_for: TOKEN_TIME,
        ..Mint::default()
    };
    mint.sign(key).map_err(|error| error.to_string())
}
