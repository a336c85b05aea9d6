//! The estimator against a simulated link, in virtual time, from many seeds.

mod parser;
mod simulation;
mod table;
