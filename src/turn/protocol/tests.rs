//! Sessions in virtual time, asked by the attributes of the `rtc-stun` crate.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::credentials::{Credential, REALM as OUR_REALM};
use super::request::*;
use super::*;
use crate::transport::stun::{
    Attributes, ERROR_CODE, MESSAGE_INTEGRITY, USERNAME, Writer, XOR_MAPPED_ADDRESS, is_signed,
    read_xor_address, split,
};

const MEDIA: &str = "203.0.113.5:7880";
const INSIDE: &str = "127.0.0.2:7880";
const LIMITS: TurnLimits = TurnLimits {
    allocations: 100,
    per_user: 3,
    per_address: 50,
    bits_per_second: 8_000_000,
};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One server and the time.
struct World {
    now: Instant,
    credentials: Arc<Credentials>,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        Self::with(&["203.0.113.5"], &TurnPeers::default())
    }

    fn with(relays: &[&str], others: &TurnPeers) -> Self {
        let now = Instant::now();
        let lifetime = Duration::from_secs(7_200);
        let credentials =
            Arc::new(Credentials::new(b"secret", lifetime, &[], (now, 1_000)).unwrap());
        let own = [
            (address(MEDIA), address(INSIDE)),
            (address("[2001:db8::5]:7880"), address("127.0.0.3:7880")),
        ];
        let relays = relays.iter().map(|text| text.parse::<IpAddr>().unwrap());
        let relays = Relays {
            loopback: RelayAddresses::first_of(["127.0.0.1".parse().unwrap()]),
            others: RelayAddresses::first_of(relays),
        };
        let authority = Authority::new(
            now,
            &[1; 32],
            Arc::clone(&credentials),
            Peers::new(own, [], others),
            LIMITS,
            relays,
        );
        Self {
            now,
            credentials,
            authority,
        }
    }

    fn client(&self, identity: &str) -> Client {
        Client {
            session: Session::new(address("198.51.100.7:50000"), false),
            credential: self.credentials.make(self.now, identity),
            nonce: Vec::new(),
            transaction: 0,
        }
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
enum Answered {
    Success(Vec<(u16, Vec<u8>)>),
    Error(u16),
    Nothing,
}

impl Answered {
    fn value(&self, kind: u16) -> &[u8] {
        let Self::Success(attributes) = self else {
            panic!("no success: {self:?}");
        };
        let found = attributes.iter().find(|(other, _)| *other == kind);
        &found.unwrap_or_else(|| panic!("no {kind:#x}: {self:?}")).1
    }

    fn is_success(&self) -> bool {
        matches!(self, Self::Success(_))
    }
}

/// One client, which does what clients do about nonces.
struct Client {
    session: Session,
    credential: Credential,
    nonce: Vec<u8>,
    transaction: u8,
}

impl Client {
    fn transaction(&self) -> [u8; 12] {
        [self.transaction; 12]
    }

    /// A request with these attributes, signed if there is a nonce to sign with.
    fn request(&self, method: Method, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut request = Writer::new(method.kind(), &self.transaction());
        for (kind, value) in attributes {
            request.attribute(*kind, value);
        }
        if self.nonce.is_empty() {
            return request.into_bytes();
        }
        request.attribute(USERNAME, self.credential.username.as_bytes());
        request.attribute(REALM, OUR_REALM.as_bytes());
        request.attribute(NONCE, &self.nonce);
        request.finish(&self.key())
    }

    fn key(&self) -> ring::hmac::Key {
        let crypto = ::crypto::default_provider().unwrap();
        let key = ::stun::integrity::MessageIntegrity::long_term_integrity_key(
            self.credential.username.clone(),
            OUR_REALM.to_owned(),
            self.credential.password.clone(),
            crypto.crypto(),
        );
        ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key.unwrap())
    }

    /// Asks, and again where the nonce is none or old.
    fn ask(&mut self, world: &World, method: Method, attributes: &[(u16, &[u8])]) -> Answered {
        self.transaction += 1;
        for _ in 0..2 {
            let request = self.request(method, attributes);
            let answer = self.tell(world, &request);
            let challenged = matches!(answer, Answered::Error(401 | 438));
            if !challenged || std::mem::take(&mut self.transaction) == 0 {
                return answer;
            }
            self.transaction = 200;
        }
        self.tell(world, &self.request(method, attributes))
    }

    /// Sends one message, and reads the answer.
    fn tell(&mut self, world: &World, message: &[u8]) -> Answered {
        let answer = match self
            .session
            .handle_client(world.now, message, &world.authority)
        {
            Reaction::Ignored => return Answered::Nothing,
            Reaction::Relay { .. } => panic!("relayed"),
            Reaction::Answer(answer) => answer,
            Reaction::Allocate(wanted) => {
                self.session
                    .allocated(world.now, wanted, Some(40_000), &world.authority)
            }
        };
        self.read(&answer)
    }

    fn read(&mut self, answer: &[u8]) -> Answered {
        let (kind, body) = split(answer).unwrap();
        let mut attributes = Vec::new();
        for attribute in Attributes::new(body) {
            if attribute.kind == MESSAGE_INTEGRITY {
                let covered = &answer[..20 + attribute.offset];
                assert!(is_signed(covered, attribute.value, &self.key()));
            }
            attributes.push((attribute.kind, attribute.value.to_vec()));
        }
        let value = |kind| {
            let mut attributes = attributes.iter();
            attributes
                .find(|(other, _)| *other == kind)
                .map(|(_, value)| value)
        };
        if let Some(nonce) = value(NONCE) {
            self.nonce.clone_from(nonce);
        }
        match value(ERROR_CODE) {
            Some(code) => {
                assert_eq!(kind & ERROR, ERROR);
                Answered::Error(u16::from(code[2]) * 100 + u16::from(code[3]))
            }
            None => Answered::Success(attributes),
        }
    }

    fn allocate(&mut self, world: &World) -> Answered {
        self.ask(
            world,
            Method::Allocate,
            &[(REQUESTED_TRANSPORT, &[17, 0, 0, 0])],
        )
    }

    fn on_peer(&mut self, world: &World, method: Method, peer: &str, channel: u16) -> Answered {
        self.transaction = self.transaction.wrapping_add(1);
        let mut request = Writer::new(method.kind(), &self.transaction());
        request.xor_address(XOR_PEER_ADDRESS, address(peer));
        if channel != 0 {
            let [high, low] = channel.to_be_bytes();
            request.attribute(CHANNEL_NUMBER, &[high, low, 0, 0]);
        }
        request.attribute(USERNAME, self.credential.username.as_bytes());
        request.attribute(REALM, OUR_REALM.as_bytes());
        request.attribute(NONCE, &self.nonce);
        let request = request.finish(&self.key());
        self.tell(world, &request)
    }

    fn permit(&mut self, world: &World, peer: &str) -> Answered {
        self.on_peer(world, Method::CreatePermission, peer, 0)
    }

    fn bind(&mut self, world: &World, peer: &str, channel: u16) -> Answered {
        self.on_peer(world, Method::ChannelBind, peer, channel)
    }

    /// Where a Send indication goes, and with what.
    fn send(&mut self, world: &World, peer: &str, data: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let mut indication = Writer::new(Method::Send.kind(), &[9; 12]);
        indication.xor_address(XOR_PEER_ADDRESS, address(peer));
        indication.attribute(DATA, data);
        self.relayed(world, &indication.into_bytes())
    }

    fn relayed(&mut self, world: &World, message: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        match self
            .session
            .handle_client(world.now, message, &world.authority)
        {
            Reaction::Relay { to, data } => Some((to, data.to_vec())),
            Reaction::Ignored => None,
            other => panic!("{other:?}"),
        }
    }

    fn receive(&mut self, world: &World, from: &str, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.session
            .handle_peer(world.now, address(from), data, &world.authority, &mut out);
        out
    }
}

