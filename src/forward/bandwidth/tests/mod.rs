//! The estimator against a simulated link, in virtual time, from many seeds.

mod compare_gcc;
mod parser;
mod simulation;
mod table;
