//! All ways of a server, called by, and what that says about each.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::addresses;
use super::calls::{Caller, Carrier, Heard, Survey, Trouble, Way};
use super::finding::Finding;
use super::ports::listed;
use crate::transport::{Endpoint, Protocol};

const UDP: &str = "UDP call";
const TCP: &str = "TCP call";
const TURN: &str = "TURN call";

/// Where the caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// On the server's machine, which has these addresses: only what is there is called.
    Here(Vec<IpAddr>),
    /// Somewhere else.
    There,
}

impl From {
    /// On the server's machine.
    pub(super) fn here() -> Self {
        Self::Here(addresses::own())
    }

    /// Those candidates that are called. Here, loopback stands for all addresses, where its port may be told: one below 1024
    /// may not.
    fn called<'a>(&self, told: &'a [Endpoint]) -> impl Iterator<Item = &'a Endpoint> {
        let is_loopback = |one: &Endpoint| one.address.ip().is_loopback();
        told.iter().filter(move |candidate| match self {
            Self::There => true,
            Self::Here(_) if is_loopback(candidate) => true,
            Self::Here(own) => {
                let like = |one: &Endpoint| one.protocol == candidate.protocol;
                own.contains(&candidate.address.ip())
                    && !told.iter().any(|one| like(one) && is_loopback(one))
            }
        })
    }
}

/// One call that was made.
#[derive(Clone)]
struct Made {
    way: Way,
    to: Option<SocketAddr>,
    result: Result<Heard, Trouble>,
}

/// Calls by each way that the server tells.
pub(super) async fn check(caller: &Caller, survey: &Survey, from: From) -> Vec<Finding> {
    let mut calls = FuturesUnordered::new();
    let mut seen: Vec<Endpoint> = Vec::new();
    let mut apart: Vec<(Way, Option<SocketAddr>)> = Vec::new();
    for room in &survey.rooms {
        let mut on_shard = Vec::new();
        for candidate in from.called(&room.candidates) {
            if seen.contains(candidate) {
                continue;
            }
            seen.push(*candidate);
            let call = (Way::to(*candidate), Some(candidate.address));
            match candidate.protocol {
                Protocol::Udp => on_shard.push(call),
                // All shards share it.
                Protocol::Tcp => apart.push(call),
            }
        }
        // One after the other: who is heard is to be the other one of the same call.
        calls.push(in_turn(caller, Some(&room.name), on_shard));
    }
    let relayed = survey.turn.iter().cloned();
    apart.extend(relayed.map(|server| (Way::Relayed(server), None)));
    calls.extend(
        apart
            .into_iter()
            .map(|call| in_turn(caller, None, vec![call])),
    );
    let told = |protocol| seen.iter().any(|candidate| candidate.protocol == protocol);
    let told = [told(Protocol::Udp), told(Protocol::Tcp)];
    let mut made: Vec<Made> = calls.collect::<Vec<_>>().await.concat();
    if let From::Here(_) = from {
        // The certificate is for other names than loopback's, and looked at by itself.
        for heard in made.iter_mut().filter_map(|call| call.result.as_mut().ok()) {
            heard.objection = None;
        }
    }
    // In the order in which they were told, whichever was first.
    made.sort_by_key(|call| {
        let of_turn = |server| survey.turn.iter().position(|one| one == server);
        match &call.way {
            Way::Direct(..) => seen.iter().position(|one| Some(one.address) == call.to),
            Way::Relayed(server) => of_turn(server),
        }
    });
    let mut findings = Vec::new();
    let [told_udp, told_tcp] = told;
    findings.extend(direct(&made, Protocol::Udp));
    if !told_udp {
        findings.push(Finding::failure(
            UDP,
            "the server tells no address for media by UDP",
            "see `crosspoint doctor` on its machine: browsers take no port below 1024 but 443, and that at public addresses only",
        ));
    }
    findings.extend(direct(&made, Protocol::Tcp));
    if !told_tcp {
        let mut all = survey.rooms.iter().flat_map(|room| &room.candidates);
        let why = match all.find(|one| one.protocol == Protocol::Tcp) {
            Some(elsewhere) => format!(
                "the server tells {} for media by TCP, which is none of this machine's addresses: `crosspoint doctor --url` on another machine \
                 calls it",
                elsewhere.address
            ),
            None => "the server tells no address for media by TCP (--ice-tcp off, or its page is elsewhere): who is behind a network that \
                     blocks UDP needs TURN"
                .to_owned(),
        };
        findings.push(Finding::not_checked(TCP, why));
    }
    let relayed = made
        .iter()
        .filter(|call| matches!(call.way, Way::Relayed(_)));
    findings.extend(relayed.map(|call| told_of(TURN, call)));
    findings.extend(not_told(survey));
    findings
}

