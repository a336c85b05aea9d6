//! `timeline`: what happened to a track on its way to a viewer, for programs and in words.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::ProtocolError;
use super::fields::Fields;
use super::media::read_track;
use crate::rtp::Rid;
use crate::shard::{
    ForwardedLayer, KeyframeReason, LayerReason, TimelineEntry, TimelineEvent, TrackId,
};

/// `timeline`: asks what happened to a track that the sender is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineRequest {
    /// Somebody else's track.
    pub track: TrackId,
}

impl TimelineRequest {
    pub(super) fn read(fields: &Fields) -> Result<Self, ProtocolError> {
        Ok(Self {
            track: read_track(fields)?,
        })
    }
}

/// An entry of `events` of `timeline`. Members that do not apply are not written.
///
/// | `event` | meaning | members |
/// | --- | --- | --- |
/// | `subscribed` | the server is to send the track | |
/// | `keyframe-asked` | a keyframe was asked for | `reason`: `viewer` (it asked), `start`, `switch` (nothing else leads to the layer), `loss` (on the way to the server) |
/// | `keyframe-received` | the publisher sent one that was waited for | `rid` |
/// | `keyframe-forwarded` | the picture begins, or goes on, with it | `rid` |
/// | `layer` | what is sent changed, or why it is not more; nothing is sent where none is named | `rid`, `spatial`, `temporal`, `reason` as in `layers` |
/// | `paused`, `resumed` | by the viewer, with `receive` | |
/// | `muted`, `unmuted` | by the publisher | |
/// | `silent`, `flowing` | nothing comes from the publisher, or something again | |
/// | `estimate` | what the viewer's network is estimated to carry | `bitrate` in bit/s |
/// | `loss` | what the viewer lost | `loss`, 0 to 1 |
/// | `sender-limited` | the publisher does not send the layer that the viewer would get | `rid`, `spatial`, `temporal` of that one, `reason` |
/// | `codec` | the viewer cannot decode what the publisher sends | `reason` |
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TimelineLine {
    /// Milliseconds before the answer was given, of the last time.
    pub at: u64,
    /// What happened.
    pub event: &'static str,
    /// How often, if that was more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u16>,
    /// A simulcast layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// A spatial layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spatial: Option<u8>,
    /// A temporal layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temporal: Option<u8>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// In bit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<u64>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f32>,
    /// The same in words; only for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A timeline for programs.
pub fn timeline_lines(entries: &[TimelineEntry]) -> Vec<TimelineLine> {
    entries.iter().map(line).collect()
}

/// A timeline for programs and people.
pub fn timeline_lines_in_words(entries: &[TimelineEntry]) -> Vec<TimelineLine> {
    let mut story = Story::default();
    let tell = |entry| TimelineLine {
        text: Some(story.tell(entry)),
        ..line(entry)
    };
    entries.iter().map(tell).collect()
}

fn line(entry: &TimelineEntry) -> TimelineLine {
    let line = TimelineLine {
        at: entry.age.as_millis().try_into().unwrap_or(u64::MAX),
        count: (entry.count > 1).then_some(entry.count),
        ..TimelineLine::default()
    };
    let plain = |event| TimelineLine {
        event,
        ..line.clone()
    };
    let with_rid = |event, rid: Option<Rid>| TimelineLine {
        rid: rid.map(|rid| rid.to_string()),
        ..plain(event)
    };
    let with_layer = |event, layer: Option<ForwardedLayer>| TimelineLine {
        spatial: layer.map(|layer| layer.spatial),
        temporal: layer.map(|layer| layer.temporal),
        ..with_rid(event, layer.and_then(|layer| layer.rid))
    };
    match entry.event {
        TimelineEvent::Subscribed => plain("subscribed"),
        TimelineEvent::KeyframeAsked(reason) => TimelineLine {
            reason: Some(match reason {
                KeyframeReason::Viewer => "viewer",
                KeyframeReason::Start => "start",
                KeyframeReason::Switch => "switch",
                KeyframeReason::Loss => "loss",
            }),
            ..plain("keyframe-asked")
        },
        TimelineEvent::KeyframeReceived(rid) => with_rid("keyframe-received", rid),
        TimelineEvent::KeyframeForwarded(rid) => with_rid("keyframe-forwarded", rid),
        TimelineEvent::Layer { layer, reason, .. } => TimelineLine {
            reason: reason.map(layer_reason),
            ..with_layer("layer", layer)
        },
        TimelineEvent::Paused => plain("paused"),
        TimelineEvent::Resumed => plain("resumed"),
        TimelineEvent::Muted => plain("muted"),
        TimelineEvent::Unmuted => plain("unmuted"),
        TimelineEvent::Silent => plain("silent"),
        TimelineEvent::Flowing => plain("flowing"),
        TimelineEvent::Estimate(bitrate) => TimelineLine {
            bitrate: Some(bitrate),
            ..plain("estimate")
        },
        TimelineEvent::Loss(loss) => TimelineLine {
            loss: Some(loss),
            ..plain("loss")
        },
        TimelineEvent::SenderLimited(layer) => TimelineLine {
            reason: Some(layer_reason(LayerReason::Publisher)),
            ..with_layer("sender-limited", Some(layer))
        },
        TimelineEvent::Codec => TimelineLine {
            reason: Some(layer_reason(LayerReason::Codec)),
            ..plain("codec")
        },
    }
}

/// The word of `reason` for why no more of a track is forwarded.
pub fn layer_reason(reason: LayerReason) -> &'static str {
    match reason {
        LayerReason::Bandwidth => "bandwidth",
        LayerReason::Codec => "codec",
        LayerReason::Publisher => "publisher",
    }
}

