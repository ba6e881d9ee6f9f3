"""Jobs -> rows: those that are done already as they are, the others by an engine, each kept as soon as it ends."""

from collections import Counter
from collections.abc import Mapping, Sequence

from edge_ae_train.fleet.jobs import DONE, FAILED, Engine, FleetJob, JobRow
from edge_ae_train.fleet.ledger import Ledger
from edge_ae_train.progress import SILENT, Reporter


def run(jobs: Sequence[FleetJob], book: Ledger, engine: Engine, reporter: Reporter = SILENT) -> list[JobRow]:
    """A row for each job, in their order. BadData where what was made cannot be written."""
    rows = {job.key: row for job in jobs if (row := book.done(job)) is not None}
    left = [job for job in jobs if job.key not in rows]
    if rows and left:
        reporter.note(f"{book.folder}: {len(rows)} of {len(jobs)} are done already")
    states = Counter(row.state for row in rows.values())
    _say(states, len(jobs), engine, reporter)
    for number, (job, product, attempts) in enumerate(engine.run(left) if left else (), start=1):
        row = rows[job.key] = book.keep(job, product, attempts)
        states[row.state] += 1
        if not row.is_done:
            reporter.note(f"{job.key}: {row.reason}")
        _say(states, len(jobs), engine, reporter, number / len(left))
    table = [rows[job.key] for job in jobs]
    book.write_table(table)
    return table


def _say(states: Mapping[str, int], total: int, engine: Engine, reporter: Reporter, share: float = 0.0) -> None:
    done, failed = states[DONE], states[FAILED]
    running = min(engine.workers, total - done - failed)
    reporter.step(f"{done} of {total} done, {running} running, {failed} failed", share)
