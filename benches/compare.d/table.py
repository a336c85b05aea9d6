"""From raw results to the table: medians over the rounds, and ratios of medians."""

import statistics

TARGETS = ["crosspoint", "janus", "limit"]
# A generator that needs more of its core than this may itself be what is measured.
GENERATOR_FULL = 0.9
SERVER_FULL = 0.95


def figures(result):
    """What one result says: a number for each column, or None where it says nothing."""
    run = result["report"]["runs"][0]
    server, received, loss = run.get("server"), run["received"], run["loss"]
    packets, seconds = received["packets"], run["seconds"] or 1
    latency, join = run.get("latency") or {}, run.get("join") or {}
    expected = packets + loss["lost"] - loss["repaired"]
    per_packet = (lambda value: value / packets * 1e6) if server and packets else (lambda _: None)
    core = result.get("kernelThreadSeconds")
    return {
        "cpu": per_packet(server["userSeconds"] + server["systemSeconds"]) if server else None,
        "user": per_packet(server["userSeconds"]) if server else None,
        "system": per_packet(server["systemSeconds"]) if server else None,
        "rate": packets / seconds,
        "p50": latency.get("p50"),
        "p99": latency.get("p99"),
        "loss": (expected - packets) / expected * 100 if expected else None,
        "memory": server["residentBytes"] / 1e6 if server else None,
        "join50": join.get("p50"),
        "join99": join.get("p99"),
        "core": (server["userSeconds"] + server["systemSeconds"]) / seconds if server else None,
        "generator": generator_share(run, seconds),
        "softirq": core,
        "tracks": run["tracksReceived"] / run["tracksExpected"] if run["tracksExpected"] else None,
    }


def generator_share(run, seconds):
    used = run.get("generator")
    return (used["userSeconds"] + used["systemSeconds"]) / seconds if used else None


def medians(results):
    """The median of each column; None where no round has a number."""
    columns = [figures(result) for result in results]
    found = {}
    for name in columns[0]:
        values = [column[name] for column in columns if column[name] is not None]
        found[name] = statistics.median(values) if values else None
        found[f"{name}Range"] = (min(values), max(values)) if values else None
    return found


def collect(results):
    """{profile: {target: medians}}, both in the order they came."""
    by_profile = {}
    for result in results:
        by_profile.setdefault(result["profile"], {}).setdefault(result["target"], []).append(result)
    return {profile: {target: medians(rounds) for target, rounds in by_target.items()}
            for profile, by_target in by_profile.items()}


def number(value, digits=1):
    return "–" if value is None else f"{value:.{digits}f}"


def spread(value, limits, digits):
    if value is None:
        return "–"
    if not limits or limits[0] == limits[1]:
        return number(value, digits)
    return f"{number(value, digits)} ({number(limits[0], digits)}–{number(limits[1], digits)})"


def ratio(one, other):
    return "–" if not one or not other else f"{one / other:.2f}"


def markdown(results, words):
    """The table; `words` gives a profile's name for people."""
    lines = [
        "| load | server | CPU, µs/packet | user | sys | × limit | × Janus | packets/s | latency p50 | p99 | lost "
        "| memory | join p50 | p99 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    notes = []
    for profile, by_target in collect(results).items():
        limit = by_target.get("limit", {}).get("cpu")
        janus = by_target.get("janus", {}).get("cpu")
        for target in sorted(by_target, key=TARGETS.index):
            row = by_target[target]
            cells = [
                words(profile), target, spread(row["cpu"], row["cpuRange"], 2),
                number(row["user"], 2), number(row["system"], 2),
                ratio(row["cpu"], limit) if target != "limit" else "",
                ratio(row["cpu"], janus) if target != "janus" else "",
                number(row["rate"], 0), f"{number(row['p50'], 2)} ms", f"{number(row['p99'], 2)} ms",
                f"{number(row['loss'], 3)} %", f"{number(row['memory'], 0)} MB",
            ]
            joins = target != "limit"
            cells += [f"{number(row['join50'], 0)} ms", f"{number(row['join99'], 0)} ms"] if joins else ["", ""]
            lines.append("| " + " | ".join(cells) + " |")
            notes += warnings(words(profile), target, row)
    return "\n".join(lines), notes


def summary(results, words):
    """One line for each load: what Crosspoint needs, beside the others."""
    lines = ["| load | Crosspoint | Janus | limit | × Janus | × limit | p99 | Janus's p99 | memory | Janus's |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for profile, by_target in collect(results).items():
        rows = [by_target.get(target, {}) for target in TARGETS]
        ours, janus, limit = (row.get("cpu") for row in rows)
        cells = [words(profile), *(number(value, 2) for value in (ours, janus, limit)),
                 ratio(ours, janus), ratio(ours, limit)]
        cells += [f"{number(row.get('p99'), 1)} ms" for row in rows[:2]]
        cells += [f"{number(row.get('memory'), 0)} MB" for row in rows[:2]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def warnings(load, target, row):
    """What a reader of this row must know."""
    found = []
    if row["generator"] and row["generator"] > GENERATOR_FULL:
        found.append(f"{load}, {target}: the generator used {row['generator']:.0%} of its core, so latency and loss "
                     "may be its own.")
    if row["core"] and row["core"] > SERVER_FULL:
        found.append(f"{load}, {target}: the server used {row['core']:.0%} of its core: it was full.")
    if row["tracks"] is not None and row["tracks"] < 1:
        found.append(f"{load}, {target}: {row['tracks']:.0%} of the tracks that should have come did come.")
    return found
