//! What a browser's encoders would send: sizes and moments, without a picture or a sound.
//!
//! Called by [`super::endpoint`], which makes packets of it. Everything follows from a seed; nothing here
//! knows a socket, a clock or SRTP.

mod packets;
mod speech;
mod stamp;
mod video;

pub(crate) use packets::{DESCRIPTOR_LEN, Vp8Header, split_evenly};
pub(crate) use speech::{PACKET_TIME, Speech};
pub(crate) use stamp::{Stamp, fill};
pub(crate) use video::{FRAME_TIME, FrameSizes, KEYFRAME_INTERVAL};
