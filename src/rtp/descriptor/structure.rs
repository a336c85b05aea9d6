//! The template dependency structure, which a keyframe brings for the frames up to the next.

use super::bits::Bits;
use crate::rtp::payload::FrameSizes;

/// Spatial and temporal ids are below this, as three bits hold them in all codecs.
pub(super) const MAX_LAYERS: u8 = 8;
/// More have no ids of their own.
const MAX_TEMPLATES: usize = 64;
/// The low bit of each decode target's indication.
const LOW: u64 = 0x5555_5555_5555_5555;

/// How a frame relates to a decode target (table A.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indication {
    /// The frame is no part of the target.
    NotPresent,
    /// No other frame of the target depends on it.
    Discardable,
    /// Who can decode it can decode all of the target from here on.
    Switch,
    /// Others of the target depend on it.
    Required,
}

/// The indications of one frame for all decode targets: two bits each, that of target 0 lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Indications(u64);

impl Indications {
    pub(super) fn read(bits: &mut Bits<'_>, targets: usize) -> Option<Self> {
        let mut packed = 0;
        for target in 0..targets {
            packed |= u64::from(bits.fixed(2)?) << (2 * target);
        }
        Some(Self(packed))
    }

    fn of(self, target: usize) -> Indication {
        match self.0 >> (2 * target) & 0x03 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }
}

/// What the indications of a frame amount to, once the layers of the decode targets are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    /// By spatial id, the layers that have a decode target with a switch indication.
    pub(super) switch_to: u8,
    /// No decode target of the frame's spatial layer needs it without saying that one may switch there.
    pub(super) enterable: bool,
    /// It is part of some target, and discardable in all that it is part of.
    pub(super) discardable: bool,
}

/// One kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) spatial: u8,
    pub(super) temporal: u8,
    indications: Indications,
    pub(super) meaning: Meaning,
    /// Where its frame differences lie among all of the structure.
    fdiffs: (u16, u16),
}

/// A template dependency structure (section A.8): what kinds of frames there are, and of what decode targets,
/// chains and sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Structure {
    id_offset: u8,
    templates: Vec<Template>,
    /// Spatial and temporal id of each decode target.
    targets: Vec<(u8, u8)>,
    /// The decode targets by spatial id, as low bits of their indications.
    targets_by_spatial: [u64; MAX_LAYERS as usize],
    fdiffs: Vec<u8>,
    chains: u8,
    /// The chain of each decode target, empty without chains.
    protected_by: Vec<u8>,
    /// As many for each template as there are chains.
    chain_fdiffs: Vec<u8>,
    sizes: Option<FrameSizes>,
}

