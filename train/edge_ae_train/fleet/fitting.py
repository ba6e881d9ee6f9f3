"""A job that trains: the recordings of an asset, or of the assets of a class, in; a model file out.

The same inputs and options give the same bytes, whatever ran the job and when: a model's time is that of its newest line.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from time import monotonic

import numpy as np

from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.errors import BadData
from edge_ae.store.recording.table import Table, take
from edge_ae_train import fit
from edge_ae_train.data.clean import in_order
from edge_ae_train.data.loading import reordered
from edge_ae_train.data.period import sample_period_ns
from edge_ae_train.data.prepare import recording_of
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Origin, save
from edge_ae_train.fleet.jobs import FleetJob, Product, file_name
from edge_ae_train.fleet.sources import AssetSource
from edge_ae_train.fleet.work import FitOptions

MOST_CLASS_LINES = 400_000  # that a class's model is trained on, all its assets together
MOST_CLASS_ASSETS = 400  # that it is trained on, spread over their names; of more, the others are read, too
CLASS_RUNS = 8  # an asset's share of the lines comes from so many parts of its time,
LEAST_RUN = 1000  # or from fewer, for a run of lines holds some windows at least
TIME_SLICES = 10  # a class's rows are put in order of time by so many slices: none is held out of one asset alone


@dataclass(frozen=True, slots=True)
class ReadAsset:
    """An asset's lines in time, and what two assets of a class must have in common."""

    asset: str
    table: Table
    period_ns: int

    @property
    def channels(self) -> frozenset[str]:
        return frozenset(self.table.names)


def fit_job(job: FleetJob) -> Product:
    """The model file of the job's key, and what it was made from."""
    began_s, options = monotonic(), job.options
    read, left_out = _read(job.sources, options)
    members, others = alike(read)
    left_out |= others
    if not members:
        raise BadData("; ".join(dict.fromkeys(left_out.values())))
    teachers = [one for one in members if len(one.table) > 0] or members
    recording, fitted = trained([one.table for one in teachers], options)
    origin = _origin(job.key, recording, teachers, dict(options.units))
    with TemporaryDirectory() as scratch:
        model = save(fitted, recording, origin, Path(scratch, "model.onnx"))
        data = Path(scratch, "model.onnx").read_bytes()
    name = f"{file_name(job.key)}.onnx"
    facts = {
        "model": name,
        "family": model.spec.family,
        "channels": len(model.spec.channels),
        "period_s": model.spec.period_ns / SECOND,
        "length": model.spec.length,
        "rows": fitted.report["rows"],
        "found": fitted.report["candidates"][model.spec.family]["found"]["all"],
        "newest": origin.trained_at,
        "assets": [one.asset for one in members],
        "left_out": left_out,
        "notes": list(recording.notes),
        "took_s": round(monotonic() - began_s, 1),
        "peak_mb": getrusage(RUSAGE_SELF).ru_maxrss // 1024,
    }
    return Product(facts, {name: data})


def trained(tables: Sequence[Table], options: FitOptions) -> tuple[Recording, fit.Fitted]:
    """What the assets' lines are, their rows in order of time, and what was fitted to them. BadData where they are too few."""
    recording = recording_of([reordered(one, tables[0]) for one in tables], options.rows, options.columns.label)
    if len(tables) > 1:
        recording = replace(recording, segments=tuple(in_time(recording.segments)))
    chosen = fit.Options(
        family=options.family,
        length=options.rows.length,
        hop=options.hop,
        seed=options.seed,
        channels=recording.channels,
        thorough=options.thorough,
        alone=options.alone,
        period_ns=recording.period_ns,
        zone=options.columns.time_zone,
    )
    return recording, fit.fit(recording.segments, chosen)


def _read(sources: Sequence[AssetSource], options: FitOptions) -> tuple[list[ReadAsset], dict[str, str]]:
    """The assets that can be read, one after the other and each no longer than its share; and why the others cannot.

    Of a single asset the fault is the job's."""
    read, faults = [], {}
    for place, source in enumerate(sources):
        try:
            table = first_part(in_order(source.table(options.columns)), options.until)
            period_ns = sample_period_ns([table])
        except BadData as fault:
            if len(sources) == 1:
                raise
            faults[source.asset] = source.named(str(fault))
            continue
        if len(sources) > 1:
            table = spread(table, share_of(place, len(sources)), place / len(sources))
        read.append(ReadAsset(source.asset, table, period_ns))
    return read, faults


def share_of(place: int, assets: int) -> int:
    """The lines that the asset at that place of a class gives to its model."""
    every = math.ceil(assets / MOST_CLASS_ASSETS)
    return MOST_CLASS_LINES // math.ceil(assets / every) if place % every == 0 else 0


def alike(read: Sequence[ReadAsset]) -> tuple[list[ReadAsset], dict[str, str]]:
    """The assets with the channels and the period that most have, and of each other what it has in their place."""
    if not read:
        return [], {}
    channels, period_ns = Counter((one.channels, one.period_ns) for one in read).most_common(1)[0][0]
    faults = {}
    for one in read:
        lacking, more = sorted(channels - one.channels), sorted(one.channels - channels)
        said = [f"lacks {', '.join(lacking)}"] if lacking else []
        said += [f"has {', '.join(more)} besides"] if more else []
        if not said and one.period_ns != period_ns:
            said = [f"comes every {one.period_ns / SECOND:g} s, the others every {period_ns / SECOND:g} s"]
        if said:
            faults[one.asset] = f"is unlike its class: {' and '.join(said)}; give it a class of its own"
    return [one for one in read if one.asset not in faults], faults


def first_part(table: Table, until: float) -> Table:
    """Its lines, but those behind that part of them."""
    return table if until >= 1.0 else take(table, slice(0, int(until * len(table))))


def spread(table: Table, most: int, at: float = 0.0) -> Table:
    """At most so many lines: runs of lines that follow one another, spread over all. A single run lies `at` that part of them."""
    if len(table) <= most:
        return table
    count = min(max(most // LEAST_RUN, 1), CLASS_RUNS)
    run = most // count
    places = np.linspace(0.0, 1.0, count) if count > 1 else np.array([at])
    firsts = (places * (len(table) - run)).astype(np.int64)
    lines = np.unique(np.concatenate([np.arange(first, first + run) for first in firsts]))
    return take(table, lines)


def in_time(segments: Sequence[Segment]) -> list[Segment]:
    """The rows of several assets in order of time, slice by slice: what is trained on lies before what is held out."""
    first = min(one.start_slot for one in segments)
    end = max(one.start_slot + len(one) for one in segments)
    edges = np.linspace(first, end, TIME_SLICES + 1).astype(np.int64).tolist()
    parts = [one.part(low - one.start_slot, high - one.start_slot) for low, high in pairwise(edges) for one in segments]
    return [part for part in parts if len(part) > 0]


def _origin(key: str, recording: Recording, members: Sequence[ReadAsset], units: Mapping[str, str]) -> Origin:
    newest = max(int(one.table.t_ns[-1]) for one in members)
    return Origin(key, rfc3339(newest), digest_of(one.table for one in members), {**recording.units, **units})


def digest_of(tables: Iterable[Table]) -> str:
    """Of times, names and values: the same wherever the recordings lie, and in whatever format."""
    total = hashlib.sha256()
    for table in tables:
        total.update(repr(table.names).encode())
        total.update(np.ascontiguousarray(table.t_ns).tobytes())
        total.update(np.ascontiguousarray(table.values).tobytes())
    return total.hexdigest()
