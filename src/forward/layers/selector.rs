//! The gate of one subscription: which packets of the encoding that it follows it gets, and when it goes to other layers.

use super::LayerId;
use crate::rtp::payload::FrameTag;

/// What becomes of a packet of the encoding that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It is sent. With `ends_picture` it is the last of its picture for this subscriber, whatever its marker says.
    Forward {
        /// Nothing of the picture follows.
        ends_picture: bool,
    },
    /// It belongs to a layer above: it is left out, and leaves no gap.
    LeaveOut,
}

/// Goes from one layer to another without a visible break.
///
/// There are three words for a layer. The preferred one is what the viewer would see on a perfect network, and is not known
/// here. The target is what is to be sent. The current one is what is sent: until a packet comes at which the target can be
/// taken up, the old layer goes on.
///
/// Another encoding begins at a keyframe, which the caller sees and says with [`take_up`](Self::take_up). Within one
/// encoding a layer is left at the next picture, and a higher one is entered, one step at a time, where its packets say
/// that nothing before is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selector {
    target: Option<LayerId>,
    current: Option<LayerId>,
    /// The picture that is being sent.
    timestamp: Option<u32>,
    /// The highest number that was seen of the current encoding.
    highest: u64,
}

impl Selector {
    /// What is to be sent; `None` for nothing.
    pub fn target(&self) -> Option<LayerId> {
        self.target
    }

    /// What is sent; `None` while nothing is.
    pub fn current(&self) -> Option<LayerId> {
        self.current
    }

    /// Says what is to be sent from now on. Without a target nothing more is sent at once.
    pub fn set_target(&mut self, target: Option<LayerId>) {
        self.target = target;
        if target.is_none() {
            self.current = None;
        }
    }

    /// Sends nothing more of the current encoding.
    pub fn stop(&mut self) {
        self.current = None;
    }

