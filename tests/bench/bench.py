"""`make bench`: speed, latency, memory and wear of the daemon, side by side with what bounds them, in one table.

    python -m tests.bench.bench [--messages 1000000] [--rounds 3]

Everything is real: mosquitto, `edge-ae run`, a model trained for the occasion, files on a disk. What is compared takes
turns, and medians are shown, for no machine is ever quite alone. A measurement in which a message is lost fails.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

from tests.bench import (
    device_fit,
    discovery,
    flat,
    footprint,
    latency,
    live_page,
    long_fit,
    recorder,
    rows,
    scale,
    scrape,
)
from tests.bench.parts import ROOT, mosquitto
from tests.bench.plant import CHANNELS, Plant, plant
from tests.bench.throughput import Scene, Speed, bare, daemon
from tests.conftest import MOSQUITTO

LINK_AIMS = {0: 0.75, 1: 0.8}  # of a bare subscriber's messages a second, by QoS
LIBRARIES = ("numpy", "onnxruntime", "paho-mqtt", "orjson")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    rounds: int = 3
    flood: int = 20_000  # messages of one flood
    memory: int = 100_000  # messages
    day_rows: int = 300  # of each asset, in the measurement of latency
    light_s: float = 365.0  # two checkpoints among them, and an alert as a rule
    rows: int = 100_000  # of a recording
    long_rows: int = 1_000_000  # of one that is trained on
    device_rows: int = device_fit.DAY_ROWS  # of one that a device trains on
    page_s: float = 30.0  # with a browser before the live page
    house: tuple[int, int, float] = (
        1000,
        190,
        1.0,
    )  # assets, rows of each, rows a second: three checkpoints among them


@dataclass(frozen=True)
class Figure:
    """A line of the table; `holds` None: nothing is asked of it."""

    what: str
    measured: str
    beside: str = ""
    aim: str = ""
    holds: bool | None = None


# -- what is measured ------------------------------------------------------------------------------------------


def throughput(scene: Scene, sizes: Sizes, say: Say) -> Iterator[Figure]:
    """A B A B: each round runs everything once."""
    runs: dict[str, Callable[[str], Speed]] = {
        "bare, QoS 0": lambda name: bare(scene, name, 0, sizes.flood),
        "daemon, QoS 0": lambda name: daemon(scene, name, 0, sizes.flood),
        "bare, QoS 1": lambda name: bare(scene, name, 1, sizes.flood),
        "daemon, QoS 1": lambda name: daemon(scene, name, 1, sizes.flood),
        "not durable": lambda name: daemon(scene, name, 1, sizes.flood, checkpoint_s=0.0),
    }
    found: dict[str, list[Speed]] = {what: [] for what in runs}
    for turn in range(sizes.rounds):
        for number, (what, run) in enumerate(runs.items()):
            say(f"{what}, round {turn + 1} of {sizes.rounds}")
            found[what].append(run(f"run-{turn}-{number}"))
    for qos in (0, 1):
        ours, theirs = found[f"daemon, QoS {qos}"], found[f"bare, QoS {qos}"]
        yield compared(f"messages/s, QoS {qos}, each scored", ours, theirs, "bare paho subscriber", LINK_AIMS[qos])
        yield Figure("  processor time a message", _cpu(ours), f"{_cpu(theirs)} bare paho subscriber")
    yield compared("messages/s, QoS 1, durable", found["daemon, QoS 1"], found["not durable"], "not durable", 0.8)


def compared(what: str, ours: Sequence[Speed], theirs: Sequence[Speed], name: str, aim: float) -> Figure:
    """The ratio is the median of those of the rounds."""
    ratio = median(a.per_s / b.per_s for a, b in zip(ours, theirs, strict=True))
    measured, beside = (f"{median(run.per_s for run in runs):,.0f}" for runs in (ours, theirs))
    return Figure(what, measured, f"{ratio:.2f} of {beside} {name}", f">= {aim}", ratio >= aim)


def _cpu(runs: Sequence[Speed]) -> str:
    return f"{median(run.cpu_us for run in runs):.0f} us"


def reaction(scene: Scene, sizes: Sizes, say: Say) -> Iterator[Figure]:
    say("arrival to alert")
    ms = latency.arrival_to_alert(scene, "reaction", sizes.day_rows)
    p50, p99 = np.percentile(ms, (50, 99))
    what = f"arrival to alert at {latency.RATE:,} messages/s"
    yield Figure(f"{what}, p50", f"{p50:.1f} ms", f"{len(ms)} alerts of {latency.ASSETS} assets")
    yield Figure(f"{what}, p99", f"{p99:.1f} ms", "", "<= 6 ms", bool(p99 <= 6))


def footprints(scene: Scene, wide: Scene, sizes: Sizes, say: Say) -> Iterator[Figure]:
    say("start")
    start_s = median(footprint.start_s(scene, f"start-{turn}") for turn in range(sizes.rounds))
    yield Figure("start to online", f"{start_s:.2f} s", "", "<= 0.35 s", start_s <= 0.35)
    say(f"memory, {sizes.memory:,} messages")
    memory = footprint.memory(scene, "memory", sizes.memory)
    most = max(memory.rss)
    yield Figure(f"resident memory, {footprint.ASSETS} assets", f"{most:.0f} MB", "", "<= 80 MB", most <= 80)
    growth = f"{memory.growth:+.2f} MB"
    yield Figure(f"  growth, {sizes.memory:,} messages", growth, "from the first tenth to the last", "none")
    one = max(footprint.memory(scene, "memory-1", sizes.memory // footprint.ASSETS, assets=1).rss)
    yield Figure("  one asset", f"{one:.0f} MB", "", "<= 70 MB", one <= 70)
    installed = footprint.installed_mb()
    beside = "files of the package and of the libraries that it needs"
    yield Figure("installed", f"{installed:.0f} MB", beside, "<= 180 MB", installed <= 180)
    say(f"a plant room for {sizes.light_s:.0f} s")
    light = footprint.light(wide, "light", sizes.light_s)
    what = f"{len(wide.plant.names)} channels at {footprint.LIGHT_RATE} Hz"
    cpu, disk = light.cpu_percent, light.disk_mb_a_day
    yield Figure(f"{what}: processor", f"{cpu:.1f} %", "of one core", "<= 1 %", cpu <= 1)
    beside = f"extrapolated from {sizes.light_s:.0f} s"
    yield Figure(f"{what}: written to disk", f"{disk:.1f} MB/day", beside, "<= 25 MB/day", disk <= 25)


def full_house(scene: Scene, sizes: Sizes, say: Say) -> Iterator[Figure]:
    assets, rows, hz = sizes.house
    say(f"{assets:,} assets for {rows / hz:.0f} s")
    found = scale.house(scene, "house", assets, rows, hz)
    yield Figure(
        f"{assets:,} assets x {len(scene.plant.names)} channels at {hz:g} Hz: processor",
        f"{found.light.cpu_percent:.0f} %",
        "of one core",
    )
    yield Figure("  resident memory", f"{found.rss_mb:.0f} MB")
    yield Figure("  written to disk", f"{found.light.disk_mb_a_day / 1000:.1f} GB/day", "with an alert every second")
    p50, p99 = np.percentile(found.ms, (50, 99))
    yield Figure("  arrival to alert, p50 and p99", f"{p50:.1f} ms, {p99:.1f} ms", f"{len(found.ms)} alerts")


def bridges(scene: Scene, say: Say) -> Iterator[Figure]:
    say("discovery")
    ms = discovery.announced_ms(scene, "discovery")
    yield Figure(
        f"discovery by Home Assistant, {discovery.ASSETS} assets", f"{ms:.0f} ms", "", "<= 1,000 ms", ms <= 1000
    )
    say("a scrape")
    ours, empty = scrape.page_ms(scene, "scrape"), scrape.empty_ms()
    beside = f"{empty:.1f} ms an empty registry"
    yield Figure(f"scrape of the metrics, {scrape.ASSETS} assets", f"{ours:.1f} ms", beside, "<= 10 ms", ours <= 10)


def page(scene: Scene, sizes: Sizes, say: Say) -> Iterator[Figure]:
    say("the live page")
    what = f"live page, {live_page.ASSETS} assets, one browser"
    if not live_page.can_be_measured():
        yield Figure(f"{what}: memory", "not measured", "apt install chromium chromium-driver")
        return
    cost = live_page.cost(scene, "page", sizes.page_s)
    yield Figure(f"{what}: memory", f"{cost.rss_mb:.0f} MB", "", "<= 120 MB", cost.rss_mb <= 120)
    yield Figure(
        "  first paint", f"{cost.paint_ms:.0f} ms", "in headless Chromium here", "<= 1,000 ms", cost.paint_ms <= 1000
    )
    yield Figure(
        "  processor, a score a second each",
        f"{cost.cpu_percent:.1f} %",
        "of one core",
        "<= 5 %",
        cost.cpu_percent <= 5,
    )


def offline(scene: Scene, sizes: Sizes, say: Say) -> Iterator[Figure]:
    file = rows.write(scene.plant, sizes.rows, scene.folder / "recording.csv")
    cores = os.cpu_count() or 1
    taken: dict[str, list[float]] = {"score": [], "several": [], "trees": [], "numpy": []}
    for turn in range(sizes.rounds):
        say(f"rows of a recording, round {turn + 1} of {sizes.rounds}")
        taken["score"].append(rows.score(scene.plant, file))
        taken["several"].append(rows.score_several(scene.plant, file, cores))
        for name in ("trees", "numpy"):
            taken[name].append(rows.beside(name, file))
    ours, each, trees, read = (sizes.rows / median(seconds) for seconds in taken.values())
    what, beside = f"rows/s of edge-ae score, {CHANNELS} channels", f"{trees:,.0f} river half-space trees"
    yield Figure(what, f"{ours:,.0f}", beside, ">= 40,000", ours >= 40_000)
    yield Figure("", "", f"{read:,.0f} numpy.loadtxt alone")
    yield Figure(f"  of {cores} recordings at a time", f"{cores * each:,.0f}", f"{cores * each / ours:.2f} of one")


def by_assets(scene: Scene, sizes: Sizes, say: Say) -> Iterator[Figure]:
    say("a row, with one asset and with many")
    few, many = (flat.row_us(scene.plant, assets, sizes.rows) for assets in (flat.FEW, flat.MANY))
    what = f"processor time of a row, {flat.MANY:,} assets"
    yield Figure(what, f"{many:.0f} us", f"{many / few:.2f} of {few:.0f} us with one", "<= 1.2", many <= 1.2 * few)


def recording(folder: Path, say: Say) -> Iterator[Figure]:
    say("recording")
    cost = recorder.cost(folder / "recorded")
    what = f"recording {recorder.CHANNELS} channels at 1 Hz"
    yield Figure(f"{what}: {recorder.DAYS} days", f"{cost.mb:.0f} MB", "", "<= 200 MB", cost.mb <= 200)
    beside = f"{cost.written_mb:.1f} MB/day in {cost.appends} appends"
    yield Figure("  processor", f"{cost.cpu_percent:.4f} %", beside, "<= 1 %", cost.cpu_percent <= 1)


def by_windows(short: Plant, long: Plant, sizes: Sizes, say: Say) -> Iterator[Figure]:
    say("a row, in short windows and in long ones")
    low, high = (flat.row_us(one, flat.FEW, sizes.rows) for one in (short, long))
    what = f"processor time of a row, windows of {flat.LONG} rows"
    yield Figure(
        what, f"{high:.0f} us", f"{high / low:.2f} of {low:.0f} us with {flat.SHORT}", "<= 1.2", high <= 1.2 * low
    )


def training(sizes: Sizes, say: Say) -> Iterator[Figure]:
    say(f"training on {sizes.long_rows:,} rows")
    cost = long_fit.fit(sizes.long_rows)
    what = f"rows/s of a linear fit to {sizes.long_rows:,} rows, {long_fit.CHANNELS} channels"
    yield Figure(what, f"{cost.per_s:,.0f}", "without reading them")
    yield Figure("  peak memory", f"{cost.peak_mb:.0f} MB", "", "<= 1,200 MB", cost.peak_mb <= 1200)


def training_on_a_device(folder: Path, sizes: Sizes, say: Say) -> Iterator[Figure]:
    say(f"training on a device, {sizes.device_rows:,} rows of {device_fit.CHANNELS} channels")
    cost = device_fit.fit_a_day(folder, sizes.device_rows)
    what = f"a linear fit to {sizes.device_rows:,} rows of {device_fit.CHANNELS} channels, without torch"
    yield Figure(what, f"{cost.core_s:.1f} s of a core", "reading among it", "<= 300 s", cost.core_s <= 300)
    yield Figure("  peak memory", f"{cost.peak_mb:.0f} MB", "", "<= 300 MB", cost.peak_mb <= 300)


# -- all of it -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plants:
    """`narrow`: a pump, `wide`: two of them as one asset; `short` and `long`: a pump in windows of SHORT and of LONG rows."""

    narrow: Plant
    wide: Plant
    short: Plant
    long: Plant


def figures(folder: Path, watched: Plants, sizes: Sizes, say: Say) -> list[Figure]:
    with mosquitto(folder) as port:
        scene = Scene(folder, port, watched.narrow)
        found = [*throughput(scene, sizes, say), *reaction(scene, sizes, say)]
        found += footprints(scene, replace(scene, plant=watched.wide), sizes, say)
        found += full_house(scene, sizes, say)
        found += [*bridges(scene, say), *page(scene, sizes, say)]
        return [
            *found,
            *offline(scene, sizes, say),
            *by_assets(scene, sizes, say),
            *by_windows(watched.short, watched.long, sizes, say),
            *recording(folder, say),
            *training(sizes, say),
            *training_on_a_device(folder, sizes, say),
        ]


def plants(folder: Path) -> Plants:
    """Each trained on a core of its own."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = [
            pool.submit(plant, folder, "pump", 1),
            pool.submit(plant, folder, "pumps", 2),
            pool.submit(plant, folder, "short", 1, flat.FAMILY, flat.SHORT),
            pool.submit(plant, folder, "long", 1, flat.FAMILY, flat.LONG),
        ]
        return Plants(*(one.result() for one in made))


