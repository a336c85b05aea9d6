//! The lines that the program is told, and what it answers.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::settings::Settings;
use crate::wire::Wire;

/// The wires by name.
pub(crate) type Wires = BTreeMap<String, Wire>;

#[derive(Deserialize)]
#[serde(untagged)]
enum Order {
    Open {
        open: String,
        server: String,
        client: String,
    },
    Set {
        wire: String,
        down: Option<Settings>,
        up: Option<Settings>,
    },
    Stats {
        stats: String,
    },
}

/// Carries out one line, and says what came of it.
pub(crate) fn carry_out(wires: &mut Wires, line: &str) -> Value {
    let order = serde_json::from_str(line).map_err(|error| error.to_string());
    let answer = order.and_then(|order| match order {
        Order::Open {
            open,
            server,
            client,
        } => self::open(wires, open, &server, &client),
        Order::Set { wire, down, up } => set(wires, &wire, down.as_ref(), up.as_ref()),
        Order::Stats { stats } => self::stats(wires, &stats),
    });
    answer.unwrap_or_else(|error| json!({ "error": error }))
}

fn open(wires: &mut Wires, name: String, server: &str, client: &str) -> Result<Value, String> {
    let wire = Wire::open(server, client).map_err(|error| format!("wire {name}: {error}"))?;
    let answer = json!({ "opened": name });
    wires.insert(name, wire);
    Ok(answer)
}

fn set(
    wires: &mut Wires,
    name: &str,
    down: Option<&Settings>,
    up: Option<&Settings>,
) -> Result<Value, String> {
    let wire = find(wires, name)?;
    for (settings, way) in [(down, &mut wire.down), (up, &mut wire.up)] {
        if let Some(settings) = settings {
            way.set(settings)?;
        }
    }
    Ok(json!({ "wire": name }))
}

fn stats(wires: &mut Wires, name: &str) -> Result<Value, String> {
    let wire = find(wires, name)?;
    let now = Instant::now();
    Ok(json!({ "stats": name, "down": wire.down.counters(now), "up": wire.up.counters(now) }))
}

fn find<'a>(wires: &'a mut Wires, name: &str) -> Result<&'a mut Wire, String> {
    wires
        .get_mut(name)
        .ok_or_else(|| format!("there is no wire {name}"))
}
