"""`edge-ae score`: recordings through the daemon's own pipeline; of several, each in a process of its own."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from edge_ae.cli.options import alert_rules, count, data_options, read_options, rules_options, spare, stem
from edge_ae.cli.progress import progress, progress_line
from edge_ae.cli.workers import each
from edge_ae.errors import BadConfig, BadData

WHAT = "score recordings with the daemon's own pipeline"
EXAMPLE = "edge-ae score --model pump.onnx --data week.csv --out scores.csv"


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="ONNX", help="the model file")
    data_options(parser, several=True)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="CSV",
        help="one line for each line of the recording; with several recordings, this and what follows are folders",
    )
    parser.add_argument("--explain", action="store_true", help="add score_<channel> columns")
    parser.add_argument("--events", type=Path, metavar="JSONL", help="write the alerts too, one JSON object a line")
    parser.add_argument("--reconstruction", type=Path, metavar="CSV", help="write what the model expected, too")
    rules_options(parser)
    parser.add_argument(
        "--node", default="offline", help="the node in the alerts, part of their ids (default: %(default)s)"
    )
    parser.add_argument(
        "--asset", help="the asset to score, in the alerts part of their ids (default: the recording's name)"
    )
    parser.add_argument("--workers", type=count, metavar="N", help="recordings at a time (default: one a core)")


@dataclass(frozen=True, slots=True)
class _ScoreJob:
    """A recording, and where what becomes of it goes."""

    options: Namespace
    data: Path
    scores: Path
    events: Path | None
    reconstruction: Path | None


Say = Callable[[str], None]
Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def execute(options: Namespace) -> int:
    jobs = _jobs(options)
    outputs = (path for job in jobs for path in (job.scores, job.events, job.reconstruction))
    spare((options.model, *options.data), outputs)
    if len(jobs) > 1:
        return 0 if _score_all(jobs, options.workers) else 1
    return 0 if _score(jobs[0], lambda text: print(text, file=sys.stderr), progress) else 1


def _jobs(options: Namespace) -> list[_ScoreJob]:
    """Raises BadConfig where a folder is asked for that cannot be made."""
    scores, events, reconstruction = folders = options.out, options.events, options.reconstruction
    if len(options.data) == 1:
        return [_ScoreJob(options, options.data[0], *folders)]
    for folder in folders:
        if folder is not None:
            _make(folder)
    return [
        _ScoreJob(
            options,
            file,
            scores / f"{name}.csv",
            _inside(events, f"{name}.jsonl"),
            _inside(reconstruction, f"{name}.csv"),
        )
        for file, name in zip(options.data, map(stem, options.data), strict=True)
    ]


def _inside(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / name


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfig(
            f"{folder}: there are several recordings, and this is no folder that can be written to ({error.strerror})"
        ) from None


def _score_all(jobs: Sequence[_ScoreJob], workers: int | None) -> bool:
    """Whether each of them has scores."""

    scored = True
    with progress_line() as line:
        for done, (said, has_scores) in enumerate(each(_score_alone, jobs, workers), start=1):
            line.at(f"{done} of {len(jobs)} recordings", done / len(jobs))
            for text in said:
                line.note(text)
            scored = scored and has_scores
    return scored


def _score_alone(job: _ScoreJob) -> tuple[list[str], bool]:
    """What is to be said of a recording, and whether it has scores; one that cannot be used keeps no other from being scored."""
    said: list[str] = []
    try:
        return said, _score(job, said.append, lambda _unit: nullcontext(lambda _done, _all: None))
    except BadData as error:
        return [*said, str(error)], False


def _score(job: _ScoreJob, say: Say, progress: Progress) -> bool:
    """Whether any line has a score."""
    from edge_ae.core.detector import Watch
    from edge_ae.model.onnx_model import OnnxModel
    from edge_ae.offline import Outputs, score_table, write_outputs
    from edge_ae.store.recording.table import BACKWARDS, newest_first, one_asset, take
    from edge_ae.store.recordings import read_recording

    options = job.options
    outputs = Outputs(job.scores, options.explain, job.events, job.reconstruction)
    model, rules = OnnxModel.load(options.model), alert_rules(options)
    with progress("bytes") as draw:
        table = one_asset(read_recording(job.data, read_options(options), draw), options.asset)
    for note in table.notes:
        say(note)
    is_turned = newest_first(table)
    with progress("lines") as draw:
        result = score_table(
            take(table, BACKWARDS) if is_turned else table,
            model,
            Watch(model, rules),
            node=options.node,
            asset=options.asset or stem(job.data),
            explained=outputs.explained,
            progress=draw,
        )
    result = result.turned() if is_turned else result
    write_outputs(outputs, table, result, model.spec)
    if text := result.unused(job.data):
        say(text)
    return result.scored > 0
