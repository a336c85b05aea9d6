//! Counting: what the media thread sees, and what processes use.

mod histogram;
mod process;
mod tally;

pub(crate) use histogram::Histogram;
pub(crate) use process::{ProcessSample, sample_process};
pub(crate) use tally::Tally;
