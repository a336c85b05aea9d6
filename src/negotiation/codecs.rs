//! The codecs of our own offers: which, in which order, under which payload types.

use std::collections::BTreeMap;

use crate::negotiation::SubscribedTrack;
use crate::negotiation::remote::{Feedback, Format, PayloadUse, Rtx, profile_level_id};
use crate::rtp::{Codec, H264Profile, MediaKind};

/// What is offered where nothing else is known, best first, with the numbers that Chromium gives them.
/// RED and AV1 come after what every browser can send, so that a callee does not pick them by surprise; where RED is wanted,
/// [`prefer_red`] says so.
const DEFAULTS: [(Codec, u8, u8); 21] = [
    (Codec::Opus, 111, 0),
    (Codec::Red, 63, 0),
    (Codec::G722, 9, 0),
    (Codec::Pcmu, 0, 0),
    (Codec::Pcma, 8, 0),
    (Codec::TelephoneEvent(48_000), 110, 0),
    (Codec::TelephoneEvent(8_000), 126, 0),
    (Codec::Vp8, 96, 97),
    (Codec::Vp9 { profile: 0 }, 98, 99),
    (h264(H264Profile::ConstrainedBaseline, 1), 108, 109),
    (h264(H264Profile::ConstrainedBaseline, 0), 114, 115),
    (h264(H264Profile::Baseline, 1), 102, 103),
    (h264(H264Profile::Baseline, 0), 104, 107),
    (h264(H264Profile::Main, 1), 116, 117),
    (h264(H264Profile::Main, 0), 39, 40),
    (h264(H264Profile::High, 1), 123, 124),
    (Codec::Av1 { profile: 0 }, 45, 46),
    (Codec::Vp9 { profile: 2 }, 100, 101),
    (Codec::Vp9 { profile: 1 }, 41, 42),
    (Codec::Av1 { profile: 1 }, 47, 48),
    (
        Codec::H265 {
            profile: 1,
            tier: 0,
        },
        49,
        50,
    ),
];

const fn h264(profile: H264Profile, packetization_mode: u8) -> Codec {
    Codec::H264 {
        profile,
        packetization_mode,
    }
}

/// The codecs of this kind that an offer of ours can have, best first.
fn defaults(kind: MediaKind) -> impl Iterator<Item = Codec> {
    DEFAULTS
        .into_iter()
        .map(|(codec, _, _)| codec)
        .filter(move |codec| codec.kind() == kind)
}

/// What each payload type of a connection stands for. Under BUNDLE it is one space for all m-lines
/// (RFC 9143 section 10.1.2).
#[derive(Clone, Debug, Default)]
pub(crate) struct PayloadTypes {
    use_by_number: BTreeMap<u8, PayloadUse>,
    format_by_codec: BTreeMap<Codec, Format>,
}

impl PayloadTypes {
    /// Takes what the client says `number` stands for. Its latest word counts.
    pub(crate) fn learn_use(&mut self, number: u8, used: PayloadUse) {
        self.use_by_number.insert(number, used);
    }

    /// Takes how the client writes a codec.
    pub(crate) fn learn_format(&mut self, format: &Format) {
        self.format_by_codec.insert(format.codec, format.clone());
    }

    /// The format that stands for `codec` in an offer of ours: the client's own where it has one that
    /// still means the same, else the usual numbers, else free ones. Nothing when none is free.
    pub(crate) fn format(&mut self, codec: Codec) -> Option<Format> {
        if let Some(known) = self.format_by_codec.get(&codec) {
            let mut format = known.clone();
            if self.means(format.payload_type, PayloadUse::Codec(codec)) {
                let apt = format.payload_type;
                format.rtx = format
                    .rtx
                    .filter(|rtx| self.means(rtx.payload_type, PayloadUse::Rtx(apt)));
                return Some(format);
            }
        }
        let format = self.default_format(codec)?;
        self.learn_use(format.payload_type, PayloadUse::Codec(codec));
        if let Some(rtx) = &format.rtx {
            self.learn_use(rtx.payload_type, PayloadUse::Rtx(format.payload_type));
        }
        self.learn_format(&format);
        Some(format)
    }

