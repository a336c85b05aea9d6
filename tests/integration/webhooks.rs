//! What other servers are told of the rooms.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};

use crate::support::collector::{Answer, Collector, Told};
use crate::support::{Client, Server, Setup};

const SECRET: &str = "a-secret-for-this-test";
const OK: Answer = Answer::Status(StatusCode::OK);

async fn server(urls: &[&str]) -> Server {
    let mut options = vec!["--webhook-secret", SECRET, "--drain-timeout", "0"];
    for url in urls {
        options.extend(["--webhook-url", url]);
    }
    Server::with(&options).await
}

/// The event, if it is signed as it should be.
fn verified(told: &Told) -> Value {
    let (id, at) = (told.header("webhook-id"), told.header("webhook-timestamp"));
    let signature = told.header("webhook-signature");
    let signature = signature.strip_prefix("v1,").expect("version 1");
    let signature = STANDARD.decode(signature).expect("base64");
    let signed = [format!("{id}.{at}.").as_bytes(), &told.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, &signed, &signature).expect("the signature");
    let event = told.json();
    assert_eq!(event["id"], id);
    event
}

fn in_words(event: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, who) = (word(&event["type"]), word(&event["participant"]["name"]));
    let words = [kind, who, word(&event["track"]["source"])];
    words.join(" ").trim_end().to_owned()
}

#[tokio::test]
async fn the_life_of_a_room_is_told_in_order_signed_and_again_where_it_failed() {
    // The first event is taken at the third time.
    let receiver = Collector::start(|number| match number {
        0 => Answer::Status(StatusCode::INTERNAL_SERVER_ERROR),
        1 => Answer::Status(StatusCode::TOO_MANY_REQUESTS),
        _ => OK,
    })
    .await;
    let server = server(&[&receiver.url("/hook")]).await;
    let alice = Client::join(&server, Setup::new("alice").room("demo")).await;
    let bob = Client::join(&server, Setup::new("bob").room("demo").viewer(1)).await;
    let camera = bob.track_from(&alice, "video").await.track;
    alice.signaling.send(json!({"type": "hang-up"}));
    alice.signaling.close();
    let told = receiver.told(10).await;
    assert_eq!(in_words(&told[9].json()), "participant-left alice");
    bob.signaling.close();

    let told = receiver.told(12).await;
    assert!(told.iter().all(|told| told.path == "/hook"));
    let events: Vec<Value> = told.iter().map(verified).collect();
    assert!(
        events[..3].iter().all(|event| event == &events[0]),
        "{events:#?}"
    );
    let events = &events[2..];
    let words: Vec<String> = events.iter().map(in_words).collect();
    assert_eq!(
        words,
        [
            "room-started",
            "participant-joined alice",
            "track-published alice microphone",
            "track-published alice camera",
            "participant-joined bob",
            "track-unpublished alice microphone",
            "track-unpublished alice camera",
            "participant-left alice",
            "participant-left bob",
            "room-ended",
        ]
    );
    for event in events {
        assert_eq!(event["room"], "demo");
        assert!(event["date"].as_u64() > Some(1_700_000_000_000));
    }
    assert_eq!(
        events[1]["participant"],
        json!({"id": alice.id, "name": "alice"})
    );
    let track = json!({"track": camera, "kind": "video", "source": "camera", "muted": false});
    assert_eq!(events[3]["track"], track);
}

#[tokio::test]
async fn one_receiver_that_is_silent_holds_up_nobody_and_redirects_lead_nowhere() {
    let silent = Collector::start(|_| Answer::Silence).await;
    let elsewhere = Collector::start(|_| Answer::Redirect("/other")).await;
    let quick = Collector::start(|_| OK).await;
    let urls = [silent.url("/a"), elsewhere.url("/b"), quick.url("/c")];
    let server = server(&[&urls[0], &urls[1], &urls[2]]).await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.hears(&alice).await;
    assert_eq!(quick.told(7).await.len(), 7);
    let refused = elsewhere.told(7).await;
    assert!(refused.iter().all(|told| told.path == "/b"), "{refused:?}");
    assert_eq!(silent.told(1).await.len(), 1);
}

#[tokio::test]
async fn what_happens_last_is_told_before_the_server_ends() {
    let receiver = Collector::start(|_| OK).await;
    let mut server = server(&[&receiver.url("/")]).await;
    let _alice = Client::join(&server, Setup::new("alice")).await;
    receiver.told(4).await;
    server.terminate();
    assert!(server.exited().await.success());
    let told = receiver.told(8).await;
    let words: Vec<String> = told.iter().map(|told| in_words(&verified(told))).collect();
    let last = [
        "track-unpublished alice microphone",
        "track-unpublished alice camera",
        "participant-left alice",
        "room-ended",
    ];
    assert_eq!(words[4..], last);
}
