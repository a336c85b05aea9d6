//! The wire against itself and against the suppliers' own stacks, in virtual time.

mod connection;
mod fuzz;
mod pair;
