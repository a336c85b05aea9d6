//! Against the supplier's SRTP, and against the vectors of the RFCs.

use ::rtp::header::Header;
use ::shared::marshal::Marshal;
use ::srtp::context::Context;
use ::srtp::protection_profile::ProtectionProfile;

use super::cipher::Cipher;
use super::*;

const PROFILES: [(SrtpProfile, ProtectionProfile); 3] = [
    (SrtpProfile::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm),
    (SrtpProfile::AeadAes256Gcm, ProtectionProfile::AeadAes256Gcm),
    (
        SrtpProfile::Aes128CmHmacSha1_80,
        ProtectionProfile::Aes128CmHmacSha1_80,
    ),
];

/// Our session as the DTLS server, with the supplier's contexts of the client: inbound, outbound.
fn session(profile: (SrtpProfile, ProtectionProfile)) -> (Srtp, Context, Context) {
    let provider = ::crypto::default_provider().unwrap();
    let material: Vec<u8> = (0..profile.0.keying_material_len())
        .map(|i| (i * 7) as u8)
        .collect();
    let ours = Srtp::new(provider.crypto(), profile.0, &material, false).unwrap();
    let mut config = ::srtp::config::Config {
        profile: profile.1,
        ..Default::default()
    };
    config
        .set_session_keys_from_keying_material(&material, true)
        .unwrap();
    let keys = &config.keys;
    let context = |key: &[u8], salt: &[u8]| {
        Context::new(key, salt, profile.1, None, None, provider.crypto()).unwrap()
    };
    (
        ours,
        context(&keys.remote_master_key, &keys.remote_master_salt),
        context(&keys.local_master_key, &keys.local_master_salt),
    )
}

fn packet(sequence_number: u16, ssrc: u32, payload_len: usize) -> (Vec<u8>, usize) {
    let mut header = Header {
        version: 2,
        payload_type: 96,
        sequence_number,
        timestamp: 1234,
        ssrc,
        csrc: vec![5, 6],
        ..Default::default()
    };
    header
        .set_extension(1, bytes::Bytes::from_static(b"mid"))
        .unwrap();
    let mut packet = header.marshal().unwrap().to_vec();
    let header_len = packet.len();
    packet.extend((0..payload_len).map(|i| i as u8));
    (packet, header_len)
}

#[test]
fn rtp_agrees_with_the_supplier_over_rollovers() {
    for profile in PROFILES {
        let (mut ours, mut their_inbound, mut their_outbound) = session(profile);
        // Three rollovers in steps that a 16-bit sequence number can tell.
        for step in 0..20u64 {
            let index = 65_000 + step * 10_000;
            let (plain, header_len) = packet(index as u16, 0xdead_beef, step as usize * 60);
            let mut sealed = b"before".to_vec();
            sealed.extend(&plain);
            ours.seal_rtp(&mut sealed, 6, header_len, index).unwrap();
            assert_eq!(&sealed[..6], b"before");
            assert_eq!(sealed.len(), 6 + plain.len() + ours.rtp_overhead());
            assert_eq!(their_inbound.decrypt_rtp(&sealed[6..]).unwrap(), plain);

            let mut sealed = their_outbound.encrypt_rtp(&plain).unwrap();
            let length = ours.open_rtp(&mut sealed, header_len, index).unwrap();
            assert_eq!(sealed[..length], plain);
        }
    }
}

#[test]
fn rtcp_agrees_with_the_supplier() {
    for profile in PROFILES {
        let (mut ours, mut their_inbound, mut their_outbound) = session(profile);
        for words in 1..40u8 {
            let mut plain = vec![0x80, 201, 0, words, 1, 2, 3, words % 3];
            plain.extend((1..words).flat_map(|word| [word; 4]));
            let mut sealed = vec![9];
            sealed.extend(&plain);
            ours.seal_rtcp(&mut sealed, 1).unwrap();
            assert_eq!(their_inbound.decrypt_rtcp(&sealed[1..]).unwrap(), plain);

            let sealed = their_outbound.encrypt_rtcp(&plain).unwrap();
            let mut packet = sealed.to_vec();
            let length = ours.open_rtcp(&mut packet).unwrap();
            assert_eq!(packet[..length], plain);
            assert_eq!(
                ours.open_rtcp(&mut sealed.to_vec()),
                Err(SrtpError::Replayed)
            );
        }
    }
}

#[test]
fn every_bit_is_authenticated() {
    for profile in PROFILES {
        let (mut ours, _, mut their_outbound) = session(profile);
        let (plain, header_len) = packet(77, 1, 30);
        let sealed = their_outbound.encrypt_rtp(&plain).unwrap();
        for at in 0..sealed.len() * 8 {
            let mut broken = sealed.to_vec();
            broken[at / 8] ^= 1 << (at % 8);
            let opened = ours.open_rtp(&mut broken, header_len, 77);
            assert_eq!(opened, Err(SrtpError::Authentication), "bit {at}");
        }
        let rtcp = their_outbound
            .encrypt_rtcp(&[0x80, 201, 0, 1, 0, 0, 0, 1])
            .unwrap();
        for at in 0..rtcp.len() * 8 {
            let mut broken = rtcp.to_vec();
            broken[at / 8] ^= 1 << (at % 8);
            assert!(ours.open_rtcp(&mut broken).is_err(), "bit {at}");
        }
        assert!(ours.open_rtcp(&mut rtcp.to_vec()).is_ok());
    }
}

/// RFC 7714 section 16.1.1: AEAD_AES_128_GCM over an RTP packet. The vector's keys are session keys.
#[test]
fn the_vector_of_rfc_7714() {
    let provider = ::crypto::default_provider().unwrap();
    let key: Vec<u8> = (0..16).collect();
    let salt = *b"Quid pro quo";
    let aead = ::crypto::AeadAlgorithm::Aes128Gcm;
    let key = provider.crypto().new_aead(aead, &key).unwrap();
    let mut cipher = Cipher::Gcm(super::cipher::Gcm { key, salt });
    let mut packet = hex(
        "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573",
    );
    cipher.seal_rtp(&mut packet, 0, 12, 0xf17b).unwrap();
    assert_eq!(
        packet,
        hex(
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce"
        )
    );
}

/// RFC 3711 appendix B.3.
#[test]
fn the_key_derivation_of_rfc_3711() {
    let provider = ::crypto::default_provider().unwrap();
    let master_key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
    let master_salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let derive = |label, length| {
        let mut out = vec![0; length];
        let crypto = provider.crypto();
        super::key_derivation::derive(crypto, &master_key, &master_salt, label, &mut out).unwrap();
        out
    };
    assert_eq!(derive(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derive(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let auth = hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4");
    assert_eq!(derive(1, 20), auth);
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}