#[test]
fn a_call_is_relayed_both_ways() {
    let world = World::new();
    let mut ada = world.client("1");
    let answer = ada.allocate(&world);
    let read = |kind| read_xor_address(answer.value(kind), &ada.transaction());
    assert_eq!(
        read(XOR_RELAYED_ADDRESS),
        Some(address("203.0.113.5:40000"))
    );
    assert_eq!(
        read(XOR_MAPPED_ADDRESS),
        Some(address("198.51.100.7:50000"))
    );
    assert_eq!(answer.value(LIFETIME), 600u32.to_be_bytes());

    assert_eq!(ada.send(&world, MEDIA, b"early"), None);
    assert!(ada.permit(&world, "203.0.113.5:1").is_success());
    assert_eq!(ada.receive(&world, INSIDE, b"unasked"), b"");
    let sent = ada.send(&world, MEDIA, b"check");
    assert_eq!(sent, Some((address(INSIDE), b"check".to_vec())));
    // As the client knows that peer.
    let indication = ada.receive(&world, INSIDE, b"answer");
    let (kind, body) = split(&indication).unwrap();
    assert_eq!(kind, DATA_INDICATION);
    let transaction = indication[8..20].try_into().unwrap();
    let values: Vec<_> = Attributes::new(body).map(|a| (a.kind, a.value)).collect();
    assert_eq!(values[1], (DATA, &b"answer"[..]));
    let from = read_xor_address(values[0].1, &transaction);
    assert_eq!(
        (values[0].0, from),
        (XOR_PEER_ADDRESS, Some(address(MEDIA)))
    );

    assert!(ada.bind(&world, MEDIA, 0x4001).is_success());
    let sent = ada.relayed(&world, b"\x40\x01\x00\x03abc");
    assert_eq!(sent, Some((address(INSIDE), b"abc".to_vec())));
    assert_eq!(
        ada.receive(&world, INSIDE, b"abcde"),
        b"\x40\x01\x00\x05abcde"
    );
}

