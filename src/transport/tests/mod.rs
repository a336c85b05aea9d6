//! The wire against itself and against the suppliers' own stacks, in virtual time.

mod amplification;
mod channels;
mod checks;
mod connection;
mod fuzz;
mod hello;
pub(crate) mod pair;
