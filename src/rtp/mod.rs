//! What an RTP packet says: header view, header extensions, sequence arithmetic, codecs.
//!
//! Called by [`crate::forward`] and [`crate::shard`] per packet, and by [`crate::negotiation`] for the
//! names of codecs and extensions. Never allocates per packet, never keeps state about a stream.

mod codec;
mod extension;
mod id;

pub use codec::{Codec, H264Profile, MediaKind};
pub use extension::{Extension, ExtensionMap};
pub use id::{Mid, Rid};
