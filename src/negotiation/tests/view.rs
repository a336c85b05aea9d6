//! What a reader other than ours makes of a description: `rtc-sdp`, so that our own parser does not
//! judge our own writer.

use std::io::Cursor;

use sdp::description::media::MediaDescription;
use sdp::description::session::SessionDescription;

/// One m-line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) media: String,
    pub(super) port: isize,
    pub(super) mid: Option<String>,
    pub(super) send: bool,
    pub(super) receive: bool,
    pub(super) msid: Option<String>,
    /// Payload type and rtpmap, in the order of the m-line; without retransmissions.
    pub(super) codecs: Vec<(u8, String)>,
    pub(super) extensions: Vec<String>,
    pub(super) ssrcs: Vec<u32>,
}

/// A description.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionView {
    pub(super) bundle: Vec<String>,
    pub(super) lines: Vec<View>,
}

/// Reads a description.
pub(super) fn view(sdp: &str) -> SessionView {
    let session = SessionDescription::unmarshal(&mut Cursor::new(sdp.as_bytes()))
        .unwrap_or_else(|error| panic!("{error}\n{sdp}"));
    let bundle = session
        .attribute("group")
        .and_then(|group| group.strip_prefix("BUNDLE"))
        .map(|mids| mids.split_whitespace().map(str::to_owned).collect());
    SessionView {
        bundle: bundle.unwrap_or_default(),
        lines: session.media_descriptions.iter().map(line).collect(),
    }
}

fn line(media: &MediaDescription) -> View {
    let value = |name: &str| media.attribute(name).flatten().map(str::to_owned);
    let has = |name: &str| media.attribute(name).is_some();
    let values = |name: &str| -> Vec<String> {
        let named = media.attributes.iter().filter(|a| a.key == name);
        named.filter_map(|a| a.value.clone()).collect()
    };
    let maps = values("rtpmap");
    let map = |number: &str| {
        let prefix = format!("{number} ");
        maps.iter()
            .find_map(|map| map.strip_prefix(&prefix).map(str::to_owned))
    };
    let codecs = media.media_name.formats.iter().filter_map(|number| {
        let map = map(number)?;
        (!map.starts_with("rtx/")).then(|| (number.parse().unwrap(), map))
    });
    let mut ssrcs: Vec<u32> = values("ssrc")
        .iter()
        .map(|ssrc| ssrc.split(' ').next().unwrap().parse().unwrap())
        .collect();
    ssrcs.dedup();
    View {
        media: media.media_name.media.clone(),
        // Port 0 of a bundled m-line only says that it has no port of its own (RFC 9143 section 6).
        port: if has("bundle-only") {
            9
        } else {
            media.media_name.port.value
        },
        mid: value("mid"),
        send: has("sendrecv") || has("sendonly"),
        receive: has("sendrecv") || has("recvonly"),
        msid: value("msid"),
        codecs: codecs.collect(),
        extensions: values("extmap"),
        ssrcs,
    }
}
