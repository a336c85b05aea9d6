//! The codecs that are forwarded, by what makes two payload types the same.

/// Audio or video, as in an SDP m-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MediaKind {
    /// `m=audio`
    Audio,
    /// `m=video`
    Video,
}

/// H.264 profiles that browsers offer, by `profile-level-id` without the level (RFC 6184 section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum H264Profile {
    /// 42e0xx and its aliases.
    ConstrainedBaseline,
    /// 4200xx.
    Baseline,
    /// 4d00xx.
    Main,
    /// 640cxx.
    ConstrainedHigh,
    /// 6400xx.
    High,
    /// f400xx.
    PredictiveHigh444,
}

/// What a payload type carries. Equal codecs can be forwarded one to the other unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Opus, 48 kHz (RFC 7587).
    Opus,
    /// Redundant audio around Opus (RFC 2198).
    Red,
    /// G.722, 8 kHz RTP clock (RFC 3551).
    G722,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// DTMF (RFC 4733) at this clock rate in Hz.
    TelephoneEvent(u32),
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628) of this profile.
    Vp9 {
        /// `profile-id`, 0 to 3.
        profile: u8,
    },
    /// H.264 (RFC 6184).
    H264 {
        /// The profile that both ends must share; levels may differ.
        profile: H264Profile,
        /// `packetization-mode`, 0 or 1.
        packetization_mode: u8,
    },
    /// AV1 (AOM RTP specification) of this profile.
    Av1 {
        /// `profile`, 0 to 2.
        profile: u8,
    },
    /// H.265 (RFC 7798).
    H265 {
        /// `profile-id`, 1 for Main.
        profile: u8,
        /// `tier-flag`, 0 or 1.
        tier: u8,
    },
}

impl Codec {
    /// Audio or video.
    pub fn kind(self) -> MediaKind {
        match self {
            Self::Opus
            | Self::Red
            | Self::G722
            | Self::Pcmu
            | Self::Pcma
            | Self::TelephoneEvent(_) => MediaKind::Audio,
            Self::Vp8
            | Self::Vp9 { .. }
            | Self::H264 { .. }
            | Self::Av1 { .. }
            | Self::H265 { .. } => MediaKind::Video,
        }
    }

    /// The encoding name of `a=rtpmap`, as IANA spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Red => "red",
            Self::G722 => "G722",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::TelephoneEvent(_) => "telephone-event",
            Self::Vp8 => "VP8",
            Self::Vp9 { .. } => "VP9",
            Self::H264 { .. } => "H264",
            Self::Av1 { .. } => "AV1",
            Self::H265 { .. } => "H265",
        }
    }

    /// RTP timestamp ticks a second.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus | Self::Red => 48_000,
            Self::G722 | Self::Pcmu | Self::Pcma => 8_000,
            Self::TelephoneEvent(rate) => rate,
            Self::Vp8
            | Self::Vp9 { .. }
            | Self::H264 { .. }
            | Self::Av1 { .. }
            | Self::H265 { .. } => 90_000,
        }
    }
}
