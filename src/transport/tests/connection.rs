//! From the first check to close_notify.

use std::time::Duration;

use proptest::prelude::*;

use super::pair::{CLIENT, Check, Pair, SERVER, credentials};
use crate::shard::{FailReason, FingerprintHash};
use crate::transport::{
    DtlsError, Endpoint, Path, Protocol, SrtpError, StunMessage, TransportEvent, integrity_key,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn both_roles_connect_and_prefer_gcm() {
    let pair = Pair::connected(1);
    for end in &pair.ends {
        assert_eq!(end.transport.srtp_profile(), Some("SRTP_AEAD_AES_128_GCM"));
        assert_eq!(end.transport.rtp_overhead(), 16);
    }
}

#[test]
fn media_flows_both_ways_and_only_untouched() {
    let mut pair = Pair::connected(2);
    for from in [CLIENT, SERVER] {
        let plain: Vec<u8> = [0x80, 96, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9]
            .into_iter()
            .chain(0..200)
            .collect();
        let index = (3 << 16) | 7;
        let mut sealed = vec![1, 2, 3];
        sealed.extend(&plain);
        let sender = &mut pair.ends[from].transport;
        sender.seal_rtp(&mut sealed, 3, 12, index).unwrap();
        assert_eq!(sealed.len(), 3 + plain.len() + sender.rtp_overhead());
        let mut packet = sealed.split_off(3);
        let receiver = &mut pair.ends[1 - from].transport;
        let mut wrong = packet.clone();
        assert_eq!(
            receiver.open_rtp(&mut wrong, 12, index + (1 << 16)),
            Err(SrtpError::Authentication),
            "another rollover counter"
        );
        let length = receiver.open_rtp(&mut packet, 12, index).unwrap();
        assert_eq!(packet[..length], plain);
    }
}

#[test]
fn rtcp_is_opened_once() {
    let mut pair = Pair::connected(3);
    let plain = [0x80, 201, 0, 1, 0, 0, 0, 5];
    let mut sealed = plain.to_vec();
    pair.ends[CLIENT]
        .transport
        .seal_rtcp(&mut sealed, 0)
        .unwrap();
    let server = &mut pair.ends[SERVER].transport;
    let mut packet = sealed.clone();
    assert_eq!(server.open_rtcp(&mut packet), Ok(8));
    assert_eq!(packet[..8], plain);
    assert_eq!(server.open_rtcp(&mut sealed), Err(SrtpError::Replayed));
}

#[test]
fn nothing_is_sealed_before_the_handshake() {
    let mut pair = Pair::new(4);
    let server = &mut pair.ends[SERVER].transport;
    assert_eq!(
        server.open_rtp(&mut [0x80; 40], 12, 0),
        Err(SrtpError::NotConnected)
    );
    assert_eq!(
        server.seal_rtcp(&mut vec![0x80; 40], 0),
        Err(SrtpError::NotConnected)
    );
    assert_eq!(server.selected_path(), None);
}

#[test]
fn another_certificate_fails_both_roles() {
    for liar in [CLIENT, SERVER] {
        let mut pair = Pair::new(5);
        pair.ends[liar].fingerprint.bytes[3] ^= 1;
        pair.set_parameters();
        pair.run(2 * SECOND);
        let failed = TransportEvent::Failed(FailReason::Fingerprint);
        let events = pair.events(1 - liar);
        assert!(events.contains(&failed), "{events:?}");
        assert!(!events.contains(&TransportEvent::Connected));
        assert!(!pair.ends[1 - liar].transport.is_connected());
        let events = pair.events(liar);
        assert!(
            events.contains(&TransportEvent::Failed(FailReason::Closed)),
            "{events:?}"
        );
    }
}

#[test]
fn any_fingerprint_of_several_will_do() {
    let mut pair = Pair::new(6);
    let mut parameters = pair.parameters(SERVER);
    let mut other = parameters.fingerprints[0].clone();
    other.bytes = vec![9; 64];
    other.hash = FingerprintHash::Sha512;
    parameters.fingerprints.insert(0, other);
    let now = pair.now;
    pair.set_parameters();
    pair.ends[SERVER].transport.set_parameters(now, &parameters);
    pair.run(SECOND);
    assert!(pair.ends[SERVER].transport.is_connected());
}

#[test]
fn a_handshake_that_never_ends_fails() {
    let mut pair = Pair::new(7);
    pair.loss = 1.0;
    pair.set_parameters();
    pair.run(29 * SECOND);
    assert!(
        !pair
            .events(CLIENT)
            .contains(&TransportEvent::Failed(FailReason::Handshake))
    );
    pair.run(2 * SECOND);
    assert!(
        pair.events(CLIENT)
            .contains(&TransportEvent::Failed(FailReason::Handshake))
    );
    assert!(
        pair.events(SERVER)
            .contains(&TransportEvent::Failed(FailReason::Handshake))
    );
}

#[test]
fn renegotiations_do_not_disturb_a_connection() {
    let mut pair = Pair::connected(14);
    pair.set_parameters();
    pair.run(40 * SECOND);
    for at in [CLIENT, SERVER] {
        assert_eq!(pair.events(at), []);
        assert!(pair.ends[at].transport.is_connected());
    }
}

#[test]
fn a_client_hello_may_come_before_the_answer() {
    let mut pair = Pair::new(8);
    let parameters = pair.parameters(CLIENT);
    pair.ends[CLIENT]
        .transport
        .set_parameters(pair.now, &parameters);
    pair.run(Duration::from_millis(100));
    assert!(!pair.ends[SERVER].transport.is_connected());
    let parameters = pair.parameters(SERVER);
    pair.ends[SERVER]
        .transport
        .set_parameters(pair.now, &parameters);
    pair.run(Duration::from_millis(100));
    assert!(pair.ends[SERVER].transport.is_connected());
}

#[test]
fn close_notify_closes_the_other_side() {
    let mut pair = Pair::connected(9);
    pair.ends[CLIENT].transport.close(pair.now);
    pair.run(SECOND);
    assert_eq!(
        pair.events(SERVER),
        [TransportEvent::Failed(FailReason::Closed)]
    );
    assert!(!pair.ends[SERVER].transport.is_connected());
    assert_eq!(pair.events(CLIENT), []);
    assert_eq!(pair.ends[CLIENT].transport.poll_timeout(), None);
}

#[test]
fn garbage_does_not_disturb_a_connection() {
    let mut pair = Pair::connected(10);
    let path = pair.ends[SERVER].transport.selected_path().unwrap();
    let alert = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40];
    let forged = [23, 254, 253, 0, 1, 0, 0, 0, 0, 9, 99, 0, 30]
        .into_iter()
        .chain([5; 30]);
    let server = &mut pair.ends[SERVER].transport;
    server.handle_dtls(pair.now, path, &alert).unwrap();
    server
        .handle_dtls(pair.now, path, &forged.collect::<Vec<u8>>())
        .unwrap();
    assert_eq!(
        server.handle_dtls(pair.now, path, &[22; 60]),
        Err(DtlsError::Malformed)
    );
    assert!(server.is_connected());
    assert_eq!(server.poll_event(), None);
    let stranger = Path {
        protocol: Protocol::Udp,
        remote: "192.0.2.66:6".parse().unwrap(),
        local: None,
    };
    assert_eq!(
        server.handle_dtls(pair.now, stranger, &alert),
        Err(DtlsError::UnknownPath)
    );
}

