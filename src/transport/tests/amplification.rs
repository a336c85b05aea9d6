//! Whoever names another's address as its own has little sent there.

use std::time::Duration;

use super::pair::{CLIENT, Check, Pair, SERVER, path};
use crate::shard::DtlsRole;
use crate::transport::{StunMessage, integrity_key};

/// Bytes that an end wants to send now to this address, however large.
fn sent(pair: &mut Pair, remote: &str) -> usize {
    let to = path(remote).remote;
    let server = &mut pair.ends[SERVER].transport;
    let transmits = std::iter::from_fn(|| server.poll_transmit());
    let there = transmits.filter(|transmit| transmit.path.remote == to);
    there.map(|transmit| transmit.contents.len()).sum()
}

const VICTIM: &str = "192.0.2.200:53";

#[test]
fn before_the_handshake_is_done_no_more_is_sent_than_three_times_what_came() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut pair = Pair::new(40);
        let parameters = pair.parameters(SERVER);
        let victim = path(VICTIM);
        let mut now = pair.now;
        // The hello of a client that is somewhere else.
        let own = pair.parameters(CLIENT);
        let client = &mut pair.ends[CLIENT].transport;
        client.set_parameters(now, &own);
        let check = Check::new(&pair.ends[CLIENT].ice, &pair.ends[SERVER].ice).encode();
        let client = &mut pair.ends[CLIENT].transport;
        client
            .handle_stun(now, path("203.0.113.9:7880"), &check)
            .unwrap();
        let hellos = std::iter::from_fn(|| client.poll_transmit()).skip(1);
        let hello = hellos.last().unwrap().contents;

        let server = &mut pair.ends[SERVER].transport;
        server.set_parameters(
            now,
            &crate::shard::TransportParameters { role, ..parameters },
        );
        let check = Check::new(&pair.ends[SERVER].ice, &pair.ends[CLIENT].ice).encode();
        let server = &mut pair.ends[SERVER].transport;
        server.handle_stun(now, victim, &check).unwrap();
        let _ = server.handle_dtls(now, victim, &hello);
        let received = check.len() + hello.len();
        let mut bytes = sent(&mut pair, VICTIM);
        assert!(bytes > 64, "{role:?}: something is sent");
        // All that is repeated until the end of its patience.
        while let Some(due) = pair.ends[SERVER].transport.poll_timeout() {
            now = now.max(due);
            pair.ends[SERVER].transport.handle_timeout(now);
            bytes += sent(&mut pair, VICTIM);
        }
        assert!(bytes <= 3 * received, "{role:?}: {bytes} for {received}");
    }
}

#[test]
fn media_does_not_move_to_where_nobody_answers() {
    let mut pair = Pair::connected(41);
    pair.checking = false;
    let old = pair.ends[SERVER].transport.selected_path();
    let victim = path(VICTIM);
    let (mut received, mut bytes) = (0, 0);
    for second in 0..60 {
        let mut check = Check::new(&pair.ends[SERVER].ice, &pair.ends[CLIENT].ice);
        check.priority = u32::MAX;
        let check = check.encode();
        let now = pair.now + Duration::from_secs(second);
        let server = &mut pair.ends[SERVER].transport;
        server.handle_timeout(now);
        server.handle_stun(now, victim, &check).unwrap();
        received += check.len();
        let selected = server.selected_path();
        assert!(selected == old || selected.is_none());
        // Who knows the password, and not what was asked, answers in vain.
        let transmits: Vec<_> = std::iter::from_fn(|| server.poll_transmit()).collect();
        for transmit in transmits {
            bytes += transmit.contents.len();
            if let Ok(StunMessage::Request(request)) = StunMessage::parse(&transmit.contents) {
                let key = integrity_key(&pair.ends[CLIENT].ice.pwd);
                let mut guess = request;
                guess.transaction = [7; 12];
                let answer = guess.success(victim.remote, &key);
                let server = &mut pair.ends[SERVER].transport;
                assert!(server.handle_stun(now, victim, &answer).is_err());
            }
        }
    }
    assert!(bytes <= 3 * received, "{bytes} for {received}");
}
