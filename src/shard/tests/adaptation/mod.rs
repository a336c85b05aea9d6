//! Calls over networks that are too narrow, lossy, slow, or change: what their viewers see.

mod call;
mod player;
mod scenarios;
mod speakers;
