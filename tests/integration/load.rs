//! `crosspoint load`: small loads on a server that it starts itself, and on one that is there.

use serde_json::Value;

use crate::support::Server;
use crate::support::server::run;

/// Runs a load of two seconds and gives the report's only run.
async fn load(options: &[&str]) -> Value {
    let common = ["load", "--json", "--seconds", "2", "--warm-up", "1"];
    let line: Vec<&str> = common.iter().chain(options).copied().collect();
    let output = run(&line).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let runs = report["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 1, "{report}");
    runs[0].clone()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// Everybody was there, and got everything.
fn assert_whole(report: &Value) {
    assert_eq!(report["joined"], report["clients"], "{report}");
    assert_eq!(report["failed"], Value::Array(Vec::new()), "{report}");
    assert_eq!(
        report["tracksReceived"], report["tracksExpected"],
        "{report}"
    );
    for kind in ["lost", "strange", "unsent", "injected"] {
        assert_eq!(report["loss"][kind], 0, "{kind}: {report}");
    }
}

/// That as much was received as was sent to `receivers` each, but for what was on its way.
fn assert_forwarded(report: &Value, receivers: f64) {
    let sent = number(&report["sent"]["packets"]) * receivers;
    let received = number(&report["received"]["packets"]);
    assert!(sent > 100.0, "{report}");
    assert!((received / sent - 1.0).abs() < 0.1, "{report}");
}

#[tokio::test]
async fn a_meeting_gets_all_that_is_sent_and_is_measured() {
    let report = load(&["--subscribers", "3"]).await;
    assert_whole(&report);
    assert_eq!(report["clients"], 3);
    assert_eq!(report["tracksExpected"], 12);
    assert_forwarded(&report, 2.0);
    assert_eq!(report["srtp"][0], "SRTP_AEAD_AES_128_GCM");
    let count = |kind: &str| number(&report[kind]["count"]);
    assert_eq!(count("join"), 3.0);
    assert_eq!(count("keyframe"), 6.0);
    // One of 16 packets is decrypted, and nearly all have a stamp.
    assert!(count("latency") > number(&report["received"]["packets"]) / 40.0);
    assert!(number(&report["latency"]["p50"]) > 0.0);
    assert!(number(&report["latency"]["p99"]) >= number(&report["latency"]["p50"]));
    if cfg!(target_os = "linux") {
        for process in ["server", "generator"] {
            let found = &report[process];
            assert!(number(&found["residentBytes"]) > 1e6, "{report}");
            assert!(number(&found["secondsPerMillion"]) > 0.0, "{report}");
        }
    }
}

#[tokio::test]
async fn each_profile_does_what_it_says() {
    for (options, receivers, tracks) in [
        (&["--profile", "webinar", "--subscribers", "4"][..], 4.0, 8),
        (
            &[
                "--profile",
                "audio",
                "--publishers",
                "2",
                "--subscribers",
                "5",
            ],
            5.0,
            10,
        ),
        (&["--profile", "one-to-one", "--rooms", "2"], 1.0, 8),
    ] {
        let report = load(options).await;
        assert_whole(&report);
        assert_eq!(report["tracksExpected"], tracks, "{options:?}");
        assert_forwarded(&report, receivers);
    }
}

#[tokio::test]
async fn what_gets_lost_is_repaired() {
    let report = load(&["--subscribers", "2", "--loss", "5", "--no-audio"]).await;
    assert_eq!(report["joined"], 2, "{report}");
    let loss = |kind: &str| number(&report["loss"][kind]);
    assert!(loss("injected") > 0.0 && loss("lost") > 0.0, "{report}");
    assert!(loss("nacks") >= loss("repaired"), "{report}");
    // What was lost last is repaired after the measurement.
    assert!(loss("repaired") > loss("lost") * 0.6, "{report}");
    assert_eq!(loss("strange"), 0.0, "{report}");
}

#[tokio::test]
async fn a_delay_is_seen_in_the_latency() {
    let line = [
        "--profile",
        "one-to-one",
        "--rooms",
        "1",
        "--delay",
        "40",
        "--jitter",
        "5",
    ];
    let report = load(&line).await;
    assert_eq!(report["joined"], 2, "{report}");
    // From the client to the server and back.
    assert!(number(&report["latency"]["min"]) >= 80.0, "{report}");
    assert_eq!(report["loss"]["lost"], 0, "{report}");
}

#[tokio::test]
async fn layers_and_the_other_suite_are_for_who_asks() {
    let suite = [
        "--srtp",
        "aes-cm-128-hmac-sha1-80",
        "--simulcast",
        "--video-bitrate",
        "600000",
    ];
    let line: Vec<&str> = ["--subscribers", "2"]
        .iter()
        .chain(&suite)
        .copied()
        .collect();
    let report = load(&line).await;
    assert_eq!(report["joined"], 2, "{report}");
    assert_eq!(report["srtp"][0], "SRTP_AES128_CM_HMAC_SHA1_80");
    assert_eq!(report["tracksReceived"], 4, "{report}");
    assert_eq!(report["keyframe"]["count"], 2, "{report}");
}

#[tokio::test]
async fn a_server_that_is_there_is_used_and_what_it_refuses_is_said() {
    let server = Server::with(&["--max-participants", "2"]).await;
    let url = format!("ws://127.0.0.1:{}/ws", server.port());
    let pid = server.pid().to_string();
    let report = load(&["--url", &url, "--pid", &pid, "--subscribers", "2"]).await;
    assert_whole(&report);
    assert!(number(&report["server"]["residentBytes"]) > 1e6, "{report}");
    let full = load(&["--url", &url, "--subscribers", "3"]).await;
    assert_eq!(full["joined"], 2, "{full}");
    assert_eq!(full["server"], Value::Null, "{full}");
    let reason = full["failed"][0][0].as_str().expect("a reason");
    assert!(reason.contains("room-full"), "{full}");
    assert_eq!(full["failed"][0][1], 1, "{full}");
}

#[tokio::test]
async fn visitors_come_and_go_beside_those_that_stay() {
    let line = [
        "--subscribers",
        "2",
        "--churn",
        "10",
        "--churn-stay",
        "1",
        "--video-bitrate",
        "60000",
    ];
    let report = load(&line).await;
    assert_eq!(report["joined"], 2, "{report}");
    assert_eq!(report["failed"], Value::Array(Vec::new()), "{report}");
    let churn = &report["churn"];
    assert_eq!(churn["failed"], Value::Array(Vec::new()), "{report}");
    let count = |kind: &str| number(&churn[kind]);
    // 3 seconds of them, some of which are not through yet.
    assert!(count("came") > 20.0, "{report}");
    assert!(count("early") > 0.0, "{report}");
    assert!(count("stayed") > count("came") * 0.4, "{report}");
    // More than the two send each other.
    assert!(
        number(&report["received"]["packets"]) > number(&report["sent"]["packets"]),
        "{report}"
    );
}

#[tokio::test]
async fn several_numbers_of_subscribers_are_several_runs_and_text_is_for_people() {
    let line = [
        "load",
        "--profile",
        "webinar",
        "--subscribers",
        "1,2",
        "--seconds",
        "1",
        "--warm-up",
        "0",
    ];
    let output = run(&line).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    for words in [
        "1 subscriber;",
        "2 subscribers;",
        "per million packets",
        "keyframe",
        "p99",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_explained() {
    for (line, code, words) in [
        (&["load", "--profile", "party"][..], 2, "one-to-one"),
        (&["load", "--seconds", "0"], 2, "1 to 86400"),
        (
            &["load", "--url", "ws://127.0.0.1:1/ws", "--subscribers", "1"],
            1,
            "no client could join",
        ),
        (&["load", "--server-arg=--shards=none"], 1, "1 to 64"),
    ] {
        let output = run(line).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line:?}: {error}");
        assert!(error.contains(words), "{line:?}: {error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn who_interrupts_it_gets_the_report_of_what_was_measured() {
    use std::process::Stdio;
    let child = tokio::process::Command::new(env!("CARGO_BIN_EXE_crosspoint"))
        .args([
            "load",
            "--json",
            "--subscribers",
            "2",
            "--seconds",
            "600",
            "--warm-up",
            "0",
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let pid = child.id().expect("it runs");
    // It listens for signals before it starts its server.
    let has_server = || {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        children.map_or(true, |children| !children.trim().is_empty())
    };
    while !has_server() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let status = std::process::Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success());
    let output = child.wait_with_output().await.expect("its output");
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["runs"][0]["endedEarly"], true, "{report}");
}