/// What a sentence must know of those before it.
#[derive(Debug, Default)]
struct Story {
    layer: Option<(ForwardedLayer, Size)>,
    estimate: Option<u64>,
}

type Size = Option<(u16, u16)>;

impl Story {
    /// One entry in words.
    fn tell(&mut self, entry: &TimelineEntry) -> String {
        let times = match entry.count {
            0 | 1 => String::new(),
            count => format!(", {count} times by then"),
        };
        format!("{}{times}: {}", Ago(entry.age), self.words(&entry.event))
    }

    fn words(&mut self, event: &TimelineEvent) -> String {
        match *event {
            TimelineEvent::Subscribed => "the server was to send this track to the viewer".into(),
            TimelineEvent::KeyframeAsked(reason) => match reason {
                KeyframeReason::Viewer => {
                    "the viewer asked for a keyframe: it could not go on decoding".into()
                }
                KeyframeReason::Start => {
                    "the publisher was asked for a keyframe, which the picture must begin with"
                        .into()
                }
                KeyframeReason::Switch => {
                    "the publisher was asked for a keyframe, so that another layer can be sent"
                        .into()
                }
                KeyframeReason::Loss => {
                    "packets were lost between the publisher and the server: a keyframe was asked for"
                        .into()
                }
            },
            TimelineEvent::KeyframeReceived(rid) => {
                format!("a keyframe{} came from the publisher", OfLayer(rid))
            }
            TimelineEvent::KeyframeForwarded(rid) => {
                format!("a keyframe{} was sent to the viewer: the picture goes on", OfLayer(rid))
            }
            TimelineEvent::Layer {
                layer,
                reason,
                size,
            } => self.tell_layer(layer, reason, size),
            TimelineEvent::Paused => "the viewer wanted nothing of it".into(),
            TimelineEvent::Resumed => "the viewer wanted it again".into(),
            TimelineEvent::Muted => "the publisher muted it: nothing of it is sent".into(),
            TimelineEvent::Unmuted => "the publisher showed it again".into(),
            TimelineEvent::Silent => "nothing came from the publisher any more".into(),
            TimelineEvent::Flowing => "packets came from the publisher again".into(),
            TimelineEvent::Estimate(bitrate) => {
                self.estimate = Some(bitrate);
                format!("the viewer's network was estimated at {}", Bitrate(bitrate))
            }
            TimelineEvent::Loss(loss) => {
                format!("the viewer lost {:.0} % of the packets", loss * 100.0)
            }
            TimelineEvent::SenderLimited(layer) => format!(
                "the publisher did not send {}, which the viewer would get",
                Named(layer, None)
            ),
            TimelineEvent::Codec => {
                "the viewer cannot decode what the publisher sends: nothing of it is sent".into()
            }
        }
    }