def machine() -> str:
    """What the figures depend on."""
    cpu = next(iter(_facts("/proc/cpuinfo", ("model name", "Model"))), platform.machine())
    load = " ".join(f"{average:.1f}" for average in os.getloadavg())
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{os.cpu_count()} cores of {cpu}; Linux {platform.release()}; load {load}\n"
        f"Python {platform.python_version()}, {libraries}"
    )


def _facts(path: str, names: Sequence[str]) -> Iterator[str]:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in names:
            yield value.strip()


def table(found: Sequence[Figure]) -> str:
    cells = [("", "measured", "beside", "aim", "")]
    cells += [(f.what, f.measured, f.beside, f.aim, {None: "", True: "yes", False: "NO"}[f.holds]) for f in found]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        f"  {what:<{widths[0]}}  {measured:>{widths[1]}}  {beside:<{widths[2]}}  {aim:<{widths[3]}}  {holds}".rstrip()
        for what, measured, beside, aim, holds in cells
    )


def show_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=Sizes.memory, help="for the growth of memory (%(default)s)")
    parser.add_argument("--rounds", type=int, default=Sizes.rounds, help="of what is compared (%(default)s)")
    options = parser.parse_args()
    if MOSQUITTO is None:
        print("bench: mosquitto is not installed; apt install mosquitto", file=sys.stderr)
        return 1
    base = ROOT / "out"  # on a disk: where /tmp is memory, nothing would be written
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base, prefix="bench-") as folder:
        show_progress("training")
        watched = plants(Path(folder))
        print(machine())
        sizes = Sizes(rounds=options.rounds, memory=options.messages)
        found = figures(Path(folder), watched, sizes, show_progress)
    show_progress("")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
