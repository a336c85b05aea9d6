//! Whatever comes from the network, nothing panics.

use proptest::prelude::*;

use super::pair::{Check, Pair, SERVER};
use crate::transport::{classify, stun_username};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..300), first in 0u8..=255) {
        let mut noise = noise;
        if let Some(byte) = noise.first_mut() {
            *byte = first;
        }
        classify(&noise);
        stun_username(&noise);
        let mut pair = Pair::new(0);
        pair.check();
        pair.set_parameters();
        let now = pair.now;
        let server = &mut pair.ends[SERVER].transport;
        let path = server.selected_path().unwrap();
        prop_assert!(server.handle_stun(now, path, &noise).is_err());
        let _ = server.handle_dtls(now, path, &noise);
        prop_assert!(!server.is_connected());
    }

    #[test]
    fn broken_checks_are_refused(at in 0usize..100, bit in 0u8..8, cut in 0usize..100) {
        let mut pair = Pair::new(0);
        let [client, server] = &mut pair.ends;
        let check = Check::new(&server.ice, &client.ice).encode();
        let path = super::pair::path("192.0.2.7:7");
        let mut broken = check.clone();
        let at = at % check.len();
        broken[at] ^= 1 << bit;
        stun_username(&broken);
        // One bit makes an indication of it, which needs no answer.
        let indication = broken[1] == 0x11;
        let handled = server.transport.handle_stun(pair.now, path, &broken);
        prop_assert_eq!(handled.is_ok(), indication);
        let cut = &check[..cut % check.len()];
        stun_username(cut);
        prop_assert!(server.transport.handle_stun(pair.now, path, cut).is_err());
        prop_assert!(!server.transport.accepts(path.origin()));
        prop_assert_eq!(server.transport.poll_transmit(), None);
    }
}

#[test]
fn noise_on_a_connection_is_refused() {
    use rand::Rng;
    let mut pair = Pair::connected(77);
    for _ in 0..20_000 {
        let length = pair.rng.random_range(0..80);
        let mut noise: Vec<u8> = (0..length).map(|_| pair.rng.random()).collect();
        // Half of them look like records.
        let head = [
            pair.rng.random_range(19..25),
            254,
            253,
            0,
            pair.rng.random_range(0..3),
        ];
        if noise.len() > 13 && pair.rng.random() {
            noise[..5].copy_from_slice(&head);
            noise[11] = 0;
            noise[12] = (noise.len() - 13) as u8;
        }
        let header_len = pair.rng.random_range(0..100);
        let now = pair.now;
        let server = &mut pair.ends[SERVER].transport;
        let path = server.selected_path().unwrap();
        let _ = server.handle_dtls(now, path, &noise);
        assert!(server.handle_stun(now, path, &noise).is_err());
        assert!(server.open_rtp(&mut noise.clone(), header_len, 5).is_err());
        assert!(server.open_rtcp(&mut noise.clone()).is_err());
        let mut out = noise.clone();
        let _ = server.seal_rtp(&mut out, header_len, header_len, 5);
        let _ = server.seal_rtcp(&mut noise, header_len);
    }
    assert!(pair.ends[SERVER].transport.is_connected());
}