#[test]
fn in_a_stream_data_on_a_channel_is_padded() {
    let world = World::new();
    let mut ada = world.client("1");
    ada.session = Session::new(address("198.51.100.7:50000"), true);
    assert!(ada.allocate(&world).is_success());
    assert!(ada.bind(&world, MEDIA, 0x4000).is_success());
    assert!(ada.relayed(&world, b"\x40\x00\x00\x01a\0\0\0").is_some());
    let out = ada.receive(&world, INSIDE, b"abcde");
    assert_eq!(out, b"\x40\x00\x00\x05abcde\0\0\0");
}

#[test]
fn nobody_else_is_reached() {
    let world = World::new();
    let mut ada = world.client("1");
    assert!(ada.allocate(&world).is_success());
    for peer in [
        "8.8.8.8:53",
        "127.0.0.1:7880",
        "127.0.0.2:7880",
        "10.0.0.1:80",
    ] {
        assert_eq!(ada.permit(&world, peer), Answered::Error(403), "{peer}");
        assert_eq!(ada.bind(&world, peer, 0x4001), Answered::Error(403));
        assert_eq!(ada.send(&world, peer, b"data"), None);
    }
    // A permission is for all ports of an address; what is relayed is for the media port alone.
    assert!(ada.permit(&world, MEDIA).is_success());
    assert_eq!(ada.send(&world, "203.0.113.5:53", b"data"), None);
    assert_eq!(
        ada.bind(&world, "203.0.113.5:53", 0x4001),
        Answered::Error(403)
    );
    assert!(ada.send(&world, MEDIA, b"data").is_some());
    for stranger in ["8.8.8.8:53", "127.0.0.1:7880", "203.0.113.5:7880"] {
        assert_eq!(ada.receive(&world, stranger, b"data"), b"", "{stranger}");
    }
    assert_eq!(
        ada.permit(&world, "[2001:db8::5]:7880"),
        Answered::Error(443)
    );
}

