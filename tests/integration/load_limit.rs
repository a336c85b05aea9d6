//! `crosspoint load --limit` on loopback: the bare forwarder as a process of its own, and its drawing.

use serde_json::Value;

use crate::support::server::run;

async fn limit(arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = [
        "load",
        "--limit",
        "--json",
        "--warm-up",
        "0",
        "--seconds",
        "1",
    ]
    .iter()
    .chain(arguments)
    .copied()
    .collect();
    let output = run(&arguments).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).expect("a report")
}

#[tokio::test]
async fn every_packet_reaches_every_receiver_and_opens() {
    let report = limit(&[
        "--profile",
        "webinar",
        "--subscribers",
        "3",
        "--sample",
        "1",
    ])
    .await;
    let run = &report["runs"][0];
    assert_eq!(run["srtp"][0], "SRTP_AEAD_AES_128_GCM");
    assert_eq!(
        (&run["tracksExpected"], &run["tracksReceived"]),
        (&6.into(), &6.into())
    );
    assert_eq!(run["failed"].as_array().map(Vec::len), Some(0), "{run}");
    assert_eq!(run["loss"]["strange"], 0, "{run}");
    let (sent, received) = (&run["sent"]["packets"], &run["received"]["packets"]);
    let (sent, received) = (
        sent.as_u64().expect("sent"),
        received.as_u64().expect("received"),
    );
    // What is on its way when the interval begins or ends is counted on one side only.
    assert!(
        received.abs_diff(3 * sent) <= received / 4,
        "{sent} sent, {received} received"
    );
    assert!(run["latency"]["count"].as_u64() > Some(0), "{run}");
    assert!(run["server"]["residentBytes"].as_u64() > Some(0), "{run}");
}

#[tokio::test]
async fn everybody_in_a_meeting_gets_what_all_others_send_and_rooms_are_apart() {
    let report = limit(&["--profile", "meeting", "--subscribers", "3", "--rooms", "2"]).await;
    let run = &report["runs"][0];
    // In each room three who receive two tracks of two others.
    assert_eq!(
        (&run["tracksExpected"], &run["tracksReceived"]),
        (&24.into(), &24.into())
    );
    assert_eq!(run["loss"]["strange"], 0, "{run}");
}

#[tokio::test]
async fn a_report_is_drawn_from_its_file() {
    let report = limit(&[
        "--profile",
        "audio",
        "--publishers",
        "1",
        "--subscribers",
        "2",
    ])
    .await;
    let folder = std::env::temp_dir().join(format!("crosspoint-limit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (json, svg) = (folder.join("report.json"), folder.join("plot.svg"));
    std::fs::write(&json, report.to_string()).expect("written");
    let path = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
    let (from, to) = (path(&json), path(&svg));
    let output = run(&["load", "--plot", &to, "--from", &from]).await;
    assert!(output.status.success(), "{output:?}");
    let drawn = std::fs::read_to_string(&svg).expect("a drawing");
    assert!(
        drawn.contains("limit") && drawn.contains("subscribers"),
        "{drawn}"
    );
    let output = run(&["load", "--plot", &to, "--from", &to]).await;
    assert_eq!(output.status.code(), Some(1));
    std::fs::remove_dir_all(&folder).expect("removed");
}
