//! What is logged and traced of participants.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};

use crate::support::collector::{Answer, Collector};
use crate::support::{Client, Server, Setup};

/// The participant that a line of the log is about, by the line or by a span that it is in.
fn participant(line: &Value) -> Option<u64> {
    let spans = line["spans"].as_array().into_iter().flatten();
    spans
        .chain([&line["fields"], &line["span"]])
        .find_map(|fields| fields["participant"].as_u64())
}

#[tokio::test]
async fn every_line_about_a_participant_has_its_id_from_the_socket_to_the_last_packet() {
    let options = [
        "--log-format",
        "json",
        "--log",
        "crosspoint=trace,rtc_dtls=trace,rtc_stun=trace",
    ];
    let server = Server::with(&options).await;
    let alice = Client::join(&server, Setup::new("alice").channel("notes")).await;
    let bob = Client::join(&server, Setup::new("bob").channel("notes")).await;
    alice.start_media();
    bob.hears(&alice).await;
    alice
        .signaling
        .send(json!({"type": "receive", "track": "t999"}));
    alice.signaling.expect("error").await;
    alice.signaling.close();
    server.logs("a socket ended").await;
    server.logs("its peer connection is over").await;

    let lines = server.log_lines();
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        let fields = line["fields"].as_object().expect("fields");
        let about = ["peer", "session", "track"]
            .iter()
            .any(|name| fields.contains_key(*name));
        assert!(!about || participant(line).is_some(), "nobody's: {line}");
    }
    let alices = || {
        lines
            .iter()
            .filter(|line| participant(line) == Some(alice.id))
    };
    let said: Vec<&str> = alices()
        .filter_map(|line| line["fields"]["message"].as_str())
        .collect();
    for message in [
        "came",
        "a socket opened",
        "joined a call",
        "its peer connection begins",
        "its keys are agreed",
        "media flows",
        "refused",
        "a socket ended",
        "left",
        "its peer connection is over",
    ] {
        assert!(said.contains(&message), "{message}: {said:#?}");
    }
    assert_eq!(said.first(), Some(&"came"));
    assert_eq!(
        said.last(),
        Some(&"its peer connection is over"),
        "{said:#?}"
    );
    let part = |line: &Value| {
        let target = line["target"].as_str().unwrap_or_default();
        target.split("::").take(2).collect::<Vec<_>>().join("::")
    };
    let parts: BTreeSet<String> = alices().map(part).collect();
    for part in [
        "crosspoint::signaling",
        "crosspoint::room",
        "crosspoint::shard",
    ] {
        assert!(parts.contains(part), "{part}: {parts:?}");
    }
    // What the protocol crates say of her wire is hers too.
    let wire = lines.iter().filter(|line| part(line).starts_with("rtc_"));
    for line in wire {
        assert!(participant(line).is_some(), "nobody's: {line}");
    }
}

fn attribute(span: &Span, name: &str) -> Option<Attribute> {
    let mut pairs = span.attributes.iter();
    let pair = pairs.find(|pair| pair.key == name)?;
    pair.value.clone()?.value
}

fn word(span: &Span, name: &str) -> String {
    match attribute(span, name) {
        Some(Attribute::StringValue(word)) => word,
        other => panic!("{name} of {}: {other:?}", span.name),
    }
}

#[tokio::test]
async fn sessions_joins_and_negotiations_are_traced_by_otlp() {
    let collector = Collector::start(|_| Answer::Status(StatusCode::OK)).await;
    let endpoint = collector.url("");
    // Whatever is logged.
    let options = [
        "--otlp-endpoint",
        &endpoint,
        "--log",
        "off",
        "--drain-timeout",
        "0",
    ];
    let mut server = Server::with(&options).await;
    let alice = Client::join(&server, Setup::new("alice").room("demo")).await;
    let bob = Client::join(&server, Setup::new("bob").room("demo")).await;
    alice.start_media();
    bob.hears(&alice).await;
    alice
        .signaling
        .send(json!({"type": "video-offer", "sdp": "nonsense"}));
    alice.signaling.expect("error").await;
    server.terminate();
    assert!(server.exited().await.success());

    let told = collector.told(1).await;
    let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for told in told {
        assert_eq!(told.path, "/v1/traces");
        assert_eq!(told.header("content-type"), "application/x-protobuf");
        let request = ExportTraceServiceRequest::decode(told.body).expect("OTLP");
        for resource in request.resource_spans {
            let service = resource.resource.expect("a resource").attributes;
            let service = service.iter().find(|pair| pair.key == "service.name");
            let service = service
                .and_then(|pair| pair.value.clone())
                .and_then(|value| value.value);
            assert_eq!(
                service,
                Some(Attribute::StringValue("crosspoint".to_owned()))
            );
            for span in resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans)
            {
                spans.entry(span.name.clone()).or_default().push(span);
            }
        }
    }
    let names: Vec<&String> = spans.keys().collect();
    assert_eq!(names, ["join", "negotiation", "session"]);
    let of_alice =
        |span: &&Span| attribute(span, "participant") == Some(Attribute::IntValue(alice.id as i64));
    let session = spans["session"].iter().find(of_alice).expect("her session");
    assert_eq!(word(session, "room"), "demo");
    let join = spans["join"].iter().find(of_alice).expect("her joining");
    assert_eq!(word(join, "outcome"), "connected");
    let negotiations: Vec<&Span> = spans["negotiation"].iter().filter(of_alice).collect();
    for child in negotiations.iter().copied().chain([join]) {
        assert_eq!(child.trace_id, session.trace_id);
        assert_eq!(child.parent_span_id, session.span_id);
        assert!(child.start_time_unix_nano <= child.end_time_unix_nano);
        assert!(child.start_time_unix_nano >= session.start_time_unix_nano);
    }
    let ends: BTreeSet<(String, String)> = negotiations
        .iter()
        .map(|span| (word(span, "offered_by"), word(span, "outcome")))
        .collect();
    for (by, outcome) in [
        ("client", "taken"),
        ("client", "refused"),
        ("server", "answered"),
    ] {
        assert!(
            ends.contains(&(by.to_owned(), outcome.to_owned())),
            "{ends:?}"
        );
    }
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_said_and_keeps_nobody_from_talking() {
    let options = [
        "--otlp-endpoint",
        "http://127.0.0.1:9",
        "--drain-timeout",
        "0",
    ];
    let mut server = Server::with(&options).await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.hears(&alice).await;
    server.terminate();
    assert!(server.exited().await.success());
    server.logs("does not take traces").await;
}
