//! What operators may ask over HTTP.

use serde_json::Value;

use crate::support::{Client, Server, Setup};

const TOKEN: &str = "a-token-for-this-test";

/// The status of an answer, and its JSON.
async fn ask(server: &Server, path: &str, token: Option<&str>) -> (u16, Value) {
    let header = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let answer = server.get_with(path, &header.unwrap_or_default()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    (status.expect("a status"), body)
}

#[tokio::test]
async fn operators_read_why_a_picture_is_as_it_is() {
    let server = Server::with(&["--operator-token", TOKEN]).await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    let video = bob.track_from(&alice, "video").await;
    bob.packets(video.ssrc, 20).await;

    let (status, rooms) = ask(&server, "/api/v1/rooms", Some(TOKEN)).await;
    assert_eq!(status, 200);
    let room = &rooms["rooms"][0];
    assert_eq!(
        (&room["participants"], &room["calls"]),
        (&2.into(), &1.into())
    );
    let name = room["name"].as_str().expect("a name");
    let members = room["members"].as_array().expect("members");
    let bob = members.iter().find(|member| member["name"] == "bob");
    let id = bob.expect("bob is there")["id"].clone();

    let path = format!("/api/v1/rooms/{name}/participants/{id}/timelines");
    let (status, timelines) = ask(&server, &path, Some(TOKEN)).await;
    assert_eq!(status, 200, "{timelines}");
    let tracks = timelines["tracks"].as_array().expect("tracks");
    let camera = tracks.iter().find(|track| track["source"] == "camera");
    let camera = camera.expect("the camera of the other one");
    assert_eq!(camera["name"], "alice");
    let events = camera["events"].as_array().expect("events");
    let names: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(names[0], "subscribed");
    assert!(names.contains(&"keyframe-forwarded"), "{names:?}");
    for event in events {
        let text = event["text"].as_str().expect("words");
        assert!(text.contains(" ago"), "{text}");
    }

    for token in [None, Some("another-token-of-some-length")] {
        let (status, refused) = ask(&server, &path, token).await;
        assert_eq!(status, 401);
        let words = refused["error"]["message"].as_str().expect("words");
        assert!(words.contains("Authorization: Bearer"), "{words}");
    }
    for (path, code) in [
        (
            format!("/api/v1/rooms/{name}/participants/99/timelines"),
            "no-such-participant",
        ),
        (
            "/api/v1/rooms/nowhere/participants/99/timelines".to_owned(),
            "no-such-room",
        ),
        ("/api/v1/else".to_owned(), "no-such-path"),
    ] {
        let (status, missing) = ask(&server, &path, Some(TOKEN)).await;
        assert_eq!(
            (status, &missing["error"]["code"]),
            (404, &code.into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn without_a_token_nobody_is_an_operator() {
    let server = Server::start().await;
    for token in [None, Some(""), Some(TOKEN)] {
        let (status, _) = ask(&server, "/api/v1/rooms", token).await;
        assert_eq!(status, 404);
    }
}
