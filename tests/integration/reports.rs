//! RTCP reports that the server writes.

use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::sender_report::SenderReport;

use crate::support::{Client, Server, Setup};

/// NTP time in seconds.
fn seconds(ntp: u64) -> f64 {
    ntp as f64 / f64::powi(2.0, 32)
}

#[tokio::test]
async fn sender_reports_fit_the_rewritten_streams() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    for (kind, clock, step) in [("audio", 48_000.0, 960), ("video", 90_000.0, 3_000)] {
        let track = bob.track_from(&alice, kind).await;
        let (first, last) = bob
            .peer
            .traffic
            .until(format!("two sender reports of {kind}"), |traffic| {
                let mut reports = traffic
                    .rtcp::<SenderReport>()
                    .filter(|(_, report)| report.ssrc == track.ssrc)
                    .map(|(at, report)| (at, report.clone()));
                let first = reports.next()?;
                Some((first, reports.last()?))
            })
            .await;
        let wall = seconds(last.1.ntp_time.wrapping_sub(first.1.ntp_time));
        let media = f64::from(last.1.rtp_time.wrapping_sub(first.1.rtp_time)) / clock;
        assert!(
            (wall - media).abs() < 0.25,
            "{kind}: {wall:.3} s of wall clock are {media:.3} s of media"
        );
        assert!(wall > 0.0, "{kind}: reports of different times");
        let (packets, last_packet) = bob.peer.traffic.read(|traffic| {
            let packets = traffic
                .rtp_in
                .iter()
                .filter(|passed| passed.packet.header.ssrc == track.ssrc && passed.at <= last.0);
            (
                packets.clone().count(),
                packets
                    .last()
                    .expect("packets before the report")
                    .packet
                    .header
                    .timestamp,
            )
        });
        let distance = f64::from(last.1.rtp_time.wrapping_sub(last_packet) as i32) / clock;
        assert!(
            distance.abs() < 1.0,
            "{kind}: the report's timestamp is {distance:.3} s from the packets'"
        );
        let reported = last.1.packet_count as usize;
        assert!(
            reported > 0 && reported <= packets + 5,
            "{kind}: {reported} packets reported, {packets} came"
        );
        let packets = bob.further_packets(track.ssrc, 5).await;
        for pair in packets.windows(2) {
            assert_eq!(
                pair[1]
                    .header
                    .timestamp
                    .wrapping_sub(pair[0].header.timestamp),
                step,
                "{kind}: timestamps advance as the publisher's"
            );
        }
    }
}

#[tokio::test]
async fn publishers_get_receiver_reports() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    alice.start_media();
    for outgoing in [&alice.peer.audio, &alice.peer.video] {
        let ssrc = outgoing.as_ref().expect("a track").ssrc;
        let report = alice
            .peer
            .traffic
            .until(format!("a report on {ssrc:08x}"), |traffic| {
                let on = |reports: &[rtc::rtcp::reception_report::ReceptionReport]| {
                    reports.iter().find(|report| report.ssrc == ssrc).cloned()
                };
                let receiver = traffic
                    .rtcp::<ReceiverReport>()
                    .find_map(|(_, report)| on(&report.reports));
                receiver.or_else(|| {
                    traffic
                        .rtcp::<SenderReport>()
                        .find_map(|(_, report)| on(&report.reports))
                })
            })
            .await;
        assert_eq!(report.total_lost, 0);
        let sent = alice.peer.traffic.read(|traffic| {
            traffic.rtp_out.iter().any(|passed| {
                passed.packet.header.ssrc == ssrc
                    && passed.packet.header.sequence_number == report.last_sequence_number as u16
            })
        });
        assert!(sent, "the highest sequence number is one that was sent");
    }
}