    /// Whether only a keyframe leads to the target.
    pub fn needs_keyframe(&self) -> bool {
        match (self.target, self.current) {
            (Some(target), Some(current)) => {
                target.encoding != current.encoding || target.spatial > current.spatial
            }
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Goes on with the target from this keyframe, whose first packet has this number. Without effect without a target.
    pub fn take_up(&mut self, sequence: u64, timestamp: u32) {
        self.current = self.target;
        self.timestamp = Some(timestamp);
        self.highest = sequence;
    }

    /// Whether a packet of the current encoding passes.
    pub fn gate(&mut self, sequence: u64, timestamp: u32, tag: &FrameTag) -> Gate {
        let Some(current) = &mut self.current else {
            return Gate::LeaveOut;
        };
        // What comes late was decided when its neighbours came.
        if sequence > self.highest {
            self.highest = sequence;
            let target = self
                .target
                .filter(|target| target.encoding == current.encoding);
            if let Some(target) = target {
                if self.timestamp != Some(timestamp) {
                    current.spatial = current.spatial.min(target.spatial);
                    current.temporal = current.temporal.min(target.temporal);
                }
                rise(current, target, tag);
            }
            self.timestamp = Some(timestamp);
        }
        if tag.spatial > current.spatial || tag.temporal > current.temporal {
            return Gate::LeaveOut;
        }
        Gate::Forward {
            ends_picture: tag.frame_end && tag.spatial == current.spatial,
        }
    }
}

/// Enters higher layers at this packet where that can be done.
fn rise(current: &mut LayerId, target: LayerId, tag: &FrameTag) {
    if tag.keyframe {
        // All layers of a key picture can be decoded.
        current.temporal = target.temporal;
        if tag.spatial == 0 && tag.frame_start {
            current.spatial = target.spatial;
        }
        return;
    }
    if !tag.frame_start {
        return;
    }
    let next_temporal = current.temporal < target.temporal && tag.temporal == current.temporal + 1;
    if next_temporal && tag.temporal_switch && tag.spatial <= current.spatial {
        current.temporal = tag.temporal;
    }
    let next_spatial = current.spatial < target.spatial && tag.spatial == current.spatial + 1;
    if next_spatial && tag.spatial_switch && tag.temporal <= current.temporal {
        current.spatial = tag.spatial;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(encoding: u8, spatial: u8, temporal: u8) -> LayerId {
        LayerId {
            encoding,
            spatial,
            temporal,
        }
    }

    fn frame(spatial: u8, temporal: u8) -> FrameTag {
        FrameTag {
            spatial,
            temporal,
            frame_start: true,
            frame_end: true,
            ..FrameTag::default()
        }
    }

    /// Frames of one packet each; what is sent, as a list of their indices.
    fn sent(selector: &mut Selector, first: u64, frames: &[(u32, FrameTag)]) -> Vec<usize> {
        let mut sent = Vec::new();
        for (index, (timestamp, tag)) in frames.iter().enumerate() {
            let gate = selector.gate(first + index as u64, *timestamp, tag);
            if gate != Gate::LeaveOut {
                sent.push(index);
            }
        }
        sent
    }

    fn following(target: LayerId) -> Selector {
        let mut selector = Selector::default();
        selector.set_target(Some(target));
        selector.take_up(0, 0);
        selector
    }

    #[test]
    fn another_encoding_waits_for_its_keyframe_and_the_old_one_goes_on() {
        let mut selector = following(layer(2, 0, 0));
        selector.set_target(Some(layer(0, 0, 0)));
        assert!(selector.needs_keyframe());
        assert_eq!(
            sent(&mut selector, 1, &[(1, frame(0, 0)), (2, frame(0, 0))]),
            [0, 1]
        );
        assert_eq!(selector.current(), Some(layer(2, 0, 0)));
        selector.take_up(100, 5);
        assert_eq!(selector.current(), Some(layer(0, 0, 0)));
        assert!(!selector.needs_keyframe());
    }

    #[test]
    fn without_a_target_nothing_is_sent() {
        let mut selector = following(layer(0, 0, 2));
        selector.set_target(None);
        assert_eq!(
            sent(&mut selector, 1, &[(1, frame(0, 0))]),
            Vec::<usize>::new()
        );
        assert!(!selector.needs_keyframe());
        selector.set_target(Some(layer(0, 0, 2)));
        assert!(selector.needs_keyframe());
        assert_eq!(
            sent(&mut selector, 2, &[(2, frame(0, 0))]),
            Vec::<usize>::new()
        );
    }

    #[test]
    fn temporal_layers_are_left_at_a_picture_and_entered_where_they_can_be() {
        let mut selector = following(layer(0, 0, 2));
        let start = FrameTag {
            frame_end: false,
            ..frame(0, 2)
        };
        let end = FrameTag {
            frame_start: false,
            ..frame(0, 2)
        };
        assert_eq!(sent(&mut selector, 1, &[(1, start)]), [0]);
        selector.set_target(Some(layer(0, 0, 0)));
        // The picture that has begun is sent to its end.
        assert_eq!(
            sent(
                &mut selector,
                2,
                &[(1, end), (2, frame(0, 1)), (3, frame(0, 0))]
            ),
            [0, 2]
        );
        selector.set_target(Some(layer(0, 0, 2)));
        let switch = |temporal| FrameTag {
            temporal_switch: true,
            ..frame(0, temporal)
        };
        let frames = [
            (4, frame(0, 1)),
            // Two steps at once would refer to what was not sent.
            (5, switch(2)),
            (6, frame(0, 0)),
            (7, switch(1)),
            (8, frame(0, 2)),
            (9, switch(2)),
            (10, frame(0, 2)),
        ];
        assert_eq!(sent(&mut selector, 10, &frames), [2, 3, 5, 6]);
        assert!(!selector.needs_keyframe());
    }

    #[test]
    fn spatial_layers_end_their_picture_and_rise_at_a_key_picture() {
        let mut selector = following(layer(0, 2, 0));
        selector.set_target(Some(layer(0, 0, 0)));
        let picture = |timestamp| [0, 1, 2].map(|spatial| (timestamp, frame(spatial, 0)));
        assert_eq!(sent(&mut selector, 1, &picture(1)), [0]);
        assert_eq!(
            selector.gate(9, 2, &frame(0, 0)),
            Gate::Forward { ends_picture: true }
        );
        selector.set_target(Some(layer(0, 2, 0)));
        assert!(selector.needs_keyframe());
        assert_eq!(sent(&mut selector, 10, &picture(3)), [0]);
        let key = picture(4).map(|(timestamp, tag)| {
            (
                timestamp,
                FrameTag {
                    keyframe: true,
                    ..tag
                },
            )
        });
        assert_eq!(sent(&mut selector, 20, &key), [0, 1, 2]);
        assert_eq!(
            selector.gate(30, 5, &frame(0, 0)),
            Gate::Forward {
                ends_picture: false
            }
        );
    }

    #[test]
    fn a_spatial_layer_that_can_be_entered_is() {
        let mut selector = following(layer(0, 2, 0));
        selector.set_target(Some(layer(0, 0, 0)));
        assert_eq!(
            sent(&mut selector, 1, &[(1, frame(0, 0)), (1, frame(1, 0))]),
            [0]
        );
        selector.set_target(Some(layer(0, 1, 0)));
        let switch = FrameTag {
            spatial_switch: true,
            ..frame(1, 0)
        };
        assert_eq!(
            sent(
                &mut selector,
                5,
                &[(2, frame(0, 0)), (2, switch), (3, frame(1, 0))]
            ),
            [0, 1, 2]
        );
    }

    #[test]
    fn what_comes_late_changes_nothing() {
        let mut selector = following(layer(0, 0, 1));
        assert_eq!(sent(&mut selector, 10, &[(3, frame(0, 0))]), [0]);
        selector.set_target(Some(layer(0, 0, 0)));
        assert_eq!(
            selector.gate(5, 2, &frame(0, 1)),
            Gate::Forward { ends_picture: true }
        );
        assert_eq!(selector.gate(11, 4, &frame(0, 1)), Gate::LeaveOut);
    }
}
