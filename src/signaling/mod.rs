//! The room of signaling: being built.
