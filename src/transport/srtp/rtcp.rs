//! SRTCP indices: 31 bits, explicit in each packet (RFC 3711 section 3.4).

use super::SrtpError;
use crate::transport::ReplayWindow;

/// Senders of RTCP that one peer may have; a browser has one for each m-line at most.
const MAX_SENDERS: usize = 64;
const MAX_INDEX: u32 = 0x7fff_ffff;

/// Both directions' SRTCP indices.
#[derive(Default)]
pub(super) struct RtcpIndices {
    /// The index of the next packet that is sent. One counter serves all our SSRCs: what counts is
    /// that no index comes twice for any of them.
    next: u32,
    /// Only authenticated packets get in, the sender that was heard last at the end.
    windows: Vec<(u32, ReplayWindow)>,
}

impl RtcpIndices {
    pub(super) fn check(&self, ssrc: u32, index: u32) -> bool {
        let window = self.windows.iter().find(|(known, _)| *known == ssrc);
        window.is_none_or(|(_, window)| window.check(index.into()))
    }

    pub(super) fn commit(&mut self, ssrc: u32, index: u32) {
        match self.windows.iter().position(|(known, _)| *known == ssrc) {
            Some(place) => self.windows[place..].rotate_left(1),
            None => {
                if self.windows.len() >= MAX_SENDERS {
                    self.windows.remove(0);
                }
                self.windows.push((ssrc, ReplayWindow::default()));
            }
        }
        if let Some((_, window)) = self.windows.last_mut() {
            window.commit(index.into());
        }
    }

    pub(super) fn next(&mut self) -> Result<u32, SrtpError> {
        let index = self.next;
        if index > MAX_INDEX {
            return Err(SrtpError::Exhausted);
        }
        self.next += 1;
        Ok(index)
    }
}
