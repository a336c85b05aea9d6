//! The shard under a simulated network, in virtual time.