#[test]
fn the_public_is_reached_where_that_is_wanted() {
    let others = TurnPeers {
        public: true,
        networks: vec!["10.1.0.0/16".parse().unwrap()],
    };
    let world = World::with(&["203.0.113.5"], &others);
    let mut ada = world.client("1");
    assert!(ada.allocate(&world).is_success());
    for peer in ["8.8.8.8:53", "10.1.2.3:5000"] {
        assert_eq!(ada.receive(&world, peer, b"too early"), b"");
        assert!(ada.permit(&world, peer).is_success(), "{peer}");
        assert_eq!(ada.send(&world, peer, b"x").unwrap().0, address(peer));
        assert!(!ada.receive(&world, peer, b"x").is_empty());
    }
    for peer in ["169.254.169.254:80", "10.2.0.1:80", "127.0.0.1:80"] {
        assert_eq!(ada.permit(&world, peer), Answered::Error(403), "{peer}");
    }
}

#[test]
fn who_is_not_known_gets_little() {
    let world = World::new();
    let mut eve = world.client("1");
    let bare = Writer::new(Method::Allocate.kind(), &[1; 12]).into_bytes();
    let Reaction::Answer(answer) = eve
        .session
        .handle_client(world.now, &bare, &world.authority)
    else {
        panic!("no answer");
    };
    assert!(answer.len() <= 4 * bare.len(), "{} bytes", answer.len());
    assert_eq!(eve.read(&answer), Answered::Error(401));
    // A binding request as short as it can be.
    let bare = Writer::new(Method::Binding.kind(), &[1; 12]).into_bytes();
    let Reaction::Answer(answer) = eve
        .session
        .handle_client(world.now, &bare, &world.authority)
    else {
        panic!("no answer");
    };
    assert!(answer.len() <= 2 * bare.len(), "{} bytes", answer.len());

    eve.credential.password.push('x');
    assert_eq!(eve.allocate(&world), Answered::Error(401));
    eve.credential = world.credentials.make(world.now, "1");
    eve.credential.username.insert(0, '9');
    assert_eq!(eve.allocate(&world), Answered::Error(401));
    assert!(!eve.session.is_allocated());
    let with_integrity_only = Writer::new(Method::Allocate.kind(), &[1; 12]).finish(&eve.key());
    assert_eq!(eve.tell(&world, &with_integrity_only), Answered::Error(400));
    // And not for ever.
    let answers = (0..1_000).filter(|_| eve.tell(&world, &bare) != Answered::Nothing);
    assert!(answers.count() < 400);
}

#[test]
fn a_nonce_is_renewed_and_credentials_that_ran_out_keep_what_they_have() {
    let mut world = World::new();
    let mut ada = world.client("1");
    assert!(ada.allocate(&world).is_success());
    for _ in 0..20 {
        world.later(599);
        assert!(ada.ask(&world, Method::Refresh, &[]).is_success());
    }
    // By now they are good for nothing else.
    let mut again = world.client("1");
    again.credential = ada.credential.clone();
    assert_eq!(again.allocate(&world), Answered::Error(401));
    let mut fresh = world.client("1");
    assert!(fresh.allocate(&world).is_success());
    // Newer ones of the same user are as good, those of another are not.
    ada.credential = fresh.credential;
    assert!(ada.ask(&world, Method::Refresh, &[]).is_success());
    ada.credential = world.client("2").credential;
    assert_eq!(ada.ask(&world, Method::Refresh, &[]), Answered::Error(441));
}

