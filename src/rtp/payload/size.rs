//! How large the pictures of a stream are.

/// Spatial layers at most, as three bits hold their ids in all codecs.
const MAX_LAYERS: usize = 8;

/// The size of each spatial layer's pictures, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameSizes {
    sizes: [(u16, u16); MAX_LAYERS],
    len: u8,
}

impl FrameSizes {
    /// Width and height of this spatial layer. Layers that are not sent now may have zeros.
    pub fn layer(&self, spatial: u8) -> Option<(u16, u16)> {
        let known = self.sizes.get(..usize::from(self.len))?;
        known.get(usize::from(spatial)).copied()
    }

    /// Width and height of the highest spatial layer.
    pub fn largest(&self) -> Option<(u16, u16)> {
        self.layer(self.len.checked_sub(1)?)
    }

    /// Adds the next higher spatial layer. More than eight are left out.
    pub(in crate::rtp) fn push(&mut self, width: u16, height: u16) {
        if let Some(slot) = self.sizes.get_mut(usize::from(self.len)) {
            *slot = (width, height);
            self.len += 1;
        }
    }
}
