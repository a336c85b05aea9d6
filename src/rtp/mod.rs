//! What an RTP packet says: header view, header extensions, sequence arithmetic, codecs, payload
//! descriptors, RTCP.
//!
//! Called by [`crate::forward`] and [`crate::shard`] per packet, and by [`crate::negotiation`] for the
//! names of codecs and extensions. Never allocates per packet, and keeps no state about a stream but
//! [`descriptor::DescriptorReader`], for whoever owns the stream.

mod allocation;
mod codec;
pub mod descriptor;
mod elements;
mod extension;
mod header;
mod id;
pub mod payload;
pub mod rtcp;
pub mod sequence;
mod write;

pub use allocation::LayersAllocation;
pub use codec::{Codec, H264Profile, MediaKind};
pub use elements::{AudioLevel, Element, Elements, Extensions};
pub use extension::{Extension, ExtensionMap};
pub use header::{HeaderFields, HeaderView, RtpError};
pub use id::{Mid, Rid};
pub use write::{
    ExtensionBuffer, ExtensionValues, OwnWords, PassedOn, abs_send_time, own_extensions, pad,
    write_copied_header, write_header,
};