/// Makes these calls one after the other, in this room or in rooms of their own.
async fn in_turn(
    caller: &Caller,
    room: Option<&str>,
    calls: Vec<(Way, Option<SocketAddr>)>,
) -> Vec<Made> {
    let mut made = Vec::new();
    for (way, to) in calls {
        let result = caller.call(room, &way).await;
        made.push(Made { way, to, result });
    }
    made
}

/// What is said of TURN that nobody is told of.
fn not_told(survey: &Survey) -> Option<Finding> {
    let by = |carrier| survey.turn.iter().any(|server| server.carrier == carrier);
    if survey.turn.is_empty() {
        let why = "clients are told of no TURN server (--turn false?): who is behind a network that lets nothing but web traffic through \
                   may not get in";
        return Some(Finding::not_checked(TURN, why));
    }
    if by(Carrier::Udp) {
        return None;
    }
    let why = "by UDP clients are told of none: --turn-port 3478 gives TURN a port for it";
    Some(Finding::not_checked(TURN, why))
}

/// The calls to candidates: those of one address that went well together, the others each.
fn direct(made: &[Made], protocol: Protocol) -> Vec<Finding> {
    let check = match protocol {
        Protocol::Udp => UDP,
        Protocol::Tcp => TCP,
    };
    let of_protocol = |call: &&Made| matches!(call.way, Way::Direct(of, _) if of == protocol);
    let calls = || made.iter().filter(of_protocol);
    let mut findings = Vec::new();
    let mut ips = Vec::new();
    for call in calls() {
        let (Some(to), Ok(_)) = (call.to, &call.result) else {
            continue;
        };
        if ips.contains(&to.ip()) {
            continue;
        }
        ips.push(to.ip());
        let good = calls().filter_map(|call| Some((call.to?, call.result.as_ref().ok()?)));
        let good: Vec<_> = good.filter(|(other, _)| other.ip() == to.ip()).collect();
        let mut ports: Vec<u16> = good.iter().map(|(to, _)| to.port()).collect();
        ports.sort_unstable();
        ports.dedup();
        let took = good.iter().map(|(_, heard)| heard.took).max();
        let word = if ports.len() == 1 { "port" } else { "ports" };
        findings.push(Finding::ok(
            check,
            format!(
                "{way}, {word} {ports}: two heard each other after {took}",
                way = call.way,
                ports = listed(&ports),
                took = shown(took.unwrap_or_default())
            ),
        ));
    }
    for call in calls().filter(|call| call.result.is_err()) {
        let finding = told_of(check, call);
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}

/// One call in words.
fn told_of(check: &'static str, call: &Made) -> Finding {
    let way = match call.to {
        Some(to) => format!("{}, port {}", call.way, to.port()),
        None => call.way.to_string(),
    };
    match &call.result {
        Ok(Heard {
            took,
            objection: None,
        }) => Finding::ok(
            check,
            format!("{way}: two heard each other after {}", shown(*took)),
        ),
        Ok(Heard {
            objection: Some(why),
            ..
        }) => Finding::warning(
            check,
            format!("{way}: it works, but browsers refuse its certificate: {why}"),
            "give the server a certificate of the name that clients are told (--turn-host) from an authority that browsers trust",
        ),
        Err(Trouble::NoConnection {
            to, no_route: true, ..
        }) => {
            let family = if to.is_ipv4() { "IPv4" } else { "IPv6" };
            let why = "this machine has no way there, so that nothing is known of it";
            let advice = format!("`crosspoint doctor --url` on one that has {family} calls it");
            Finding::not_checked(check, format!("{}: {why}; {advice}", call.way))
        }
        Err(trouble) => {
            let (seen, fix) = explain(&call.way, call.to, trouble);
            Finding::failure(check, format!("{way}: {seen}"), fix)
        }
    }
}

/// What happened, and what to do.
fn explain(way: &Way, to: Option<SocketAddr>, trouble: &Trouble) -> (String, String) {
    let let_through = |to: SocketAddr, protocol: &str| {
        format!(
            "let {protocol} port {} through, in the firewall of the machine and of its provider; if the server is not at {}, --announce the \
             right address. From behind the server's own router this says nothing: run it in another network",
            to.port(),
            to.ip()
        )
    };
    let protocol = match way {
        Way::Direct(Protocol::Udp, _) => "UDP",
        Way::Direct(Protocol::Tcp, _) | Way::Relayed(_) => "TCP",
    };
    let forward = |port: u16| {
        format!(
            "{protocol} port {port} has to lead to the server by the same number: look at --announce, and at the router or container in between"
        )
    };
    match (trouble, to) {
        (Trouble::Silent, Some(to)) if matches!(way, Way::Direct(Protocol::Tcp, _)) => (
            "it connects, and nothing comes back".to_owned(),
            format!(
                "what listens on TCP port {} is not the server, or a proxy in front of it that passes on web traffic only: lead the port to \
                 Crosspoint itself, or give media by TCP one of its own (--ice-tcp)",
                to.port()
            ),
        ),
        (Trouble::Silent, Some(to)) if to.ip().is_loopback() => (
            "nothing comes back".to_owned(),
            "let the machine speak with itself: a rule of its firewall holds back loopback (iptables -I INPUT -i lo -j ACCEPT)".to_owned(),
        ),
        (Trouble::Silent, Some(to)) => ("nothing comes back".to_owned(), let_through(to, protocol)),
        (Trouble::Silent, None) => (
            "the TURN server answers, and nothing comes through it from media".to_owned(),
            "look at the server's log (--log debug): it relays to its own media ports only; behind a proxy --announce has to say how it is reached"
                .to_owned(),
        ),
        (Trouble::Refused, to) => (
            "the machine there says that nobody has the port".to_owned(),
            forward(to.map_or(0, |to| to.port())),
        ),
        (Trouble::NoConnection { to, why, .. }, _) => (
            format!("no connection to {to}: {why}"),
            let_through(*to, if matches!(way, Way::Relayed(server) if server.carrier == Carrier::Udp) { "UDP" } else { protocol }),
        ),
        (Trouble::Turn(why), _) => (
            why.clone(),
            "let its port through the firewall; a name that is wrong is --turn-host's; a refusal of credentials (401) comes of servers with \
             different --turn-secret, or of a clock"
                .to_owned(),
        ),
        (Trouble::Broken(why), _) => (
            format!("the connection broke: {why}"),
            "what listens there is not the server, or something in between ends what it does not know: lead the port to Crosspoint itself".to_owned(),
        ),
        (Trouble::NoHandshake, _) => (
            "checks are answered, and no secure connection comes about".to_owned(),
            "something in between lets short packets through and long ones not: look at the MTU (1200 bytes have to pass), and at filters for DTLS"
                .to_owned(),
        ),
        (Trouble::NoMedia, _) => (
            "two are connected, and do not hear each other".to_owned(),
            "look at the server's log (--log debug) and at /metrics, what it dropped and why; --max-bandwidth and filters for RTP hold media back"
                .to_owned(),
        ),
        (Trouble::NotTold, _) => (
            "the server did not tell the way again".to_owned(),
            "run it again: the server was started anew meanwhile, or its shards differ".to_owned(),
        ),
        (Trouble::Signalling(why), _) => (why.clone(), signalling_fix(why).to_owned()),
    }
}

/// What to do about the server's own words.
pub(super) fn signalling_fix(why: &str) -> &'static str {
    let code = why.split(':').next().unwrap_or_default();
    match code {
        "token-required" | "bad-token" | "token-expired" => {
            "give a token with --token: `crosspoint token --every-room --valid-for 10m` makes one with the server's key"
        }
        "wrong-room" => {
            "the token has to be for every room: `crosspoint token --every-room --valid-for 10m`"
        }
        "overloaded" => {
            "the server is at its limit (--max-cpu, --max-bandwidth): another machine, or higher limits"
        }
        "draining" => "the server is about to end, or to start anew: run it again then",
        "too-many-joins" => "wait a few seconds, or raise --max-joins-per-second",
        "too-many-rooms" => "the server has all rooms that it may have: wait, or raise --max-rooms",
        "too-many-sockets" => {
            "close other connections from this address, or raise --max-sockets-per-address"
        }
        _ if why.contains("HTTP status 403") => {
            "a proxy in between refuses WebSockets, or changes the Origin: look at its configuration, and at --allowed-origins"
        }
        _ if why.contains("HTTP status") => {
            "a proxy in between has to pass WebSockets on (Upgrade and Connection), for /ws at least"
        }
        _ => "look at the server's log, and whether a proxy in between passes WebSockets on",
    }
}

