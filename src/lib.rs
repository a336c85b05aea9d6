//! Crosspoint: a multi-peer WebRTC media router.
