//! Who is in which room, what each client publishes, and what it should receive.
//!
//! Made of the checked options once per run. Says nothing about a server or its signalling.

use crate::load::{LoadConfig, options::Profile};

/// All clients of one run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// In the order of joining: who publishes comes before who only receives.
    pub(crate) clients: Vec<ClientPlan>,
    /// Participants of a room that receive.
    pub(crate) subscribers: usize,
}

/// What one client does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClientPlan {
    /// Its place in [`Plan::clients`].
    pub(crate) index: usize,
    /// Its room, counted from 0.
    pub(crate) room: usize,
    /// Its name, unique in the run.
    pub(crate) name: String,
    /// Whether it publishes audio.
    pub(crate) audio: bool,
    /// The video that it publishes.
    pub(crate) video: Option<VideoPlan>,
    /// Whether it receives what the others of its room publish.
    pub(crate) receives: bool,
    /// Tracks that it should receive once all have joined: of audio and of video.
    pub(crate) expected: (usize, usize),
    /// Makes its traffic.
    pub(crate) seed: u64,
}

/// The video of one publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VideoPlan {
    /// Bits a second, of the best layer.
    pub(crate) bitrate: u64,
    /// Whether there are three layers.
    pub(crate) simulcast: bool,
}

impl ClientPlan {
    /// Whether it publishes anything.
    pub(crate) fn publishes(&self) -> bool {
        self.audio || self.video.is_some()
    }
}

impl Plan {
    /// The plan of a run with so many receivers in each room.
    pub(crate) fn new(config: &LoadConfig, subscribers: usize) -> Self {
        let publishers = config.publishers;
        // In a meeting those who publish are among those who receive.
        let shared = matches!(config.profile, Profile::Meeting | Profile::OneToOne);
        let participants = if shared {
            subscribers
        } else {
            publishers + subscribers
        };
        let video = config.video_bitrate.map(|bitrate| VideoPlan {
            bitrate,
            simulcast: config.simulcast,
        });
        let mut clients = Vec::with_capacity(config.rooms * participants);
        for member in 0..participants {
            for room in 0..config.rooms {
                let publishes = member < publishers;
                let receives = shared || !publishes;
                let others = publishers - usize::from(publishes);
                let of = |sent: bool| if receives && sent { others } else { 0 };
                let index = clients.len();
                clients.push(ClientPlan {
                    index,
                    room,
                    name: format!("load-{room}-{member}"),
                    audio: publishes && config.audio,
                    video: video.filter(|_| publishes),
                    receives,
                    expected: (of(config.audio), of(video.is_some())),
                    seed: config
                        .seed
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        .wrapping_add(index as u64),
                });
            }
        }
        Self {
            clients,
            subscribers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::LoadOptions;

    fn plan(options: LoadOptions) -> Plan {
        let config = options.resolve().unwrap();
        Plan::new(&config, config.subscribers[0])
    }

    fn of(profile: Profile) -> LoadOptions {
        LoadOptions {
            profile: Some(profile),
            ..LoadOptions::default()
        }
    }

    #[test]
    fn in_a_meeting_everybody_gets_everything_of_the_others() {
        let plan = plan(of(Profile::Meeting));
        assert_eq!(plan.clients.len(), 8);
        for client in &plan.clients {
            assert!(client.publishes() && client.receives);
            assert_eq!(client.expected, (7, 7));
        }
    }

    #[test]
    fn a_smaller_meeting_has_fewer_publishers_without_being_told() {
        let options = |publishers| LoadOptions {
            subscribers: Some(vec![3]),
            publishers,
            ..of(Profile::Meeting)
        };
        let three = plan(options(None));
        assert!(three.clients.iter().all(|client| client.expected == (2, 2)));
        let one = plan(options(Some(1)));
        let expected: Vec<_> = one.clients.iter().map(|client| client.expected).collect();
        assert_eq!(expected, [(0, 0), (1, 1), (1, 1)]);
    }

    #[test]
    fn webinars_and_audio_rooms_have_senders_that_do_not_receive() {
        for (profile, publishers, subscribers, expected) in [
            (Profile::Webinar, 1, 50, (1, 1)),
            (Profile::Audio, 10, 200, (10, 0)),
        ] {
            let plan = plan(of(profile));
            let (senders, receivers) = plan.clients.split_at(publishers);
            assert!(senders.iter().all(|c| c.publishes() && !c.receives));
            assert_eq!(receivers.len(), subscribers);
            assert!(
                receivers
                    .iter()
                    .all(|c| !c.publishes() && c.expected == expected)
            );
        }
    }

    #[test]
    fn pairs_are_rooms_of_two() {
        let plan = plan(of(Profile::OneToOne));
        assert_eq!(plan.clients.len(), 100);
        for room in 0..50 {
            let members = plan.clients.iter().filter(|client| client.room == room);
            assert_eq!(members.count(), 2);
        }
        let names: std::collections::BTreeSet<_> = plan.clients.iter().map(|c| &c.name).collect();
        assert_eq!(names.len(), 100);
        assert!(plan.clients.iter().all(|client| client.expected == (1, 1)));
    }

    #[test]
    fn the_seed_is_in_the_plan() {
        let seeded = |seed| {
            plan(LoadOptions {
                seed: Some(seed),
                ..LoadOptions::default()
            })
        };
        assert_eq!(seeded(1), seeded(1));
        assert_ne!(seeded(1), seeded(2));
    }
}
