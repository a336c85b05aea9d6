//! The room of runtime: being built.
