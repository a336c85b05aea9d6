//! Where a call's peers live: together while they are few, on all shards when they are many.
//!
//! A track that is subscribed to on another shard is carried there once, which costs about as much as a copy for one more
//! subscriber. So a small call stays on one shard, and one that outgrows it goes on in groups. On a port that all shards
//! share, this is only where a peer begins (`moving`).

/// The shard of a call's next peer.
///
/// `first` is the shard on which the call began, and `in_call` counts its peers on each shard, of which `together` are
/// to stay on one before there are more. `loads` is what each shard has to do for all calls.
pub(super) fn place(first: usize, in_call: &[usize], together: usize, loads: &[usize]) -> usize {
    let load = |shard: &usize| loads.get(*shard).copied().unwrap_or_default();
    let is_its = |shard: usize, peers: usize| peers > 0 || shard == first;
    let with_room = in_call
        .iter()
        .enumerate()
        .filter(|(shard, peers)| is_its(*shard, **peers) && **peers < together)
        .map(|(shard, _)| shard)
        .min_by_key(load);
    with_room.or_else(|| least_loaded(loads)).unwrap_or(first)
}

/// The shard with the least to do.
pub(super) fn least_loaded(loads: &[usize]) -> Option<usize> {
    let shards = loads.iter().enumerate();
    shards
        .min_by_key(|(_, load)| **load)
        .map(|(shard, _)| shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places so many peers, each of which adds two to a shard's load.
    fn grow(first: usize, peers: usize, loads: &mut [usize]) -> Vec<usize> {
        let mut in_call = vec![0; loads.len()];
        for _ in 0..peers {
            let shard = place(first, &in_call, 16, loads);
            in_call[shard] += 1;
            loads[shard] += 2;
        }
        in_call
    }

    #[test]
    fn a_small_call_stays_where_it_began_whatever_the_load() {
        assert_eq!(grow(1, 16, &mut [0, 500, 0]), [0, 16, 0]);
        assert_eq!(grow(0, 100, &mut [0]), [100]);
    }

    #[test]
    fn a_large_call_spreads_over_all_shards() {
        assert_eq!(grow(0, 150, &mut [0, 0]), [75, 75]);
        assert_eq!(grow(2, 130, &mut [0, 0, 0, 0]), [33, 33, 32, 32]);
    }

    #[test]
    fn it_goes_on_in_groups_and_where_there_is_least_to_do() {
        assert_eq!(grow(0, 24, &mut [0, 0, 0, 0]), [16, 8, 0, 0]);
        assert_eq!(grow(0, 40, &mut [0, 1000, 10]), [23, 0, 17]);
    }

    #[test]
    fn who_comes_after_others_left_fills_the_gap() {
        assert_eq!(place(0, &[16, 3, 16], 16, &[5, 90, 5]), 1);
        assert_eq!(place(0, &[0, 3, 16], 16, &[5, 90, 5]), 0);
        assert_eq!(place(0, &[16, 16], 16, &[32, 31]), 1);
    }
}