#[test]
fn consent_expires_after_30_s_and_comes_back() {
    let mut pair = Pair::connected(11);
    pair.checking = false;
    pair.check();
    pair.run(Duration::from_millis(29_900));
    assert_eq!(pair.events(SERVER), []);
    pair.run(Duration::from_millis(200));
    let lost = TransportEvent::Consent { fresh: false };
    assert_eq!(pair.events(SERVER), [TransportEvent::PathChanged, lost]);
    let server = &pair.ends[SERVER];
    assert_eq!(server.transport.selected_path(), None);
    assert!(
        !server
            .transport
            .accepts(Endpoint::udp(pair.ends[CLIENT].address))
    );
    assert!(
        server.transport.is_connected(),
        "an ICE restart may save it"
    );
    pair.check();
    pair.run(Duration::from_millis(1));
    let back = TransportEvent::Consent { fresh: true };
    // Somebody else may have the address by now, so that it is asked first.
    assert_eq!(pair.events(SERVER), [back, TransportEvent::PathChanged]);
}

#[test]
fn an_ice_restart_keeps_the_path_until_a_nomination() {
    let mut pair = Pair::connected(12);
    let old_path = pair.ends[SERVER].transport.selected_path().unwrap();
    let (old_server, old_client) = (pair.ends[SERVER].ice.clone(), pair.ends[CLIENT].ice.clone());
    let old_check = Check::new(&old_server, &old_client);
    pair.checking = false;
    pair.ends[SERVER].ice = credentials("server-2");
    pair.ends[CLIENT].ice = credentials("client-2");
    let parameters = pair.parameters(SERVER);
    let now = pair.now;
    let mut new_check = Check::new(&pair.ends[SERVER].ice, &pair.ends[CLIENT].ice);
    let server = &mut pair.ends[SERVER].transport;
    server.set_parameters(now, &parameters);
    assert_eq!(server.selected_path(), Some(old_path));
    server
        .handle_stun(now, old_path, &old_check.encode())
        .unwrap();

    let new_path = super::pair::path("198.51.100.77:5");
    new_check.nominate = false;
    new_check.priority = 1;
    server
        .handle_stun(now, new_path, &new_check.encode())
        .unwrap();
    assert_eq!(server.selected_path(), Some(old_path));
    assert!(server.accepts(new_path.origin()));

    new_check.nominate = true;
    server
        .handle_stun(now, new_path, &new_check.encode())
        .unwrap();
    let key = integrity_key(&pair.ends[CLIENT].ice.pwd);
    let server = &mut pair.ends[SERVER].transport;
    assert_eq!(
        server.selected_path(),
        Some(old_path),
        "nobody was seen there"
    );
    let asked = std::iter::from_fn(|| server.poll_transmit())
        .last()
        .unwrap();
    assert_eq!(asked.path, new_path);
    let Ok(StunMessage::Request(request)) = StunMessage::parse(&asked.contents) else {
        panic!("a check was expected");
    };
    let answer = request.success(new_path.remote, &key);
    server.handle_stun(now, new_path, &answer).unwrap();
    assert_eq!(server.selected_path(), Some(new_path));
    assert!(
        server.accepts(old_path.origin()),
        "packets may be under way"
    );
    assert!(
        server
            .handle_stun(now, old_path, &old_check.encode())
            .is_err()
    );
    assert!(server.is_connected());
}

#[test]
fn a_new_address_is_followed() {
    let mut pair = Pair::connected(13);
    pair.events(SERVER);
    let moved = "198.51.100.8:9".parse().unwrap();
    pair.ends[CLIENT].address = moved;
    pair.run(3 * SECOND);
    assert_eq!(pair.events(SERVER), [TransportEvent::PathChanged]);
    assert_eq!(
        pair.ends[SERVER].transport.selected_path().unwrap().remote,
        moved
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn handshakes_survive_loss(seed: u64, loss in 0.0..0.35f64) {
        let mut pair = Pair::new(seed);
        pair.loss = loss;
        pair.set_parameters();
        pair.run(28 * SECOND);
        for end in &pair.ends {
            prop_assert!(end.transport.is_connected(), "{:?}", end.events);
        }
    }
}
