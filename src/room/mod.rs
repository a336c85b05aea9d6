//! The room of room: being built.
