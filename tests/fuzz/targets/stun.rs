//! STUN, in messages that are put together attribute by attribute, signed with the right password, another one, or
//! not at all.
//!
//! Whoever is answered did sign, as a second implementation of STUN sees it; and the answer goes nowhere else, says
//! what it must, and is not much longer than the question.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crosspoint::shard::{Command, IceCredentials, ParticipantId, PeerId};
use crosspoint::transport::{DatagramKind, classify, stun_username};
use ring::hmac;
use shared::error::Result;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_ERROR, BINDING_SUCCESS, Getter, Message};
use stun::xoraddr::XorMappedAddress;

use super::input::Input;
use super::wire::{Wire, credentials};

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT_TYPE: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

/// Messages of one input.
const MAX_STEPS: usize = 8;

/// Puts messages to a shard that has two peers: of one both sides are known, of the other only ours.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut wire = Wire::new();
    let locals = [credentials("a"), credentials("b")];
    for (number, local) in (1..).zip(&locals) {
        wire.add_peer(PeerId(number), ParticipantId(number), local);
    }
    let transport = wire.remote(&locals[0]);
    wire.command(Command::SetTransport {
        peer: PeerId(1),
        transport,
    });
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        let from = address(&mut input);
        let datagram = match input.u8() % 8 {
            0 => input.long_bytes().to_vec(),
            1 => {
                wire.pass(Duration::from_millis(u64::from(input.u16())));
                continue;
            }
            _ => message(&mut input, &locals),
        };
        wire.sent.clear();
        wire.deliver(from, &datagram);
        let sent = std::mem::take(&mut wire.sent);
        assert_answers(from, &datagram, &sent, &locals);
        stun_username(&datagram);
        classify(&datagram);
    }
    for peer in [1, 2] {
        wire.command(Command::RemovePeer { peer: PeerId(peer) });
    }
    assert_eq!(wire.shard.poll_timeout(), None, "timers of nobody");
}

fn address(input: &mut Input<'_>) -> SocketAddr {
    let choice = input.u8();
    let ip: IpAddr = match choice & 1 {
        0 => [192, 0, 2, 50].into(),
        _ => [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(choice >> 6)].into(),
    };
    (ip, 1000 + u16::from(choice >> 1)).into()
}

/// A message of the attributes that the input chooses.
fn message(input: &mut Input<'_>, locals: &[IceCredentials; 2]) -> Vec<u8> {
    let kind = input.choose(&[0x0001, 0x0001, 0x0001, 0x0011, 0x0101, 0x0111, 0x0003]);
    let mut raw = Vec::new();
    raw.extend(u16::to_be_bytes(kind));
    raw.extend([0, 0, 0x21, 0x12, 0xa4, 0x42]);
    raw.extend([input.u8(); 12]);
    // Where its header is not what it says.
    let damage = input.u8();
    for _ in 0..40 {
        let choice = input.u8();
        let whose = &locals[usize::from(choice >> 7)];
        match choice & 0x0f {
            0 => break,
            1 => {
                let name = format!("{}:{}", whose.ufrag, input.choose(&["x", "ufremote", ""]));
                attribute(&mut raw, USERNAME, name.as_bytes());
            }
            2 => attribute(&mut raw, USERNAME, input.bytes()),
            3 => attribute(&mut raw, PRIORITY, &input.array::<4>()),
            4 => attribute(&mut raw, USE_CANDIDATE, &[]),
            5 => attribute(&mut raw, ICE_CONTROLLED, &[1; 8]),
            6 => attribute(&mut raw, ICE_CONTROLLING, &[2; 8]),
            7 => sign(&mut raw, &whose.pwd),
            8 => sign(&mut raw, "a-password-that-is-nobodys"),
            9 => fingerprint(&mut raw),
            10 => {
                let kind = input.u16();
                attribute(&mut raw, kind, input.bytes());
            }
            11 => raw.extend(input.bytes()),
            // What a browser sends.
            _ => {
                let name = format!("{}:ufremote", whose.ufrag);
                attribute(&mut raw, USERNAME, name.as_bytes());
                attribute(&mut raw, PRIORITY, &[0x6e, 0x7f, 0x1e, 0xff]);
                attribute(&mut raw, ICE_CONTROLLING, &[2; 8]);
                if choice & 0x20 != 0 {
                    attribute(&mut raw, USE_CANDIDATE, &[]);
                }
                if choice & 0x40 != 0 {
                    attribute(&mut raw, 0xc057, &[0, 1, 0, 10]);
                }
                sign(&mut raw, &whose.pwd);
                fingerprint(&mut raw);
            }
        }
    }
    match damage {
        1 => raw[2] ^= input.u8(),
        2 => raw[3] ^= input.u8(),
        3 => raw[4] ^= 1,
        4 => raw.truncate(usize::from(input.u8())),
        5 => {
            let at = usize::from(input.u16()) % raw.len();
            raw[at] ^= input.u8();
        }
        _ => {}
    }
    raw
}