    fn means(&self, number: u8, used: PayloadUse) -> bool {
        self.use_by_number.get(&number) == Some(&used)
    }

    fn default_format(&mut self, codec: Codec) -> Option<Format> {
        let usual = DEFAULTS.iter().find(|(c, _, _)| *c == codec);
        let (number, rtx_number) = usual.map_or((128, 128), |(_, number, rtx)| (*number, *rtx));
        let payload_type = self.free(number, None)?;
        let video = codec.kind() == MediaKind::Video;
        let rtx = if video {
            self.free(rtx_number, Some(payload_type))
        } else {
            None
        };
        let opus = self.format_by_codec.get(&Codec::Opus);
        Some(Format {
            payload_type,
            codec,
            fmtp: fmtp(codec, opus.map_or(111, |f| f.payload_type)),
            rtx: rtx.map(|number| Rtx {
                payload_type: number,
                fmtp: format!("apt={payload_type}"),
            }),
            feedback: Feedback {
                nack: video,
                pli: video,
                fir: video,
                transport_cc: video || codec == Codec::Opus,
                // The client takes what it has.
                remb: video,
            },
        })
    }

    /// `usual` if nothing uses it, else the first free dynamic number (RFC 3551 section 6, and the
    /// range below 64 that RFC 5761 leaves to RTP).
    fn free(&self, usual: u8, besides: Option<u8>) -> Option<u8> {
        let is_free = |n: &u8| !self.use_by_number.contains_key(n) && Some(*n) != besides;
        Some(usual)
            .filter(|n| *n < 128 && is_free(n))
            .or_else(|| (96..=127).chain(35..=63).find(is_free))
    }
}

/// Our own `a=fmtp` for a codec.
fn fmtp(codec: Codec, opus: u8) -> Option<String> {
    Some(match codec {
        Codec::Opus => "minptime=10;useinbandfec=1".to_owned(),
        Codec::Red => format!("{opus}/{opus}"),
        Codec::TelephoneEvent(_) => "0-15".to_owned(),
        Codec::Vp9 { profile } => format!("profile-id={profile}"),
        Codec::H264 {
            profile,
            packetization_mode,
        } => format!(
            "level-asymmetry-allowed=1;packetization-mode={packetization_mode};profile-level-id={}",
            profile_level_id(profile)
        ),
        Codec::Av1 { profile } => format!("level-idx=5;profile={profile};tier=0"),
        Codec::H265 { profile, tier } => {
            format!("level-id=93;profile-id={profile};tier-flag={tier};tx-mode=SRST")
        }
        Codec::G722 | Codec::Pcmu | Codec::Pcma | Codec::Vp8 => return None,
    })
}

/// Puts RED before the Opus that it is around: Chromium sends redundancy only to a side that prefers it.
pub(crate) fn prefer_red(formats: &mut [Format]) {
    let at = |codec| formats.iter().position(|format| format.codec == codec);
    if let (Some(opus), Some(red)) = (at(Codec::Opus), at(Codec::Red))
        && opus < red
        && let Some(between) = formats.get_mut(opus..=red)
    {
        between.rotate_right(1);
    }
}

/// The codecs of an m-line that is to carry a track: the ones that it can come in, in the usual order;
/// unusual ones last.
pub(crate) fn offered(track: &SubscribedTrack) -> impl Iterator<Item = Codec> + '_ {
    let any = track.codecs.is_empty();
    // RED is around Opus, so it takes Opus.
    let red = any || track.codecs.contains(&Codec::Opus);
    let unusual = |codec: &Codec| DEFAULTS.iter().all(|(usual, _, _)| usual != codec);
    let extra = track.codecs.iter().copied().filter(unusual);
    defaults(track.kind)
        .filter(move |codec| any || track.codecs.contains(codec))
        .filter(move |codec| red || *codec != Codec::Red)
        .chain(extra.filter(|codec| codec.kind() == track.kind))
}
