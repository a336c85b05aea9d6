//! temporary
use crate::rtp::AudioLevel;
use std::time::Instant;
#[derive(Debug, Default)]
pub struct Speakers;
#[derive(Debug)]
pub struct Speaker {
    pub key: u64,
    pub level: f32,
}
impl Speakers {
    pub fn observe(&mut self, _: Instant, _: u64, _: AudioLevel) {}
    pub fn poll(&mut self, _: Instant) -> Option<Vec<Speaker>> {
        None
    }
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