#[test]
fn what_is_not_refreshed_ends() {
    let mut world = World::new();
    let mut ada = world.client("1");
    let hour = 4_000u32.to_be_bytes();
    let answer = ada.ask(
        &world,
        Method::Allocate,
        &[(REQUESTED_TRANSPORT, &[17, 0, 0, 0]), (LIFETIME, &hour)],
    );
    assert_eq!(answer.value(LIFETIME), 3_600u32.to_be_bytes());
    assert!(ada.bind(&world, MEDIA, 0x4001).is_success());
    world.later(301);
    // The permission is over, the channel is not.
    let data = b"\x40\x01\x00\x01a";
    assert_eq!(ada.relayed(&world, data), None);
    assert_eq!(ada.receive(&world, INSIDE, b"a"), b"");
    assert!(ada.permit(&world, MEDIA).is_success());
    assert!(ada.relayed(&world, data).is_some());
    world.later(300);
    assert!(ada.permit(&world, MEDIA).is_success());
    assert_eq!(ada.relayed(&world, data), None);
    // A number that is free again is bound anew.
    assert!(ada.bind(&world, "203.0.113.5:7880", 0x4001).is_success());
    world.later(3_000);
    assert_eq!(
        ada.session.poll_timeout(),
        Some(world.now - Duration::from_secs(1))
    );
    ada.session.handle_timeout(world.now);
    assert!(!ada.session.is_allocated() && ada.session.poll_timeout().is_none());
    assert_eq!(world.authority.counters().allocations, 0);
    assert_eq!(ada.ask(&world, Method::Refresh, &[]), Answered::Error(437));
}

#[test]
fn a_client_gives_back_what_it_needs_no_more() {
    let world = World::new();
    let mut ada = world.client("1");
    assert!(ada.allocate(&world).is_success());
    let answer = ada.ask(&world, Method::Refresh, &[(LIFETIME, &[0; 4])]);
    assert_eq!(answer.value(LIFETIME), [0; 4]);
    assert_eq!(world.authority.counters().allocations, 0);
    assert!(ada.allocate(&world).is_success());
}

#[test]
fn one_user_has_so_many_and_no_more() {
    let world = World::new();
    let mut clients: Vec<Client> = (0..4).map(|_| world.client("1")).collect();
    let answers: Vec<bool> = clients
        .iter_mut()
        .map(|c| c.allocate(&world).is_success())
        .collect();
    assert_eq!(answers, [true, true, true, false]);
    assert_eq!(clients[3].allocate(&world), Answered::Error(486));
    assert!(world.client("2").allocate(&world).is_success());
    assert_eq!(world.authority.counters().refused, 2);
    clients.remove(0);
    assert!(clients[2].allocate(&world).is_success());
}

#[test]
fn an_allocation_carries_so_much_and_no_more() {
    let mut world = World::new();
    let mut ada = world.client("1");
    assert!(ada.allocate(&world).is_success() && ada.bind(&world, MEDIA, 0x4001).is_success());
    let mut message = vec![0x40, 0x01, 0x04, 0x00];
    message.resize(4 + 1_024, 7);
    let mut passed = [0, 0];
    for _ in 0..10_000 {
        world.now += Duration::from_millis(1);
        passed[0] += usize::from(ada.relayed(&world, &message).is_some());
        passed[1] += usize::from(!ada.receive(&world, INSIDE, &message[4..]).is_empty());
    }
    // 8 Mbit/s for ten seconds, and a quarter of a second's at once.
    let allowed = 10_250_000 / 1_024;
    for passed in passed {
        assert!(
            (allowed - 20..=allowed + 1).contains(&passed),
            "{passed} of {allowed}"
        );
    }
}

