//! The room of negotiation: being built.
