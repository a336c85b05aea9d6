//! As much reading of SDP as the tests need.

/// One m-section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub mid: String,
    /// `audio`, `video` or `application`.
    pub kind: String,
    pub port: u16,
    /// `sendrecv`, `sendonly`, `recvonly` or `inactive`.
    pub direction: String,
    /// `a=msid`, without the key.
    pub msid: Option<String>,
    /// The first SSRC declared, that of the media.
    pub ssrc: Option<u32>,
    /// The second SSRC of the FID group, that of retransmissions.
    pub rtx: Option<u32>,
    pub lines: Vec<String>,
}

impl Section {
    /// Whether the describing side sends on it.
    pub fn sends(&self) -> bool {
        self.port != 0 && (self.direction == "sendrecv" || self.direction == "sendonly")
    }

    /// The payload type of a codec by its `a=rtpmap` name.
    pub fn payload_type(&self, codec: &str) -> Option<u8> {
        self.lines.iter().find_map(|line| {
            let (payload_type, name) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
            name.split('/')
                .next()?
                .eq_ignore_ascii_case(codec)
                .then(|| payload_type.parse().ok())?
        })
    }

    /// The id of a header extension.
    pub fn extension(&self, uri: &str) -> Option<u8> {
        self.lines.iter().find_map(|line| {
            let (id, found) = line.strip_prefix("a=extmap:")?.split_once(' ')?;
            (found.split(' ').next()? == uri).then(|| id.split('/').next()?.parse().ok())?
        })
    }
}

/// The m-sections of a description.
pub fn sections(sdp: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in sdp.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split(' ');
            sections.push(Section {
                mid: String::new(),
                kind: words.next().unwrap_or_default().to_owned(),
                port: words.next().and_then(|port| port.parse().ok()).unwrap_or(0),
                direction: "sendrecv".to_owned(),
                msid: None,
                ssrc: None,
                rtx: None,
                lines: vec![line.to_owned()],
            });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            continue;
        };
        section.lines.push(line.to_owned());
        let Some(attribute) = line.strip_prefix("a=") else {
            continue;
        };
        let (key, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match key {
            "mid" => section.mid = value.to_owned(),
            "sendrecv" | "sendonly" | "recvonly" | "inactive" => section.direction = key.to_owned(),
            "msid" => section.msid = Some(value.to_owned()),
            "ssrc" if section.ssrc.is_none() => {
                section.ssrc = value.split(' ').next().and_then(|ssrc| ssrc.parse().ok());
            }
            "ssrc-group" => {
                let words: Vec<&str> = value.split(' ').collect();
                if let ["FID", media, rtx] = words.as_slice() {
                    section.ssrc = media.parse().ok();
                    section.rtx = rtx.parse().ok();
                }
            }
            _ => {}
        }
    }
    sections
}

/// The address of the first host candidate over UDP.
pub fn candidate(sdp: &str) -> Option<std::net::SocketAddr> {
    sdp.lines().find_map(|line| {
        let words: Vec<&str> = line.strip_prefix("a=candidate:")?.split(' ').collect();
        let address: std::net::IpAddr = words.get(4)?.parse().ok()?;
        let port: u16 = words.get(5)?.parse().ok()?;
        address
            .is_ipv4()
            .then(|| std::net::SocketAddr::new(address, port))
    })
}