fn shown(took: Duration) -> String {
    format!("{} ms", took.as_millis())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Outcome;
    use super::super::calls::TurnServer;
    use super::*;

    fn to() -> SocketAddr {
        "203.0.113.5:7881".parse().unwrap()
    }

    fn made(protocol: Protocol, to: SocketAddr, result: Result<Heard, Trouble>) -> Made {
        Made {
            way: Way::Direct(protocol, to.ip()),
            to: Some(to),
            result,
        }
    }

    fn heard(milliseconds: u64) -> Result<Heard, Trouble> {
        Ok(Heard {
            took: Duration::from_millis(milliseconds),
            objection: None,
        })
    }

    #[test]
    fn each_trouble_is_told_with_what_to_do() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 7_880));
        let why = || "nothing listens there".to_owned();
        for (protocol, to, trouble, seen, fix) in [
            (
                Protocol::Udp,
                to(),
                Trouble::Silent,
                "nothing comes back",
                "UDP port 7881 through",
            ),
            (
                Protocol::Udp,
                loopback,
                Trouble::Silent,
                "nothing comes back",
                "-i lo -j ACCEPT",
            ),
            (
                Protocol::Tcp,
                to(),
                Trouble::Silent,
                "it connects, and nothing",
                "--ice-tcp",
            ),
            (
                Protocol::Udp,
                to(),
                Trouble::Refused,
                "nobody has the port",
                "UDP port 7881 has to lead",
            ),
            (
                Protocol::Tcp,
                to(),
                Trouble::NoConnection {
                    to: to(),
                    why: why(),
                    no_route: false,
                },
                "203.0.113.5:7881: nothing listens there",
                "TCP port 7881 through",
            ),
            (
                Protocol::Tcp,
                to(),
                Trouble::Broken(why()),
                "broke",
                "lead the port to Crosspoint",
            ),
            (
                Protocol::Udp,
                to(),
                Trouble::NoHandshake,
                "no secure connection",
                "MTU",
            ),
            (
                Protocol::Udp,
                to(),
                Trouble::NoMedia,
                "do not hear",
                "/metrics",
            ),
            (
                Protocol::Udp,
                to(),
                Trouble::NotTold,
                "again",
                "run it again",
            ),
            (
                Protocol::Udp,
                to(),
                Trouble::Signalling("overloaded: full".to_owned()),
                "overloaded: full",
                "--max-cpu",
            ),
        ] {
            let finding = told_of(UDP, &made(protocol, to, Err(trouble.clone())));
            assert_eq!(finding.outcome, Outcome::Failure);
            assert!(finding.seen.contains(seen), "{trouble:?}: {}", finding.seen);
            assert!(
                finding.seen.contains(&to.port().to_string()),
                "{}",
                finding.seen
            );
            let told = finding.fix.unwrap();
            assert!(told.contains(fix), "{trouble:?}: {told}");
        }
    }

    #[test]
    fn turn_is_told_of_by_its_carrier() {
        let id = json!({"iceServers": [{"urls": ["turn:a.org:3478?transport=udp", "turns:a.org:443?transport=tcp"]}]});
        let [by_udp, by_tls] = TurnServer::all_in(&id).try_into().unwrap();
        let call = |server: &TurnServer, result| Made {
            way: Way::Relayed(server.clone()),
            to: None,
            result,
        };
        let trouble = Trouble::NoConnection {
            to: to(),
            why: "no answer".to_owned(),
            no_route: false,
        };
        let udp = told_of(TURN, &call(&by_udp, Err(trouble.clone())));
        assert!(
            udp.seen.starts_with("TURN by UDP to a.org:3478"),
            "{}",
            udp.seen
        );
        assert!(udp.fix.unwrap().contains("UDP port 7881"));
        let tls = told_of(TURN, &call(&by_tls, Err(trouble)));
        assert!(tls.fix.unwrap().contains("TCP port 7881"));
        let refused = told_of(
            TURN,
            &call(&by_tls, Err(Trouble::Turn("error 401".to_owned()))),
        );
        assert!(refused.fix.unwrap().contains("--turn-secret"));
        let silent = told_of(TURN, &call(&by_tls, Err(Trouble::Silent)));
        assert!(
            silent.seen.contains("nothing comes through it"),
            "{}",
            silent.seen
        );
        let objection = Some("it expired 3 days ago".to_owned());
        let took = Duration::from_millis(1);
        let doubtful = told_of(TURN, &call(&by_tls, Ok(Heard { took, objection })));
        assert_eq!(doubtful.outcome, Outcome::Warning);
        assert!(
            doubtful.seen.ends_with("it expired 3 days ago"),
            "{}",
            doubtful.seen
        );
    }

    #[test]
    fn the_ports_of_one_address_that_work_are_told_together() {
        let other = SocketAddr::new(to().ip(), 7_882);
        let third = SocketAddr::new(to().ip(), 7_883);
        let made = [
            made(Protocol::Udp, other, heard(5)),
            made(Protocol::Udp, to(), heard(9)),
            made(Protocol::Tcp, to(), heard(7)),
            made(Protocol::Udp, third, Err(Trouble::Silent)),
        ];
        let findings = direct(&made, Protocol::Udp);
        let seen: Vec<&str> = findings.iter().map(|one| one.seen.as_str()).collect();
        assert_eq!(
            seen,
            [
                "UDP to 203.0.113.5, ports 7881 to 7882: two heard each other after 9 ms",
                "UDP to 203.0.113.5, port 7883: nothing comes back",
            ]
        );
    }

    #[test]
    fn a_way_that_this_machine_does_not_have_is_no_failure_of_the_servers() {
        let to: SocketAddr = "[2001:db8::5]:7880".parse().unwrap();
        let trouble = || Trouble::NoConnection {
            to,
            why: "Network is unreachable".to_owned(),
            no_route: true,
        };
        let next = SocketAddr::new(to.ip(), 7_881);
        let made = [to, next].map(|to| made(Protocol::Udp, to, Err(trouble())));
        let [finding] = direct(&made, Protocol::Udp).try_into().expect("one");
        assert_eq!(finding.outcome, Outcome::NotChecked);
        assert!(finding.seen.starts_with("UDP to 2001:db8::5: "));
        assert!(finding.seen.contains("has IPv6"), "{}", finding.seen);
    }

    #[test]
    fn on_the_servers_machine_its_addresses_are_called_where_loopback_is_not_told() {
        let udp = |text: &str| Endpoint::udp(text.parse().unwrap());
        let tcp = |text: &str| Endpoint::tcp(text.parse().unwrap());
        let told = [
            udp("127.0.0.1:7880"),
            udp("203.0.113.5:7880"),
            tcp("203.0.113.5:443"),
            tcp("198.51.100.7:443"),
        ];
        let here = From::Here(vec!["203.0.113.5".parse().unwrap()]);
        let called: Vec<Endpoint> = here.called(&told).copied().collect();
        assert_eq!(called, [told[0], told[2]]);
        assert_eq!(From::There.called(&told).count(), told.len());
    }

    #[test]
    fn the_servers_own_words_lead_to_a_fix() {
        for (why, fix) in [
            ("token-required: ask", "--token"),
            ("wrong-room: the token is for the room demo", "--every-room"),
            ("draining: later", "run it again"),
            (
                "https://a/ws answers with HTTP status 403 Forbidden",
                "--allowed-origins",
            ),
            ("https://a/ws answers with HTTP status 200 OK", "Upgrade"),
            ("something", "log"),
        ] {
            assert!(signalling_fix(why).contains(fix), "{why}");
        }
    }
}
