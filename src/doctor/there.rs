//! A server somewhere, as it is seen from here.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::calls::{Caller, Reached, Survey, Trouble};
use super::certificate::{self, Trust};
use super::clock;
use super::finding::{Finding, Report};
use super::reach::{Answer, STEP, ServerUrl, words};
use super::ways::{self, From, signalling_fix};

const NAME: &str = "name";
const PAGE: &str = "page";
const SIGNALLING: &str = "signalling";
const CALLS: &str = "calls";
/// How often a server that starts is asked again.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Looks at it from its name to calls by each way that it tells.
pub(super) async fn check(url: &ServerUrl, report: &mut Report) {
    let Some(address) = reached(url, report).await else {
        return;
    };
    let Some(trusted) = is_trusted(url, address, report).await else {
        return;
    };
    if !answers(url, address, report).await {
        return;
    }
    if url.token.is_some() && !trusted {
        let why = "the token is not sent to a server whose certificate may be anybody's";
        report.add(Finding::not_checked(CALLS, why));
        return;
    }
    calls(url, address, report).await;
}

/// The first address of the name that answers; each that does not is told.
async fn reached(url: &ServerUrl, report: &mut Report) -> Option<SocketAddr> {
    let addresses = match url.addresses().await {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => Vec::new(),
        Err(error) => {
            report.add(Finding::failure(
                NAME,
                format!("{} is not known here: {error}", url.host),
                "give the name an A record (and AAAA, with IPv6) with the server's address, and wait until it is known",
            ));
            return None;
        }
    };
    let mut first = None;
    let mut silent = Vec::new();
    for address in addresses {
        match super::reach::connect(address).await {
            Ok(_) => {
                first.get_or_insert(address);
            }
            Err(error) => silent.push((address, words(&error))),
        }
    }
    if let Some(address) = first {
        let ip = address.ip();
        report.add(Finding::ok(
            NAME,
            format!("{} leads to {ip}, where TCP {} answers", url.host, url.port),
        ));
    }
    for (address, why) in silent {
        let seen = format!("TCP {address}: {why}");
        let fix = format!(
            "start the server there, with --listen :{}; let TCP {0} through the firewall of the machine and of its provider; correct the name's \
             records, if this is not its address",
            address.port()
        );
        report.add(match first {
            Some(_) => Finding::warning(NAME, seen, fix),
            None => Finding::failure(NAME, seen, fix),
        });
    }
    first
}

/// Whether it may be told secrets; `None` where there is nobody to tell anything.
async fn is_trusted(url: &ServerUrl, address: SocketAddr, report: &mut Report) -> Option<bool> {
    const CERTIFICATE: &str = "certificate";
    if !url.https {
        let is_near = address.ip().is_loopback();
        report.add(if is_near {
            Finding::not_checked(CERTIFICATE, "the URL says HTTP")
        } else {
            Finding::warning(
                CERTIFICATE,
                "the URL says HTTP: browsers give a page the camera only over HTTPS",
                "let the server ask for a certificate (--acme-domain), or give it one (--tls-cert and --tls-key), or let a proxy speak HTTPS",
            )
        });
        return Some(is_near);
    }
    match url.connect(address).await {
        Ok(connection) => {
            report.extend(certificate::judge(&connection.chain, Some(&url.host)));
            Some(certificate::trust(&connection.chain, &url.host) == Trust::Given)
        }
        Err(error) => {
            report.add(Finding::failure(
                CERTIFICATE,
                words(&error),
                "let the server speak HTTPS on this port (--tls-cert and --tls-key), or give the URL with http://",
            ));
            None
        }
    }
}

/// Whether a Crosspoint answers, and takes participants.
async fn answers(url: &ServerUrl, address: SocketAddr, report: &mut Report) -> bool {
    let begun = Instant::now();
    let answer = loop {
        match url.get(address, "/ready").await {
            Ok(answer) if &answer.body[..] == b"starting" && begun.elapsed() < STEP => {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            Ok(answer) => break answer,
            Err(why) => {
                let fix = "let what listens there be Crosspoint, or a proxy that leads to it";
                report.add(Finding::failure(PAGE, format!("/ready: {why}"), fix));
                return false;
            }
        }
    };
    let Answer {
        status,
        headers,
        body,
    } = answer;
    let said = String::from_utf8_lossy(&body);
    let finding = match (status.as_u16(), said.as_ref()) {
        (200, "ready") => Finding::ok(PAGE, "it is ready for participants"),
        (503, word @ ("starting" | "draining")) => Finding::failure(
            PAGE,
            format!("it takes nobody: it is {word}"),
            "run it again when the server has started",
        ),
        (300..400, _) => Finding::failure(
            PAGE,
            format!("it sends visitors elsewhere ({status})"),
            "give the URL that it sends them to: https:// in place of http://, most likely",
        ),
        (502..=504, _) => Finding::failure(
            PAGE,
            format!("a proxy answers, and reaches no server behind it ({status})"),
            "start the server, and let the proxy lead to its --listen address",
        ),
        _ => Finding::failure(
            PAGE,
            format!("something else than Crosspoint answers: /ready is {status}"),
            "give the URL of the server; a proxy in front of it has to pass on every path",
        ),
    };
    let well = finding.outcome == super::Outcome::Ok;
    report.add(finding);
    if well {
        report.add(clock::against(&headers, SystemTime::now()));
    }
    well
}

async fn calls(url: &ServerUrl, address: SocketAddr, report: &mut Report) {
    let url = url.clone();
    let caller = match Caller::new(Reached { url, address }) {
        Ok(caller) => caller,
        Err(why) => return report.add(Finding::not_checked(CALLS, why)),
    };
    let survey = match Survey::new(&caller).await {
        Ok(survey) => survey,
        Err(trouble) => {
            let why = match trouble {
                Trouble::Signalling(why) => why,
                other => format!("{other:?}"),
            };
            let fix = signalling_fix(&why);
            return report.add(Finding::failure(
                SIGNALLING,
                format!("nobody comes in: {why}"),
                fix,
            ));
        }
    };
    let version = &survey.version;
    report.add(Finding::ok(
        SIGNALLING,
        format!("it is Crosspoint {version}, and lets participants in"),
    ));
    report.extend(ways::check(&caller, &survey, From::There).await);
    survey.end().await;
}
