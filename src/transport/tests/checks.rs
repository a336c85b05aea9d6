//! Connectivity checks: what is answered, and which path is selected by them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::stun::attributes::{ATTR_ICE_CONTROLLED, ATTR_USE_CANDIDATE, AttrType};
use ::stun::error_code::ErrorCodeAttribute;
use ::stun::fingerprint::FINGERPRINT;
use ::stun::integrity::MessageIntegrity;
use ::stun::message::{BINDING_ERROR, BINDING_SUCCESS, Getter, Message};
use ::stun::xoraddr::XorMappedAddress;

use super::pair::{Check, LIMITS, credentials, path};
use crate::shard::{DtlsRole, TransportParameters};
use crate::transport::{Identity, StunError, Transport, TransportEvent, stun_username};

struct Agent {
    transport: Transport,
    now: Instant,
}

impl Agent {
    fn new() -> Self {
        let identity = Identity::generate().unwrap();
        Self {
            transport: Transport::new(&identity, credentials("us"), LIMITS),
            now: Instant::now(),
        }
    }

    fn check(&mut self, from: &str, edit: impl FnOnce(&mut Check)) -> Result<(), StunError> {
        let mut check = Check::new(&credentials("us"), &credentials("them"));
        edit(&mut check);
        let (now, path) = (self.now, path(from));
        self.transport.handle_stun(now, path, &check.encode())
    }

    /// The answer, with a right integrity and fingerprint.
    fn answer(&mut self) -> Message {
        let sent = self.transport.poll_transmit().unwrap();
        let mut message = Message::new();
        message.unmarshal_binary(&sent.contents).unwrap();
        FINGERPRINT.check(&message).unwrap();
        let provider = ::crypto::default_provider().unwrap();
        let pwd = credentials("us").pwd;
        MessageIntegrity::check(&mut message, pwd.as_bytes(), provider.crypto()).unwrap();
        message
    }

    fn selected(&self) -> String {
        self.transport.selected_path().unwrap().remote.to_string()
    }
}

#[test]
fn a_check_is_answered_where_it_came_from() {
    for from in ["192.0.2.77:54321", "[2001:db8::1:2]:9"] {
        let mut agent = Agent::new();
        agent.check(from, |_| {}).unwrap();
        let answer = agent.answer();
        assert_eq!(answer.typ, BINDING_SUCCESS);
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&answer).unwrap();
        assert_eq!(
            path(from).remote,
            SocketAddr::from((mapped.ip, mapped.port))
        );
        assert_eq!(
            agent.transport.poll_event(),
            Some(TransportEvent::PathChanged)
        );
        assert_eq!(agent.transport.selected_path(), Some(path(from)));
    }
}

#[test]
fn strangers_get_no_answer() {
    let mut agent = Agent::new();
    let from = "192.0.2.1:1";
    let wrong_pwd = agent.check(from, |check| check.local.pwd.push('x'));
    assert_eq!(wrong_pwd, Err(StunError::Integrity));
    let wrong_user = agent.check(from, |check| check.local.ufrag.push('x'));
    assert_eq!(wrong_user, Err(StunError::Username));
    assert_eq!(agent.transport.poll_transmit(), None);
    assert_eq!(agent.transport.selected_path(), None);
    assert!(!agent.transport.accepts(path(from).origin()));
    assert_eq!(agent.transport.poll_timeout(), None);

    // Once the remote ufrag is known, it counts too.
    assert_eq!(
        agent.check(from, |check| check.remote_ufrag.push('x')),
        Ok(())
    );
    let parameters = TransportParameters {
        local_ice: credentials("us"),
        remote_ice: credentials("them"),
        fingerprints: Vec::new(),
        role: DtlsRole::Server,
        sctp: None,
    };
    agent.transport.set_parameters(agent.now, &parameters);
    let wrong_user = agent.check(from, |check| check.remote_ufrag.push('x'));
    assert_eq!(wrong_user, Err(StunError::Username));
}

#[test]
fn errors_say_what_is_wrong() {
    let mut agent = Agent::new();
    let controlled = (ATTR_ICE_CONTROLLED, vec![0; 8]);
    let check = agent.check("192.0.2.1:1", |check| check.extra.push(controlled));
    assert_eq!(check, Err(StunError::RoleConflict));
    let unknown = (AttrType(0x7123), vec![1, 2, 3]);
    let check = agent.check("192.0.2.1:1", |check| check.extra.push(unknown));
    assert_eq!(check, Err(StunError::UnknownAttribute));
    for expected in [487, 420] {
        let answer = agent.answer();
        assert_eq!(answer.typ, BINDING_ERROR);
        let mut code = ErrorCodeAttribute::default();
        code.get_from(&answer).unwrap();
        assert_eq!(code.code.0, expected);
    }
    assert_eq!(agent.transport.selected_path(), None);
    // What need not be understood does no harm.
    let unknown = (AttrType(0xc057), vec![0; 4]);
    assert_eq!(
        agent.check("192.0.2.1:1", |check| check.extra.push(unknown)),
        Ok(())
    );
}

