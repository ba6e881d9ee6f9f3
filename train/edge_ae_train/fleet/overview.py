"""The ranking as a page for people and a table for programs: report.html, report.md, report.json, report.parquet."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_ae_train.fleet.jobs import JobRow
from edge_ae_train.fleet.ranking import ODD, Machine, ranked
from edge_ae_train.report.page import Block, Chapter, Grid, Hyperlink, make_folder, write

MOST_LISTED = 100  # machines in the page's first table; the files have all
PARQUET = "report.parquet"
NUMBERS = ("weeks", "alerts", "alerts_per_week", "allowed", "alert_share", "events", "events_found", "median_delay_s")


def overview(rows: Sequence[JobRow], out: Path, singles: Mapping[str, str]) -> Path:
    """Writes the page; returns the HTML file's path. `singles`: the address of each asset's own report, where there is one."""
    machines = ranked(rows)
    failed = [row for row in rows if not row.is_done]
    make_folder(out)
    facts = {
        "machines": [_facts(rank, machine, singles) for rank, machine in enumerate(machines, start=1)],
        "failed": [{"asset": row.key, "reason": row.reason} for row in failed],
    }
    page = write(out, "What needs a look", list(_chapters(machines, failed, singles)), _json(facts))
    _write_parquet(out / PARQUET, facts["machines"])
    return page


def _chapters(machines: Sequence[Machine], failed: Sequence[JobRow], singles: Mapping[str, str]) -> Iterator[Chapter]:
    yield Chapter("In short", tuple(_in_short(machines, failed)))
    yield Chapter("Machines", _ranking(machines, singles))
    odd = [one for one in machines if one.oddness is not None and abs(one.oddness.spreads) >= ODD]
    if odd:
        rows = [(one.asset, one.model, one.oddness.text) for one in odd if one.oddness is not None]
        said = "By the mean of each channel, beside the machines that have the same model, or the same channels."
        yield Chapter("Unlike its class", (said, Grid(("machine", "model", "channel"), rows)))
    if others := _other_rules(machines):
        yield Chapter("Other rules", ("Alerts of all machines together, had the rules been others.", others))
    if failed:
        yield Chapter("Not judged", (Grid(("machine", "why"), [(row.key, row.reason) for row in failed]),))


def _in_short(machines: Sequence[Machine], failed: Sequence[JobRow]) -> Iterator[Block]:
    look = [machine for machine in machines if machine.reasons]
    alerts, allowed = (sum(machine.facts[key] for machine in machines) for key in ("alerts", "allowed"))
    weeks = sum(machine.facts["weeks"] for machine in machines)
    yield (
        f"{len(machines)} machines were watched for {weeks:.3g} machine-weeks: {alerts} alerts, the budget allows {allowed:.3g}. "
        f"{len(look)} of them need a look{f', {len(failed)} could not be judged' if failed else ''}."
    )
    if look:
        yield f"Look first at {look[0].asset}: {look[0].reasons[0]}."


def _ranking(machines: Sequence[Machine], singles: Mapping[str, str]) -> tuple[Block, ...]:
    header = ("", "machine", "points", "why", "model", "alerts", "allowed", "time in alert", "events found", "delay")
    rows = [_row(rank, one, singles) for rank, one in enumerate(machines[:MOST_LISTED], start=1)]
    if len(machines) <= MOST_LISTED:
        return (Grid(header, rows),)
    return (Grid(header, rows), f"The first {MOST_LISTED} of {len(machines)}; {PARQUET} and report.json have all.")


def _row(rank: int, one: Machine, singles: Mapping[str, str]) -> tuple[str | Hyperlink, ...]:
    facts = one.facts
    name = Hyperlink(one.asset, singles[one.asset]) if one.asset in singles else one.asset
    found = f"{facts['events_found']} of {facts['events']}" if "events" in facts else "-"
    delay = facts.get("median_delay_s")
    return (
        f"{rank}",
        name,
        f"{one.points:.1f}",
        "; ".join(one.reasons) or "nothing",
        one.model,
        f"{facts['alerts']}",
        f"{facts['allowed']:.3g}",
        f"{facts['alert_share']:.1%}",
        found,
        "-" if delay is None else f"{delay:,.0f} s",
    )


def _other_rules(machines: Sequence[Machine]) -> Grid | None:
    """Totals over all machines, where backtests tried other rules."""
    sums: dict[str, list[int]] = {}
    for machine in machines:
        for one in machine.facts["what_if"]:
            total = sums.setdefault(one["rule"], [0, 0, 0])
            for place, key in enumerate(("alerts", "events_found", "false_alerts")):
                total[place] += one.get(key, 0)
    if not sums:
        return None
    labelled = any("events_found" in one for machine in machines for one in machine.facts["what_if"])
    rows = [(rule, *(f"{number}" for number in (total if labelled else total[:1]))) for rule, total in sums.items()]
    return Grid(("rule", "alerts", *(("events found", "false alerts") if labelled else ())), rows)


def _facts(rank: int, one: Machine, singles: Mapping[str, str]) -> dict[str, Any]:
    """One kind of value in each column, for Parquet takes no other."""
    numbers = {name: None if one.facts.get(name) is None else float(one.facts[name]) for name in NUMBERS}
    odd = one.oddness
    return {
        "rank": rank,
        "asset": one.asset,
        "model": one.model,
        "points": one.points,
        "why": "; ".join(one.reasons),
        "active": one.facts["active"],
        "newest": one.facts["newest"],
        **numbers,
        "odd_channel": None if odd is None else odd.channel,
        "odd_spreads": None if odd is None else odd.spreads,
        "report": singles.get(one.asset),
    }


def _json(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, indent=2).encode() + b"\n"


def _write_parquet(path: Path, machines: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([dict(one) for one in machines]), path)
