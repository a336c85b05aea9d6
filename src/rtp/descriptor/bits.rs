//! Reads fields that do not begin at bytes.

/// The bits of a descriptor, high before low.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit != 0)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// f(n) of section A.8.2, at most 32 bits.
    pub(super) fn fixed(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// ns(n) of section A.8.2: a value below `bound`, which is not 0; the lower ones take one bit fewer.
    pub(super) fn below(&mut self, bound: u32) -> Option<u32> {
        let width = 32 - bound.leading_zeros();
        let short = (1 << width) - bound;
        let value = self.fixed(width - 1)?;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + self.fixed(1)?)
    }
}
