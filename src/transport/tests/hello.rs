//! How the server answers what different clients offer.

use ::dtls::extension::extension_use_srtp::SrtpProtectionProfile;

use super::pair::{CLIENT, Pair, SERVER};
use crate::transport::{Identity, Transmit, Transport};

use std::time::Duration;

const GCM_128: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
const GCM_256: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm;
const CM_80: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
const CM_32: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32;

/// A pair whose client offers these profiles.
fn pair_offering(profiles: &[SrtpProtectionProfile]) -> Pair {
    let mut pair = Pair::new(30);
    let identity = Identity::with_client_profiles(profiles).unwrap();
    let client = &mut pair.ends[CLIENT];
    let limits = super::pair::LIMITS;
    client.transport = Transport::new(&identity, client.ice.clone(), limits);
    client.fingerprint = identity.fingerprint();
    pair.set_parameters();
    pair
}

#[test]
fn gcm_is_taken_wherever_it_is_offered() {
    let cases: [(&[_], _); 5] = [
        (&[CM_80, GCM_128], "SRTP_AEAD_AES_128_GCM"),
        (&[CM_80, CM_32, GCM_256, GCM_128], "SRTP_AEAD_AES_256_GCM"),
        (&[GCM_128, CM_80], "SRTP_AEAD_AES_128_GCM"),
        (&[CM_80], "SRTP_AES128_CM_HMAC_SHA1_80"),
        (&[CM_32, CM_80], "SRTP_AES128_CM_HMAC_SHA1_80"),
    ];
    for (profiles, expected) in cases {
        let mut pair = pair_offering(profiles);
        pair.run(Duration::from_secs(1));
        for end in &pair.ends {
            assert_eq!(end.transport.srtp_profile(), Some(expected), "{profiles:?}");
        }
        let mut sealed = [0x80; 40].to_vec();
        pair.ends[SERVER]
            .transport
            .seal_rtp(&mut sealed, 0, 12, 9)
            .unwrap();
        let opened = pair.ends[CLIENT].transport.open_rtp(&mut sealed, 12, 9);
        assert_eq!(opened, Ok(40));
    }
}

#[test]
fn a_client_without_a_common_profile_fails() {
    let mut pair = pair_offering(&[CM_32]);
    pair.run(Duration::from_secs(1));
    assert!(pair.ends.iter().all(|end| !end.transport.is_connected()));
}

/// Post-quantum key shares make ClientHellos that take two datagrams, and those come in any order.
#[test]
fn a_client_hello_may_come_in_pieces() {
    for reversed in [false, true] {
        let mut pair = pair_offering(&[CM_80, GCM_128]);
        pair.check();
        pair.ends[SERVER].transport.poll_transmit();
        let client = &mut pair.ends[CLIENT].transport;
        let sent = std::iter::from_fn(|| client.poll_transmit());
        let hello = sent
            .map(|transmit| transmit.contents)
            .find(|hello| hello[0] == 22)
            .unwrap();
        let mut pieces = pieces(&hello);
        assert_eq!(pieces.len(), 2);
        if reversed {
            pieces.reverse();
        }
        let server = &mut pair.ends[SERVER].transport;
        let path = server.selected_path().unwrap();
        for piece in pieces {
            assert_eq!(server.poll_transmit(), None);
            server.handle_dtls(pair.now, path, &piece).unwrap();
        }
        let Transmit { contents, .. } = server.poll_transmit().unwrap();
        assert_eq!((contents[0], contents[13]), (22, 3), "HelloVerifyRequest");
    }
}

/// Cuts a handshake message of one record in two.
fn pieces(record: &[u8]) -> Vec<Vec<u8>> {
    let message = &record[25..];
    let cuts = [(0, 80), (80, message.len())];
    let piece = |(number, (start, end)): (usize, (usize, usize))| {
        let mut piece = record[..25].to_vec();
        let length = end - start;
        piece[10] = number as u8;
        piece[11..13].copy_from_slice(&(12 + length as u16).to_be_bytes());
        piece[20..22].copy_from_slice(&(start as u16).to_be_bytes());
        piece[23..25].copy_from_slice(&(length as u16).to_be_bytes());
        piece.extend_from_slice(&message[start..end]);
        piece
    };
    cuts.into_iter().enumerate().map(piece).collect()
}

#[test]
fn a_transport_may_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Transport>();
    is_send::<Identity>();
}