#[test]
fn requests_that_make_no_sense_are_told_why() {
    let world = World::new();
    let udp: (u16, &[u8]) = (REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    let v4: &[u8] = &[1, 0, 0, 0];
    let v6: &[u8] = &[2, 0, 0, 0];
    for (attributes, code) in [
        (&[][..], 400),
        (&[(REQUESTED_TRANSPORT, &[6, 0, 0, 0][..])], 442),
        (&[udp, (REQUESTED_ADDRESS_FAMILY, v6)], 440),
        (&[udp, (REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0])], 440),
        (&[udp, (ADDITIONAL_ADDRESS_FAMILY, v4)], 400),
        (
            &[
                udp,
                (REQUESTED_ADDRESS_FAMILY, v4),
                (ADDITIONAL_ADDRESS_FAMILY, v6),
            ],
            400,
        ),
        // EVEN-PORT, DONT-FRAGMENT, RESERVATION-TOKEN.
        (&[udp, (0x0018, &[0x80])], 420),
        (&[udp, (0x001a, &[])], 420),
        (&[udp, (0x0022, &[0; 8])], 420),
    ] {
        let mut ada = world.client("1");
        let answer = ada.ask(&world, Method::Allocate, attributes);
        assert_eq!(answer, Answered::Error(code), "{attributes:?}");
    }
    let mut ada = world.client("1");
    assert!(ada.allocate(&world).is_success());
    assert_eq!(ada.allocate(&world), Answered::Error(437));
    assert_eq!(
        ada.ask(&world, Method::CreatePermission, &[]),
        Answered::Error(400)
    );
    for channel in [0, 0x3fff, 0x5000] {
        assert_eq!(ada.bind(&world, MEDIA, channel), Answered::Error(400));
    }
    assert!(ada.bind(&world, MEDIA, 0x4001).is_success());
    assert!(ada.bind(&world, MEDIA, 0x4001).is_success());
    assert_eq!(ada.bind(&world, MEDIA, 0x4002), Answered::Error(400));
    for method in [
        Method::Refresh,
        Method::CreatePermission,
        Method::ChannelBind,
    ] {
        let mut nobody = world.client("1");
        let answer = nobody.ask(&world, method, &[]);
        assert_eq!(answer, Answered::Error(437), "{method:?}");
    }
}

#[test]
fn a_repeated_request_gets_the_same_answer() {
    let world = World::new();
    let mut ada = world.client("1");
    let first = ada.allocate(&world);
    assert!(first.is_success());
    let request = ada.request(Method::Allocate, &[(REQUESTED_TRANSPORT, &[17, 0, 0, 0])]);
    assert_eq!(ada.tell(&world, &request), first);
    assert_eq!(world.authority.counters().allocations, 1);
}

#[test]
fn clients_on_this_machine_are_told_of_addresses_there_and_others_are_not() {
    let world = World::with(&["203.0.113.5"], &TurnPeers::default());
    for (client, expected) in [
        ("198.51.100.7:50000", "203.0.113.5"),
        ("127.0.0.1:50000", "127.0.0.1"),
        ("[::ffff:127.0.0.1]:50000", "127.0.0.1"),
    ] {
        let mut ada = world.client("1");
        ada.session = Session::new(address(client), false);
        let answer = ada.allocate(&world);
        let relayed = read_xor_address(answer.value(XOR_RELAYED_ADDRESS), &ada.transaction());
        assert_eq!(relayed.unwrap().ip().to_string(), expected, "{client}");
    }
}

#[test]
fn families_are_those_that_there_are() {
    let world = World::with(&["203.0.113.5", "2001:db8::5"], &TurnPeers::default());
    let udp: (u16, &[u8]) = (REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    let relayed = |world: &World, attributes: &[(u16, &[u8])]| {
        let mut ada = world.client("1");
        let answer = ada.ask(world, Method::Allocate, attributes);
        let relayed = read_xor_address(answer.value(XOR_RELAYED_ADDRESS), &ada.transaction());
        (relayed.unwrap().ip().is_ipv6(), answer)
    };
    assert!(!relayed(&world, &[udp]).0);
    let (is_v6, _) = relayed(&world, &[udp, (REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])]);
    assert!(is_v6);
    let (is_v6, answer) = relayed(&world, &[udp, (ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])]);
    assert!(!is_v6);
    assert_eq!(answer.value(ADDRESS_ERROR_CODE)[..4], [2, 0, 4, 40]);
    let without_v4 = World::with(&["2001:db8::5"], &TurnPeers::default());
    assert!(relayed(&without_v4, &[udp]).0);
    let mut ada = without_v4.client("1");
    ada.ask(&without_v4, Method::Allocate, &[udp]);
    assert!(
        ada.bind(&without_v4, "[2001:db8::5]:7880", 0x4001)
            .is_success()
    );
}

