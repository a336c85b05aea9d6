//! Data channels between participants on different shards.

use super::sim::{SimNet, ms};

/// Clients with data channels on these shards, of which each opened a channel of this label.
fn clients_on(seed: u64, shards: usize, places: &[usize]) -> SimNet {
    let mut sim = SimNet::with_shards(seed, shards);
    sim.data = true;
    for &shard in places {
        sim.join_on(shard);
    }
    sim.connect();
    sim.run(ms(200));
    sim
}

fn open(sim: &mut SimNet, client: usize, label: &str) -> u16 {
    let id = sim.clients[client].open_channel(sim.now, label);
    sim.send_up(client);
    sim.run(ms(300));
    id
}

fn say(sim: &mut SimNet, client: usize, channel: u16, text: &str) {
    sim.clients[client].say(sim.now, channel, text);
    sim.send_up(client);
    sim.run(ms(300));
}

fn heard(sim: &mut SimNet, client: usize) -> Vec<(String, String)> {
    let messages = std::mem::take(&mut sim.clients[client].messages);
    messages
        .into_iter()
        .map(|(label, from, text)| (format!("{label} {from}"), text))
        .collect()
}

#[test]
fn messages_reach_the_same_label_on_every_shard_and_name_their_sender() {
    let mut sim = clients_on(300, 3, &[0, 1, 2, 1, 0]);
    let channels: Vec<u16> = (0..4)
        .map(|client| open(&mut sim, client, "chat"))
        .collect();
    open(&mut sim, 4, "other");
    for (sender, &channel) in channels.iter().enumerate() {
        say(&mut sim, sender, channel, &format!("of {sender}"));
        for client in 0..5 {
            let expected = match client != sender && client != 4 {
                true => vec![(format!("chat from:{sender}"), format!("of {sender}"))],
                false => vec![],
            };
            assert_eq!(heard(&mut sim, client), expected, "{sender} to {client}");
        }
    }
}

#[test]
fn who_comes_later_on_another_shard_finds_what_is_open() {
    let mut sim = clients_on(301, 2, &[0, 0]);
    let first = open(&mut sim, 0, "chat");
    open(&mut sim, 1, "chat");
    sim.link_delay = (ms(1), ms(9));
    let late = sim.join_on(1);
    sim.connect();
    sim.run(ms(200));
    let channel = open(&mut sim, late, "chat");
    let relays = |sim: &SimNet, client: usize| {
        let mut from: Vec<_> = sim.clients[client]
            .channels
            .values()
            .map(|(_, from)| from.clone())
            .collect();
        from.sort();
        from
    };
    assert_eq!(
        relays(&sim, late),
        ["from:0", "from:1"],
        "before anything is said"
    );
    assert_eq!(relays(&sim, 0), ["from:1", "from:2"]);
    say(&mut sim, 0, first, "hello");
    say(&mut sim, late, channel, "hi");
    assert_eq!(
        heard(&mut sim, late),
        [("chat from:0".into(), "hello".into())]
    );
    assert_eq!(heard(&mut sim, 0), [("chat from:2".into(), "hi".into())]);
    // A label that is closed, and a participant that leaves, are closed on the other shard too.
    sim.clients[0].close_channel(sim.now, first);
    sim.send_up(0);
    sim.run(ms(500));
    assert_eq!(relays(&sim, late), ["from:1"]);
    sim.leave(1);
    sim.run(ms(500));
    assert_eq!(relays(&sim, late), Vec::<String>::new());
    sim.leave(late);
    sim.run(ms(500));
    assert!(sim.shards[1].calls.is_empty());
    let call = sim.shards[0].calls.iter().next().unwrap().1;
    assert!(call.shards.is_empty() && call.remote.is_empty());
}

#[test]
fn no_call_is_remembered_once_all_are_gone_in_whatever_order_shards_hear_of_it() {
    for seed in 302..322 {
        let mut sim = SimNet::with_shards(seed, 3);
        sim.link_delay = (ms(0), ms(40));
        let mut clients = Vec::new();
        for step in 0..12u64 {
            clients.push(sim.join_on((seed + step) as usize % 3));
            sim.run(ms((seed * 7 + step * 5) % 23));
            if step % 3 == 2 {
                let client = clients.remove((seed + step) as usize % clients.len());
                sim.leave(client);
            }
        }
        sim.run(ms(100));
        // Each shard knows exactly which others have peers.
        for shard in 0..3 {
            let has = |other: usize| {
                sim.shards[other]
                    .calls
                    .iter()
                    .any(|(_, c)| !c.peers.is_empty())
            };
            let Some((_, call)) = sim.shards[shard].calls.iter().next() else {
                continue;
            };
            if !call.peers.is_empty() {
                let mut known = call.shards.clone();
                known.sort_unstable();
                let others: Vec<usize> = (0..3).filter(|o| *o != shard && has(*o)).collect();
                assert_eq!(known, others, "shard {shard}");
            }
        }
        for client in clients {
            sim.leave(client);
            sim.run(ms(3));
        }
        sim.run(ms(500));
        for shard in &sim.shards {
            assert!(shard.calls.is_empty() && shard.call_by_id.is_empty());
        }
    }
}
