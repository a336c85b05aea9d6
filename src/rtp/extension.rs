//! The header extensions that are understood, and the ids one peer gave them.

/// An RTP header extension (RFC 8285) that Crosspoint reads, writes or passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Extension {
    /// RFC 8843.
    Mid,
    /// RFC 8852.
    Rid,
    /// RFC 8852.
    RepairedRid,
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01.
    TransportCc,
    /// Absolute send time, 24 bits of 6.18 fixed-point seconds.
    AbsSendTime,
    /// RFC 6464.
    AudioLevel,
    /// 3GPP TS 26.114.
    VideoOrientation,
    /// Playout delay limits.
    PlayoutDelay,
    /// AV1 RTP specification, appendix A.
    DependencyDescriptor,
    /// Absolute capture time.
    AbsCaptureTime,
    /// Color space and HDR metadata.
    ColorSpace,
    /// Which encodings a publisher sends: [`LayersAllocation`](super::LayersAllocation).
    LayersAllocation,
}

impl Extension {
    /// Every extension, in the order of their discriminants.
    pub const ALL: [Self; 12] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::TransportCc,
        Self::AbsSendTime,
        Self::AudioLevel,
        Self::VideoOrientation,
        Self::PlayoutDelay,
        Self::DependencyDescriptor,
        Self::AbsCaptureTime,
        Self::ColorSpace,
        Self::LayersAllocation,
    ];

    /// The URI of `a=extmap`.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::TransportCc => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::ColorSpace => "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
            Self::LayersAllocation => {
                "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00"
            }
        }
    }

    /// The extension with this URI, if it is one of ours.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.uri() == uri)
    }
}

/// Which id stands for which extension on one peer connection. Under BUNDLE an id means the same on
/// every m-line (RFC 8843 section 9.1.2), so one map serves the whole connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionMap {
    id_by_extension: [u8; Extension::ALL.len()],
    extension_by_id: [Option<Extension>; 256],
}

impl Default for ExtensionMap {
    fn default() -> Self {
        Self {
            id_by_extension: [0; Extension::ALL.len()],
            extension_by_id: [None; 256],
        }
    }
}

impl ExtensionMap {
    /// Gives `extension` the `id`, 1 to 14 or 16 to 255. Returns false, changing nothing, when the id
    /// is out of range or either is taken by another.
    pub fn insert(&mut self, id: u8, extension: Extension) -> bool {
        if id == 0 || id == 15 {
            return false;
        }
        let taken = self.extension_by_id[usize::from(id)];
        let current = self.id_by_extension[extension as usize];
        if taken == Some(extension) {
            return true;
        }
        if taken.is_some() || current != 0 {
            return false;
        }
        self.extension_by_id[usize::from(id)] = Some(extension);
        self.id_by_extension[extension as usize] = id;
        true
    }

    /// The id of `extension`, if it was negotiated.
    pub fn id(&self, extension: Extension) -> Option<u8> {
        match self.id_by_extension[extension as usize] {
            0 => None,
            id => Some(id),
        }
    }

    /// What `id` stands for, if it was negotiated.
    pub fn extension(&self, id: u8) -> Option<Extension> {
        self.extension_by_id[usize::from(id)]
    }

    /// All negotiated pairs, in the order of [`Extension::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (u8, Extension)> + '_ {
        Extension::ALL
            .into_iter()
            .filter_map(|e| self.id(e).map(|id| (id, e)))
    }
}