fn attribute(raw: &mut Vec<u8>, kind: u16, value: &[u8]) {
    raw.extend(kind.to_be_bytes());
    raw.extend((value.len() as u16).to_be_bytes());
    raw.extend(value);
    raw.resize(raw.len().next_multiple_of(4), 0);
    let len = (raw.len() - 20) as u16;
    raw[2..4].copy_from_slice(&len.to_be_bytes());
}

/// Adds MESSAGE-INTEGRITY, wherever that is.
fn sign(raw: &mut Vec<u8>, password: &str) {
    attribute(raw, MESSAGE_INTEGRITY, &[0; 20]);
    let at = raw.len() - 24;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let tag = hmac::sign(&key, &raw[..at]);
    raw[at + 4..].copy_from_slice(tag.as_ref());
}

fn fingerprint(raw: &mut Vec<u8>) {
    attribute(raw, FINGERPRINT_TYPE, &[0; 4]);
    let at = raw.len() - 8;
    let value = stun::fingerprint::fingerprint_value(&raw[..at]);
    raw[at + 4..].copy_from_slice(&value.to_be_bytes());
}

/// Checks what was sent after one message.
fn assert_answers(
    from: SocketAddr,
    asked: &[u8],
    sent: &[(SocketAddr, Vec<u8>)],
    locals: &[IceCredentials; 2],
) {
    let answers: Vec<_> = sent
        .iter()
        .filter(|(_, datagram)| classify(datagram) == Some(DatagramKind::Stun))
        .collect();
    assert!(answers.len() <= 1, "{} answers", answers.len());
    let Some((to, answer)) = answers.first() else {
        return;
    };
    assert_eq!(*to, from);
    assert!(answer.len() <= asked.len() + 44, "{} bytes", answer.len());
    let asked = decoded(asked).expect("only what is right is answered");
    let is_named = |local: &&IceCredentials| {
        let name = stun_username(&asked.raw);
        name == Some(local.ufrag.as_str())
    };
    let local = locals.iter().find(is_named).expect("one of our names");
    assert_signed(&asked, local);
    let answer = decoded(answer).expect("an answer is a message");
    assert_signed(&answer, local);
    assert_eq!(answer.transaction_id, asked.transaction_id);
    if answer.typ == BINDING_SUCCESS {
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&answer).expect("the address");
        assert_eq!(SocketAddr::new(mapped.ip, mapped.port), from);
    } else {
        assert_eq!(answer.typ, BINDING_ERROR);
    }
}

fn decoded(raw: &[u8]) -> Result<Message> {
    let mut message = Message::new();
    message.write(raw)?;
    Ok(message)
}

/// By the supplier's code. Of several attributes of one kind it reads the first, but a fingerprint is the last one.
fn assert_signed(message: &Message, local: &IceCredentials) {
    let provider = crypto::default_provider().expect("a provider");
    let mut copy = decoded(&message.raw).expect("a message");
    MessageIntegrity::check(&mut copy, local.pwd.as_bytes(), provider.crypto())
        .expect("signed with the password");
    let (covered, value) = message.raw.split_at(message.raw.len() - 4);
    let covered = &covered[..covered.len() - 4];
    let expected = stun::fingerprint::fingerprint_value(covered);
    assert_eq!(value, expected.to_be_bytes(), "the fingerprint");
}
