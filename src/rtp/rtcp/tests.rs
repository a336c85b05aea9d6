//! The writers against the reader, and both against the `rtcp` crate.

use ::rtcp::goodbye::Goodbye;
use ::rtcp::packet::{Packet, marshal, unmarshal};
use ::rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use ::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use ::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use ::rtcp::receiver_report::ReceiverReport;
use ::rtcp::sender_report::SenderReport;
use ::rtcp::source_description::SourceDescription;
use ::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use proptest::prelude::*;

use super::*;

const INFO: SenderInfo = SenderInfo {
    ntp: 0x0102_0304_0506_0708,
    rtp_timestamp: 9,
    packet_count: 10,
    octet_count: 11,
};

fn block(ssrc: u32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 128,
        cumulative_lost: 0x1_2345,
        highest_sequence: 0x0001_ffff,
        jitter: 77,
        last_sender_report: 0xaabb_ccdd,
        delay: 65_536,
    }
}

/// The one packet of `bytes`, as the `rtcp` crate reads it.
fn theirs<P: Packet + Clone + 'static>(bytes: &[u8]) -> P {
    let packets = unmarshal(&mut &bytes[..]).unwrap();
    assert_eq!(packets.len(), 1);
    packets[0].as_any().downcast_ref::<P>().unwrap().clone()
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    // What stands before must be left alone.
    let mut out = vec![0xee];
    write(&mut out);
    assert_eq!(out.remove(0), 0xee);
    assert_eq!(out.len() % 4, 0);
    assert!(is_rtcp(&out));
    out
}

#[test]
fn reports_are_written_as_others_read_them() {
    let blocks = [block(1), block(2)];
    let bytes = written(|out| write_sender_report(out, 5, &INFO, &blocks));
    let report: SenderReport = theirs(&bytes);
    assert_eq!((report.ssrc, report.ntp_time), (5, INFO.ntp));
    assert_eq!((report.rtp_time, report.packet_count), (9, 10));
    assert_eq!(report.octet_count, 11);
    assert_eq!(report.reports.len(), 2);
    assert_eq!(report.reports[1].ssrc, 2);
    assert_eq!(report.reports[1].fraction_lost, 128);
    assert_eq!(report.reports[1].total_lost, 0x1_2345);
    assert_eq!(report.reports[1].last_sequence_number, 0x0001_ffff);
    assert_eq!(report.reports[1].jitter, 77);
    assert_eq!(report.reports[1].last_sender_report, 0xaabb_ccdd);
    assert_eq!(report.reports[1].delay, 65_536);

    let many: Vec<_> = (0..40).map(block).collect();
    let bytes = written(|out| write_receiver_report(out, 5, &many));
    let report: ReceiverReport = theirs(&bytes);
    assert_eq!((report.ssrc, report.reports.len()), (5, 31));
}

#[test]
fn small_packets_are_written_as_others_read_them() {
    for name in ["", "a", "ab", "abc", "abcd", "cname@crosspoint"] {
        let bytes = written(|out| write_cname(out, 5, name));
        let description: SourceDescription = theirs(&bytes);
        assert_eq!(description.chunks.len(), 1);
        assert_eq!(description.chunks[0].source, 5);
        assert_eq!(description.chunks[0].items[0].text, name.as_bytes());
    }
    let bye: Goodbye = theirs(&written(|out| write_bye(out, &[1, 2])));
    assert_eq!(bye.sources, [1, 2]);
    let pli: PictureLossIndication = theirs(&written(|out| write_pli(out, 1, 2)));
    assert_eq!((pli.sender_ssrc, pli.media_ssrc), (1, 2));
    let fir: FullIntraRequest = theirs(&written(|out| write_fir(out, 1, 2, 3)));
    assert_eq!(
        fir.fir,
        [FirEntry {
            ssrc: 2,
            sequence_number: 3
        }]
    );
}

#[test]
fn a_nack_of_nothing_is_not_written_and_a_long_one_is_cut() {
    let mut out = vec![];
    assert_eq!(write_nack(&mut out, 1, 2, []), 0);
    assert!(out.is_empty());
    let sequences = (0..1000u16).map(|n| n * 40);
    assert_eq!(write_nack(&mut out, 1, 2, sequences), 250);
    assert_eq!(out.len(), 12 + 1000);
    let nack: TransportLayerNack = theirs(&out);
    assert_eq!(nack.nacks.len(), 250);
}

#[test]
fn a_compound_is_read_packet_by_packet() {
    let mut out = vec![];
    write_sender_report(&mut out, 5, &INFO, &[block(1)]);
    write_cname(&mut out, 5, "name");
    write_nack(&mut out, 5, 6, [65_534, 1, 15, 40]);
    write_pli(&mut out, 5, 6);
    write_fir(&mut out, 5, 6, 9);
    write_bye(&mut out, &[7, 8]);
    let remb = ReceiverEstimatedMaximumBitrate {
        sender_ssrc: 5,
        bitrate: 8_927_168.0,
        ssrcs: vec![6, 7],
    };
    out.extend_from_slice(&marshal(&[Box::new(remb)]).unwrap());

    let mut packets = RtcpPackets::new(&out);
    let Some(RtcpPacket::SenderReport {
        ssrc: 5,
        info,
        reports,
    }) = packets.next()
    else {
        panic!("no sender report");
    };
    assert_eq!(info, INFO);
    assert_eq!(reports.collect::<Vec<_>>(), [block(1)]);
    let Some(RtcpPacket::Nack {
        media_ssrc: 6,
        sequences,
    }) = packets.next()
    else {
        panic!("no NACK");
    };
    assert_eq!(sequences.collect::<Vec<_>>(), [65_534, 1, 15, 40]);
    assert!(matches!(
        packets.next(),
        Some(RtcpPacket::Pli { media_ssrc: 6 })
    ));
    let Some(RtcpPacket::Fir { entries }) = packets.next() else {
        panic!("no FIR");
    };
    assert_eq!(entries.collect::<Vec<_>>(), [(6, 9)]);
    let Some(RtcpPacket::Bye { ssrcs }) = packets.next() else {
        panic!("no goodbye");
    };
    assert_eq!(ssrcs.collect::<Vec<_>>(), [7, 8]);
    let Some(RtcpPacket::Remb { bitrate, ssrcs }) = packets.next() else {
        panic!("no REMB");
    };
    assert_eq!(bitrate, 8_927_168);
    assert_eq!(ssrcs.collect::<Vec<_>>(), [6, 7]);
    assert!(packets.next().is_none());
}