    fn tell_layer(
        &mut self,
        layer: Option<ForwardedLayer>,
        reason: Option<LayerReason>,
        size: Size,
    ) -> String {
        let before = self.layer;
        self.layer = layer.map(|layer| (layer, size));
        let what = match (before, layer) {
            (_, None) => "nothing of the picture was sent any more".to_owned(),
            (None, Some(layer)) => format!("the picture was sent as {}", Named(layer, size)),
            (Some((before, _)), Some(layer)) if before == layer => {
                format!("the picture stayed at {}", Named(layer, size))
            }
            (Some(before), Some(layer)) => format!(
                "the picture was {} to {}",
                direction(before, (layer, size)),
                Named(layer, size)
            ),
        };
        let why = match (reason, self.estimate) {
            (Some(LayerReason::Bandwidth), Some(estimate)) => {
                format!("the viewer's network is estimated at {}", Bitrate(estimate))
            }
            (Some(LayerReason::Bandwidth), None) => {
                "it is not known yet whether the viewer's network carries more".to_owned()
            }
            (Some(LayerReason::Publisher), _) => "the publisher sends no more".to_owned(),
            (Some(LayerReason::Codec), _) => "the viewer cannot decode it".to_owned(),
            (None, _) if layer.is_some() => "it is all that the viewer needs".to_owned(),
            (None, _) => "nothing of it is needed".to_owned(),
        };
        format!("{what}: {why}")
    }
}

/// Whether one layer is below another, as far as that is known.
fn direction(before: (ForwardedLayer, Size), now: (ForwardedLayer, Size)) -> &'static str {
    let area = |size: (u16, u16)| u32::from(size.0) * u32::from(size.1);
    let by_size = match (before.1, now.1) {
        (Some(before), Some(now)) => area(before).cmp(&area(now)),
        (_, _) => std::cmp::Ordering::Equal,
    };
    let levels = |layer: ForwardedLayer| (layer.spatial, layer.temporal);
    let by_level = if before.0.rid == now.0.rid {
        levels(before.0).cmp(&levels(now.0))
    } else {
        std::cmp::Ordering::Equal
    };
    match by_size.then(by_level) {
        std::cmp::Ordering::Less => "raised",
        std::cmp::Ordering::Greater => "lowered",
        std::cmp::Ordering::Equal => "changed",
    }
}

/// `12.3 s ago`
struct Ago(Duration);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            return write!(f, "{:.1} s ago", self.0.as_secs_f64());
        }
        if seconds < 3_600 {
            return write!(f, "{} min {:02} s ago", seconds / 60, seconds % 60);
        }
        write!(f, "{} h {:02} min ago", seconds / 3_600, seconds / 60 % 60)
    }
}

/// `410 kbit/s`
struct Bitrate(u64);

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_000_000 {
            write!(f, "{} kbit/s", self.0 / 1_000)
        } else {
            write!(f, "{:.1} Mbit/s", self.0 as f64 / 1e6)
        }
    }
}

/// ` of layer q`, or nothing without simulcast.
struct OfLayer(Option<Rid>);

impl fmt::Display for OfLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(rid) => write!(f, " of layer {rid}"),
            None => Ok(()),
        }
    }
}

/// `layer q (320x180)`, with the levels of SVC where there are any.
struct Named(ForwardedLayer, Size);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(layer, size) = self;
        match layer.rid {
            Some(rid) => write!(f, "layer {rid}")?,
            None => write!(f, "spatial layer {}", layer.spatial)?,
        }
        if layer.rid.is_some() && layer.spatial > 0 {
            write!(f, ", spatial layer {}", layer.spatial)?;
        }
        if layer.rid.is_none() || layer.temporal > 0 {
            write!(f, ", temporal layer {}", layer.temporal)?;
        }
        match size {
            Some((width, height)) => write!(f, " ({width}x{height})"),
            None => Ok(()),
        }
    }
}
