//! What is handed out to run it with, in `deploy/`: whether it speaks of the server that there is.

use std::collections::BTreeSet;
use std::path::Path;

use crosspoint::config::Options;
use serde_json::Value;

use crate::support::server::run;
use crate::support::{Client, Server, Setup};

/// Options of other programs that `deploy/` names.
const OF_OTHERS: [&str; 23] = [
    "--bin",
    "--chown",
    "--detach",
    "--env-file",
    "--from",
    "--group-add",
    "--home-dir",
    "--locked",
    "--mount",
    "--name",
    "--network",
    "--no-install-recommends",
    "--now",
    "--profile",
    "--proto",
    "--publish",
    "--release",
    "--restart",
    "--shell",
    "--stop-timeout",
    "--system",
    "--volume",
    "--yes",
];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words of a text that begin so, up to what no name has.
fn words<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(start).filter_map(move |(at, _)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|before| before.is_ascii_alphanumeric() || "-_".contains(before)) {
            return None;
        }
        let rest = &text[at..];
        let is_part =
            |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        let end = rest
            .find(|character| !is_part(character))
            .unwrap_or(rest.len());
        let is_name = rest[start.len()..].starts_with(|first: char| first.is_ascii_alphabetic());
        is_name.then(|| &rest[..end])
    })
}

#[tokio::test]
async fn what_deploy_says_of_options_is_so() {
    let mut known = String::new();
    for args in [&["--help"][..], &["token", "--help"], &["doctor", "--help"]] {
        known += &String::from_utf8_lossy(&run(args).await.stdout);
    }
    let options: BTreeSet<&str> = words(&known, "--").collect();
    let variables: BTreeSet<&str> = words(&known, "CROSSPOINT_").collect();
    assert!(options.contains("--announce") && variables.contains("CROSSPOINT_LISTEN"));
    for name in ["README.md", "Dockerfile", "crosspoint.service"] {
        let text = read(name);
        for option in words(&text, "--") {
            assert!(
                options.contains(option) || OF_OTHERS.contains(&option),
                "{name} speaks of {option}, which there is not"
            );
        }
        for variable in words(&text, "CROSSPOINT_") {
            assert!(
                variables.contains(variable),
                "{name} speaks of {variable}, which there is not"
            );
        }
    }
}

#[test]
fn the_options_file_of_the_notes_is_one() {
    let text = read("README.md");
    let start = "cat > /etc/crosspoint/crosspoint.toml <<'END'\n";
    let (_, rest) = text.split_once(start).expect("an options file");
    let (file, _) = rest.split_once("    END\n").expect("its end");
    // What is commented out must be right as well.
    let whole: String = file
        .lines()
        .map(str::trim_start)
        .map(|line| match line.strip_prefix("# ") {
            Some(option) if option.contains(" = ") => format!("{option}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let options: Options = toml::from_str(&whole).expect("options");
    assert!(options.acme_domain.is_some() && options.announce.is_some());
    options.resolve().expect("values that are allowed");
}

/// Every metric that the expressions of the dashboard name.
fn metrics_of(dashboard: &Value) -> BTreeSet<String> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions = targets.map(|target| target["expr"].as_str().expect("an expression"));
    let variables = dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
        .iter();
    let queries = variables.filter_map(|variable| variable["definition"].as_str());
    let named = |expression: &str| {
        let names = words(expression, "crosspoint_").chain(words(expression, "process_"));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    expressions.chain(queries).flat_map(named).collect()
}

#[tokio::test]
async fn every_metric_of_the_dashboard_is_there_and_named_as_prometheus_has_it() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    alice.signaling.send(serde_json::json!({"type": "mute"}));
    alice.signaling.expect("error").await;
    let page = server.get("/metrics").await;
    let declared = |kind: &str| -> BTreeSet<String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let ends = format!(" {kind}");
        lines
            .filter_map(|line| Some(line.strip_suffix(&ends)?.to_owned()))
            .collect()
    };
    let (counters, gauges) = (declared("counter"), declared("gauge"));
    let dashboard: Value = serde_json::from_str(&read("grafana/crosspoint.json")).expect("JSON");
    let shown = metrics_of(&dashboard);
    assert!(shown.len() > 25, "{shown:?}");
    for name in &shown {
        assert!(counters.contains(name) || gauges.contains(name), "{name}");
    }
    assert!(
        counters.iter().all(|name| name.ends_with("_total")),
        "{counters:?}"
    );
    assert!(
        gauges.iter().all(|name| !name.ends_with("_total")),
        "{gauges:?}"
    );
    for sample in [
        "crosspoint_rooms 1",
        "crosspoint_participants 1",
        "crosspoint_calls{kind=\"room\"} 1",
        "crosspoint_joins_total{kind=\"room\"} 1",
        "crosspoint_tracks 2",
        "crosspoint_refusals_total{code=\"bad-message\"} 1",
        "crosspoint_ready 1",
    ] {
        assert!(page.lines().any(|line| line == sample), "{sample}\n{page}");
    }
}
