//! The room of forward: being built.