#[test]
fn what_is_malformed_is_passed_over_or_ends_the_compound() {
    let pli = written(|out| write_pli(out, 1, 2));
    let is_pli = |packet: Option<RtcpPacket<'_>>| matches!(packet, Some(RtcpPacket::Pli { .. }));

    // An unknown type, a PLI without its media SSRC, a receiver report with fewer blocks than it says,
    // and padding longer than the packet.
    for broken in [
        &[0x80, 207, 0, 0][..],
        &[0x81, 206, 0, 1, 0, 0, 0, 1],
        &[0x81, 201, 0, 1, 0, 0, 0, 1],
        &[0xa1, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 13],
    ] {
        let bytes = [broken, &pli].concat();
        assert!(is_pli(RtcpPackets::new(&bytes).next()), "{broken:?}");
    }
    // A wrong version, and a length beyond the datagram.
    for broken in [&[0x40, 206, 0, 0][..], &[0x80, 206, 0, 9]] {
        let bytes = [&pli, broken, &pli].concat();
        let mut packets = RtcpPackets::new(&bytes);
        assert!(is_pli(packets.next()));
        assert!(packets.next().is_none(), "{broken:?}");
        assert!(packets.next().is_none());
    }
}

#[test]
fn negative_losses_and_huge_bitrates_are_kept_in_their_range() {
    let mut report = block(1);
    for lost in [-1, -0x80_0000, 0x7f_ffff, 0] {
        report.cumulative_lost = lost;
        let bytes = written(|out| write_receiver_report(out, 5, &[report]));
        let Some(RtcpPacket::ReceiverReport { mut reports, .. }) = RtcpPackets::new(&bytes).next()
        else {
            panic!("no report");
        };
        assert_eq!(reports.next(), Some(report));
    }
    let mut remb = written(|out| {
        let start = begin_feedback(out, 206, 15, 1, 0);
        out.extend_from_slice(b"REMB\x00\xff\xff\xff");
        finish_feedback(out, start);
    });
    let bitrate = |bytes: &[u8]| match RtcpPackets::new(bytes).next() {
        Some(RtcpPacket::Remb { bitrate, .. }) => bitrate,
        other => panic!("{other:?}"),
    };
    assert_eq!(bitrate(&remb), u64::MAX);
    remb[17..20].copy_from_slice(&[0xfc, 0, 0]);
    assert_eq!(bitrate(&remb), 0);
    remb[17..20].copy_from_slice(&[0x04, 0, 3]);
    assert_eq!(bitrate(&remb), 6);
}

proptest! {
    #[test]
    fn nacks_carry_exactly_what_was_asked(
        start: u16, gaps in proptest::collection::vec(1u16..40, 1..100),
    ) {
        let mut sequences = vec![start];
        for gap in gaps {
            sequences.push(sequences[sequences.len() - 1].wrapping_add(gap));
        }
        let mut out = vec![];
        let words = write_nack(&mut out, 1, 2, sequences.iter().copied());
        prop_assert_eq!(out.len(), 12 + words * 4);
        let Some(RtcpPacket::Nack { sequences: read, .. }) = RtcpPackets::new(&out).next() else {
            panic!("no NACK");
        };
        prop_assert_eq!(read.collect::<Vec<_>>(), sequences.clone());
        let nack: TransportLayerNack = theirs(&out);
        let read: Vec<u16> = nack.nacks.into_iter().flatten().collect();
        prop_assert_eq!(read, sequences);
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        // Let most of them get past the framing.
        if let [first, packet_type, high, low, ..] = &mut bytes[..] {
            *first = 0x80 | *first & 0x3f;
            *packet_type = 200 + *packet_type % 8;
            (*high, *low) = (0, *low % 16);
        }
        let mut total = 0;
        for packet in RtcpPackets::new(&bytes) {
            total += 1 + match packet {
                RtcpPacket::SenderReport { reports, .. }
                | RtcpPacket::ReceiverReport { reports, .. } => reports.count(),
                RtcpPacket::Bye { ssrcs } | RtcpPacket::Remb { ssrcs, .. } => ssrcs.count(),
                RtcpPacket::Nack { sequences, .. } => sequences.count() / 17,
                RtcpPacket::Fir { entries } => entries.count(),
                RtcpPacket::TransportCc { .. } | RtcpPacket::Pli { .. } => 0,
            };
        }
        prop_assert!(total <= bytes.len() / 4);
    }
}