#[test]
fn what_follows_the_integrity_does_not_count() {
    let mut agent = Agent::new();
    agent
        .check("192.0.2.1:1", |check| check.priority = 9)
        .unwrap();
    // An attacker on the way adds USE-CANDIDATE to a check that it could not sign.
    let mut check = Check::new(&credentials("us"), &credentials("them"));
    check.nominate = false;
    check.priority = 10;
    let mut message = Message::new();
    message.unmarshal_binary(&check.encode()).unwrap();
    let fingerprint = message.attributes.0.pop().unwrap();
    message.length -= 8;
    message.raw.truncate(message.raw.len() - 8);
    message.add(ATTR_USE_CANDIDATE, &[]);
    ::stun::message::Setter::add_to(&FINGERPRINT, &mut message).unwrap();
    assert_ne!(message.attributes.0.pop(), Some(fingerprint));
    let taken = agent
        .transport
        .handle_stun(agent.now, path("192.0.2.1:2"), &message.raw);
    assert_eq!(taken, Ok(()));
    assert_eq!(agent.selected(), "192.0.2.1:1");
}

#[test]
fn the_username_tells_whose_check_it_is() {
    let check = Check::new(&credentials("us"), &credentials("them")).encode();
    assert_eq!(stun_username(&check), Some("ufus"));
    assert_eq!(stun_username(&check[..check.len() - 1]), None);
    let mut response = check;
    response[0] = 1;
    assert_eq!(stun_username(&response), None);
}

#[test]
fn the_first_path_is_used_until_another_is_nominated() {
    let mut agent = Agent::new();
    agent
        .check("192.0.2.1:1", |check| check.nominate = false)
        .unwrap();
    agent
        .check("192.0.2.1:2", |check| check.nominate = false)
        .unwrap();
    assert_eq!(agent.selected(), "192.0.2.1:1");
    agent
        .check("192.0.2.1:2", |check| check.priority = 1)
        .unwrap();
    assert_eq!(agent.selected(), "192.0.2.1:2");
}

#[test]
fn of_many_nominations_the_best_wins() {
    let mut agent = Agent::new();
    for (port, priority) in [(1, 50), (2, 70), (3, 60)] {
        let from = format!("192.0.2.1:{port}");
        agent
            .check(&from, |check| check.priority = priority)
            .unwrap();
    }
    assert_eq!(agent.selected(), "192.0.2.1:2");
}

#[test]
fn a_nomination_that_ceases_yields() {
    let worse = |check: &mut Check| check.priority = 1;
    // The old path is still checked, but not nominated any more.
    let mut agent = Agent::new();
    agent.check("192.0.2.1:1", |_| {}).unwrap();
    agent.check("192.0.2.1:2", worse).unwrap();
    assert_eq!(agent.selected(), "192.0.2.1:1");
    agent
        .check("192.0.2.1:1", |check| check.nominate = false)
        .unwrap();
    agent.check("192.0.2.1:2", worse).unwrap();
    assert_eq!(agent.selected(), "192.0.2.1:2");

    // The old path is silent.
    let mut agent = Agent::new();
    agent.check("192.0.2.1:1", |_| {}).unwrap();
    agent.now += Duration::from_secs(2);
    agent.check("192.0.2.1:2", worse).unwrap();
    assert_eq!(agent.selected(), "192.0.2.1:1");
    agent.now += Duration::from_secs(2);
    agent.check("192.0.2.1:2", worse).unwrap();
    assert_eq!(agent.selected(), "192.0.2.1:2");
}

#[test]
fn a_silent_path_yields_even_without_nominations() {
    let quiet = |check: &mut Check| check.nominate = false;
    let mut agent = Agent::new();
    agent.check("192.0.2.1:1", quiet).unwrap();
    agent.now += Duration::from_secs(7);
    agent.check("192.0.2.1:2", quiet).unwrap();
    assert_eq!(agent.selected(), "192.0.2.1:1");
    agent.now += Duration::from_secs(2);
    agent.check("192.0.2.1:2", quiet).unwrap();
    assert_eq!(agent.selected(), "192.0.2.1:2");
}

#[test]
fn paths_are_few_and_go_stale() {
    let mut agent = Agent::new();
    agent.check("192.0.2.1:1", |_| {}).unwrap();
    for port in 2..100 {
        agent.now += Duration::from_millis(1);
        let from = format!("192.0.2.1:{port}");
        agent.check(&from, |check| check.nominate = false).unwrap();
    }
    let accepted = |agent: &Agent| {
        let remote = |port| path(&format!("192.0.2.1:{port}")).origin();
        let accepted = |&port: &u16| agent.transport.accepts(remote(port));
        (1..100).filter(accepted).collect::<Vec<_>>()
    };
    let kept = std::iter::once(1).chain(85..100).collect::<Vec<_>>();
    assert_eq!(accepted(&agent), kept, "the selected one and the newest");
    agent.now += Duration::from_secs(31);
    agent.check("192.0.2.1:1", |_| {}).unwrap();
    assert_eq!(accepted(&agent), [1]);
}
