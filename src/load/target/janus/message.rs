//! What Janus says: one JSON object a message, by its field `janus`.

use serde::Deserialize;
use serde_json::Value;

/// A message of Janus's.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    /// A request was taken; what becomes of it comes as an event.
    Ack,
    /// The answer to a request.
    Success {
        transaction: String,
        /// Of the session or handle that was made.
        id: Option<u64>,
        /// What a plugin answered at once.
        plugin: Value,
        /// `version_string` of an answer to `info`.
        version: Option<String>,
    },
    /// A request was refused by Janus itself.
    Error {
        transaction: Option<String>,
        code: u64,
        reason: String,
    },
    /// A plugin's answer or news.
    Event(Event),
    /// ICE and DTLS of a handle are done.
    WebRtcUp { handle: u64 },
    /// The peer connection of a handle is over.
    HangUp { handle: u64, reason: String },
    /// A candidate of Janus's own.
    Candidate { handle: u64, candidate: String },
    /// The session is over.
    SessionOver,
    /// What nobody here waits for: `media`, `slowlink`, `detached`.
    Other,
}

/// A plugin's answer or news.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// The request that it answers.
    pub(super) transaction: Option<String>,
    /// Whose handle it is about.
    pub(super) handle: u64,
    /// The plugin's own fields.
    pub(super) data: Value,
    /// An offer or an answer.
    pub(super) description: Option<Description>,
}

/// An SDP that came with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) is_offer: bool,
    pub(super) sdp: String,
}

#[derive(Deserialize)]
struct Fields {
    janus: String,
    transaction: Option<String>,
    sender: Option<u64>,
    data: Option<Made>,
    plugindata: Option<PluginData>,
    jsep: Option<Jsep>,
    error: Option<Refusal>,
    reason: Option<String>,
    candidate: Option<Candidate>,
    version_string: Option<String>,
}

#[derive(Deserialize)]
struct Made {
    id: Option<u64>,
}

#[derive(Deserialize)]
struct PluginData {
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct Jsep {
    r#type: String,
    sdp: String,
}

#[derive(Deserialize)]
struct Refusal {
    code: u64,
    reason: String,
}

#[derive(Deserialize)]
struct Candidate {
    candidate: Option<String>,
}

/// Reads a message, or says what is wrong with it.
pub(super) fn parse(message: Value) -> Result<Message, String> {
    let fields: Fields = serde_json::from_value(message).map_err(|error| error.to_string())?;
    let plugin = fields.plugindata.map_or(Value::Null, |plugin| plugin.data);
    let handle = || fields.sender.ok_or("an event of no handle");
    Ok(match fields.janus.as_str() {
        "ack" => Message::Ack,
        "success" | "server_info" => Message::Success {
            transaction: fields.transaction.ok_or("an answer to nothing")?,
            id: fields.data.and_then(|made| made.id),
            plugin,
            version: fields.version_string,
        },
        "error" => {
            let refusal = fields.error.ok_or("an error without a reason")?;
            Message::Error {
                transaction: fields.transaction,
                code: refusal.code,
                reason: refusal.reason,
            }
        }
        "event" => Message::Event(Event {
            handle: handle()?,
            transaction: fields.transaction,
            data: plugin,
            description: fields.jsep.map(|jsep| Description {
                is_offer: jsep.r#type == "offer",
                sdp: jsep.sdp,
            }),
        }),
        "webrtcup" => Message::WebRtcUp { handle: handle()? },
        "hangup" => Message::HangUp {
            handle: handle()?,
            reason: fields.reason.unwrap_or_default(),
        },
        "trickle" => match fields.candidate.and_then(|candidate| candidate.candidate) {
            Some(candidate) => Message::Candidate {
                handle: handle()?,
                candidate,
            },
            // The end of the candidates.
            None => Message::Other,
        },
        "timeout" => Message::SessionOver,
        _ => Message::Other,
    })
}

/// The refusal that a plugin's own fields may hold: its code and its words.
pub(super) fn plugin_error(data: &Value) -> Option<(u64, String)> {
    let words = data.get("error")?.as_str()?;
    let code = data.get("error_code").and_then(Value::as_u64);
    Some((code.unwrap_or_default(), words.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_names_what_was_made() {
        let made = json!({"janus": "success", "transaction": "1", "data": {"id": 6_527_054_159_205_741_u64}});
        let Ok(Message::Success {
            transaction, id, ..
        }) = parse(made)
        else {
            panic!("no success");
        };
        assert_eq!(
            (transaction.as_str(), id),
            ("1", Some(6_527_054_159_205_741))
        );
        let info = json!({"janus": "server_info", "transaction": "2", "name": "Janus WebRTC Server",
            "version": 1102, "version_string": "1.1.2"});
        let Ok(Message::Success { version, .. }) = parse(info) else {
            panic!("no answer to info");
        };
        assert_eq!(version.as_deref(), Some("1.1.2"));
    }

    #[test]
    fn an_event_carries_the_plugins_fields_and_a_description() {
        let event = json!({"janus": "event", "session_id": 1, "transaction": "5", "sender": 7,
            "plugindata": {"plugin": "janus.plugin.videoroom", "data": {"videoroom": "attached", "room": 9}},
            "jsep": {"type": "offer", "sdp": "v=0\r\n"}});
        let Ok(Message::Event(event)) = parse(event) else {
            panic!("no event");
        };
        assert_eq!((event.transaction.as_deref(), event.handle), (Some("5"), 7));
        assert_eq!(event.data["videoroom"], "attached");
        let description = event.description.expect("an offer");
        assert!(description.is_offer);
        assert_eq!(description.sdp, "v=0\r\n");
    }

    #[test]
    fn refusals_come_from_janus_and_from_its_plugin() {
        let error = json!({"janus": "error", "transaction": "3", "error": {"code": 458, "reason": "No such session"}});
        assert_eq!(
            parse(error),
            Ok(Message::Error {
                transaction: Some("3".to_owned()),
                code: 458,
                reason: "No such session".to_owned()
            })
        );
        let data = json!({"videoroom": "event", "error_code": 428, "error": "No such feed (1)"});
        assert_eq!(
            plugin_error(&data),
            Some((428, "No such feed (1)".to_owned()))
        );
        assert_eq!(plugin_error(&json!({"videoroom": "joined"})), None);
    }

    #[test]
    fn what_becomes_of_a_handle_is_told() {
        let up = json!({"janus": "webrtcup", "session_id": 1, "sender": 7});
        assert_eq!(parse(up), Ok(Message::WebRtcUp { handle: 7 }));
        let hang_up = json!({"janus": "hangup", "sender": 7, "reason": "ICE failed"});
        let reason = "ICE failed".to_owned();
        assert_eq!(parse(hang_up), Ok(Message::HangUp { handle: 7, reason }));
        let completed = json!({"janus": "trickle", "sender": 7, "candidate": {"completed": true}});
        assert_eq!(parse(completed), Ok(Message::Other));
        assert_eq!(
            parse(json!({"janus": "timeout", "session_id": 1})),
            Ok(Message::SessionOver)
        );
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        for nonsense in [
            json!(7),
            json!({}),
            json!({"janus": 7}),
            json!({"janus": "event"}),
            json!({"janus": "error"}),
            json!({"janus": "success"}),
            json!({"janus": "webrtcup", "sender": -1}),
            json!({"janus": "event", "sender": 1, "jsep": {"type": "offer"}}),
        ] {
            assert!(parse(nonsense.clone()).is_err(), "{nonsense} was taken");
        }
        assert_eq!(parse(json!({"janus": "something new"})), Ok(Message::Other));
    }
}