impl Structure {
    pub(super) fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let mut this = Self {
            id_offset: bits.fixed(6)? as u8,
            ..Self::default()
        };
        let targets = bits.fixed(5)? as usize + 1;
        this.read_layers(bits)?;
        for template in &mut this.templates {
            template.indications = Indications::read(bits, targets)?;
        }
        this.read_fdiffs(bits)?;
        this.read_chains(bits, targets)?;
        this.derive_targets(targets);
        if bits.flag()? {
            this.read_sizes(bits)?;
        }
        Some(this)
    }

    /// How many templates there are, 1 to 64.
    pub fn template_count(&self) -> usize {
        self.templates.len()
    }

    /// The spatial and temporal id of each decode target, 1 to 32 of them.
    pub fn targets(&self) -> &[(u8, u8)] {
        &self.targets
    }

    /// The spatial and temporal id of a template. Templates count from 0.
    pub fn template_layer(&self, template: usize) -> Option<(u8, u8)> {
        let template = self.templates.get(template)?;
        Some((template.spatial, template.temporal))
    }

    /// How the frames of a template relate to a decode target.
    pub fn indication(&self, template: usize, target: usize) -> Option<Indication> {
        self.targets.get(target)?;
        Some(self.templates.get(template)?.indications.of(target))
    }

    /// By how many frame numbers the frames that one of a template depends on lie before it, 1 to 16.
    pub fn fdiffs(&self, template: usize) -> Option<&[u8]> {
        self.templates.get(template).map(|t| self.fdiffs_of(t))
    }

    /// How many chains there are, 0 to 32.
    pub fn chain_count(&self) -> u8 {
        self.chains
    }

    /// The chain that protects a decode target, where there are chains.
    pub fn protected_by(&self, target: usize) -> Option<u8> {
        self.protected_by.get(target).copied()
    }

    /// By how many frame numbers the last frame of each chain lies before one of a template, 0 to 15; 0 where the
    /// chain needs none before it.
    pub fn chain_fdiffs(&self, template: usize) -> Option<&[u8]> {
        let chains = usize::from(self.chains);
        self.templates.get(template)?;
        self.chain_fdiffs
            .get(template * chains..(template + 1) * chains)
    }

    /// How large the pictures of each spatial layer are at most, where the publisher says it.
    pub fn sizes(&self) -> Option<FrameSizes> {
        self.sizes
    }

    /// The highest spatial layer and, of its decode targets, the highest temporal one, of the targets in `active`
    /// (bit 0 stands for target 0). `None` where none is.
    pub fn top_layer(&self, active: u32) -> Option<(u8, u8)> {
        let active = |(index, _): &(usize, _)| active >> index & 1 != 0;
        let targets = self.targets.iter().copied().enumerate();
        targets.filter(active).map(|(_, layer)| layer).max()
    }

    pub(super) fn template(&self, id: u8) -> Option<&Template> {
        self.templates
            .get(usize::from(id.wrapping_sub(self.id_offset) & 0x3f))
    }

    pub(super) fn fdiffs_of(&self, template: &Template) -> &[u8] {
        let (start, end) = template.fdiffs;
        self.fdiffs
            .get(usize::from(start)..usize::from(end))
            .unwrap_or_default()
    }

    pub(super) fn meaning(&self, indications: Indications, spatial: u8) -> Meaning {
        let Indications(packed) = indications;
        let (low, high) = (packed & LOW, packed >> 1 & LOW);
        let mut switch_to = 0;
        for (spatial, targets) in self.targets_by_spatial.iter().enumerate() {
            switch_to |= u8::from(high & !low & targets != 0) << spatial;
        }
        let own = self.targets_by_spatial[usize::from(spatial % MAX_LAYERS)];
        let own = if own & (low | high) == 0 { LOW } else { own };
        Meaning {
            switch_to,
            enterable: (low ^ high) & own != 0,
            discardable: high == 0 && low != 0,
        }
    }

    fn read_layers(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let (mut spatial, mut temporal) = (0, 0);
        loop {
            if self.templates.len() == MAX_TEMPLATES {
                return None;
            }
            self.templates.push(Template {
                spatial,
                temporal,
                indications: Indications::default(),
                meaning: Meaning::default(),
                fdiffs: (0, 0),
            });
            match bits.fixed(2)? {
                0 => {}
                1 => temporal += 1,
                2 => (spatial, temporal) = (spatial + 1, 0),
                _ => return Some(()),
            }
            if spatial >= MAX_LAYERS || temporal >= MAX_LAYERS {
                return None;
            }
        }
    }

    fn read_fdiffs(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        for template in &mut self.templates {
            // They are fewer than there are bits.
            let start = self.fdiffs.len() as u16;
            while bits.flag()? {
                self.fdiffs.push(bits.fixed(4)? as u8 + 1);
            }
            template.fdiffs = (start, self.fdiffs.len() as u16);
        }
        Some(())
    }

    fn read_chains(&mut self, bits: &mut Bits<'_>, targets: usize) -> Option<()> {
        let chains = bits.below(targets as u32 + 1)?;
        self.chains = chains as u8;
        if chains == 0 {
            return Some(());
        }
        for _ in 0..targets {
            self.protected_by.push(bits.below(chains)? as u8);
        }
        for _ in 0..self.templates.len() * chains as usize {
            self.chain_fdiffs.push(bits.fixed(4)? as u8);
        }
        Some(())
    }

    /// A decode target has the highest ids of the templates that are part of it.
    fn derive_targets(&mut self, targets: usize) {
        for target in 0..targets {
            let (mut spatial, mut temporal) = (0, 0);
            for template in &self.templates {
                if template.indications.of(target) != Indication::NotPresent {
                    spatial = template.spatial.max(spatial);
                    temporal = template.temporal.max(temporal);
                }
            }
            self.targets.push((spatial, temporal));
            self.targets_by_spatial[usize::from(spatial % MAX_LAYERS)] |= 1 << (2 * target);
        }
        for index in 0..self.templates.len() {
            let Template {
                indications,
                spatial,
                ..
            } = self.templates[index];
            self.templates[index].meaning = self.meaning(indications, spatial);
        }
    }

    /// One for each spatial layer, the highest of which the last template has.
    fn read_sizes(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let mut sizes = FrameSizes::default();
        for _ in 0..=self.templates.last()?.spatial {
            let width = bits.fixed(16)? as u16;
            let height = bits.fixed(16)? as u16;
            sizes.push(width.saturating_add(1), height.saturating_add(1));
        }
        self.sizes = Some(sizes);
        Some(())
    }
}