#[test]
fn binding_requests_are_answered_unless_they_name_a_user() {
    let world = World::new();
    let mut anyone = world.client("1");
    let ask = |message: &[u8], anyone: &mut Client| anyone.tell(&world, message);
    let bare = Writer::new(Method::Binding.kind(), &[3; 12]).into_bytes();
    let answer = ask(&bare, &mut anyone);
    let mapped = read_xor_address(answer.value(XOR_MAPPED_ADDRESS), &[3; 12]);
    assert_eq!(mapped, Some(address("198.51.100.7:50000")));
    let with_fingerprint = Writer::new(Method::Binding.kind(), &[3; 12]).finish_unsigned();
    assert!(ask(&with_fingerprint, &mut anyone).is_success());
    let mut named = Writer::new(Method::Binding.kind(), &[3; 12]);
    named.attribute(USERNAME, b"a:b");
    assert_eq!(ask(&named.into_bytes(), &mut anyone), Answered::Nothing);
    let mut unknown = Writer::new(Method::Binding.kind(), &[3; 12]);
    unknown.attribute(0x7fff, b"");
    assert_eq!(
        ask(&unknown.into_bytes(), &mut anyone),
        Answered::Error(420)
    );
    let mut broken = with_fingerprint;
    broken[27] ^= 1;
    assert_eq!(ask(&broken, &mut anyone), Answered::Nothing);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_comes_nothing_panics_and_nothing_is_relayed(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..20),
    ) {
        let world = World::new();
        let mut eve = world.client("1");
        for message in &messages {
            let reaction = eve.session.handle_client(world.now, message, &world.authority);
            let harmless = matches!(reaction, Reaction::Ignored | Reaction::Answer(_));
            prop_assert!(harmless);
            let _ = frame_len(message);
        }
    }

    /// Right messages with wrong bytes: of a client that is known, and of one that is not.
    #[test]
    fn changed_messages_do_no_harm(
        changes in prop::collection::vec((any::<u8>(), any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let world = World::new();
        let mut ada = world.client("1");
        prop_assert!(ada.allocate(&world).is_success());
        prop_assert!(ada.bind(&world, MEDIA, 0x4001).is_success());
        let mut indication = Writer::new(Method::Send.kind(), &[9; 12]);
        indication.xor_address(XOR_PEER_ADDRESS, address(MEDIA));
        indication.attribute(DATA, b"some data");
        let messages = [
            ada.request(Method::Allocate, &[(REQUESTED_TRANSPORT, &[17, 0, 0, 0])]),
            ada.request(Method::Refresh, &[(LIFETIME, &[0, 0, 1, 0])]),
            ada.request(Method::CreatePermission, &[(XOR_PEER_ADDRESS, &[0; 8])]),
            indication.into_bytes(),
            b"\x40\x01\x00\x08some data".to_vec(),
            Writer::new(Method::Binding.kind(), &[3; 12]).finish_unsigned(),
        ];
        for (which, place, byte) in changes {
            let mut message = messages[usize::from(which) % messages.len()].clone();
            let place = place.index(message.len() + 1);
            match message.get_mut(place) {
                Some(old) => *old = byte,
                None => message.truncate(usize::from(byte)),
            }
            for session in [&mut ada.session, &mut Session::new(address("198.51.100.8:1"), true)] {
                let reaction = session.handle_client(world.now, &message, &world.authority);
                if let Reaction::Relay { to, .. } = reaction {
                    prop_assert_eq!(to, address(INSIDE));
                }
            }
        }
    }
}
