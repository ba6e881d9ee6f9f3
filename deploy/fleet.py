"""`make fleet`: 40 pumps of three makes, four of them sick, from recordings to a page with the sick four on top.

    simulator ─ CSV ─► fleet fit --by makes.csv ─► models ─ fleet backtest ─► fleet report
                                  └ fleet fit --ray local, where Ray is installed: the same models to the bit

It plays the plant and reads the page; which pumps are sick it never tells the programs. Exit status 0: the sick are on top, and
the models on Ray are the same, or Ray is not there, which is said.
"""

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from edge_ae_train.synthetic.simulator import DEFAULT_START_NS, Fault, simulate, write_csv
from edge_ae_train.synthetic.station import Pump

from edge_ae.core.timestamps import SECOND

PUMPS, PERIOD_S = 40, 60.0
DAY_ROWS = round(86400 / PERIOD_S)
TRAIN_DAYS, LATER_DAYS = 5, 5
MAKES = {
    "north": Pump(),
    "river": Pump(head=65.0, static_head=24.0, efficiency=0.72, vibration=2.1, motor_rise=62.0),
    "tower": Pump(head=42.0, static_head=9.0, demand=70.0, bearing_rise=25.0, vibration=0.8),
}
SICK = {7: "bearing_wear", 15: "phase_imbalance", 22: "worn_impeller", 33: "air_ingress"}  # pump: fault
BEGINS, SEVERITY = 0.5, 0.8  # of the later days
BUDGET = "1/week"
SAME, OTHERS = "the same to the bit", "NOT the same"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/fleet"), help="default: %(default)s")
    parser.add_argument("--pumps", type=int, default=PUMPS, help="default: %(default)s, of which every sick one counts")
    parser.add_argument("--without-ray", action="store_true", help="processes alone")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    began_s, out = time.monotonic(), options.out
    make_recordings(out, options.pumps)
    say(
        began_s,
        f"{options.pumps} pumps of {len(MAKES)} makes, {TRAIN_DAYS} days to learn from, {LATER_DAYS} days after them",
    )
    fleet("fit", "--data", out / "normal", "--by", out / "makes.csv", "--family", "cva", "--out", out / "models")
    say(began_s, "models: one for each make")
    judged = ("--models", out / "models", "--data", out / "later", "--budget", BUDGET)
    fleet("backtest", *judged, "--out", out / "backtest")
    fleet("report", "--judged", out / "backtest", "--out", out / "report", "--singles", str(len(SICK)), *judged)
    say(began_s, f"page: {out / 'report' / 'report.html'}")
    on_ray = "left out" if options.without_ray else ray_part(out, began_s)
    return verdict(out, [pump for pump in SICK if pump < options.pumps], on_ray)


def make_recordings(out: Path, pumps: int) -> None:
    """Normal days and later ones of each pump, a file each."""
    for name in ("normal", "later"):
        (out / name).mkdir(parents=True)
    makes = [f"{name_of(pump)},{list(MAKES)[pump % len(MAKES)]}\n" for pump in range(pumps)]
    (out / "makes.csv").write_text("".join(["asset,class\n", *makes]))
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        list(pool.map(record, [out] * pumps, range(pumps)))


def record(out: Path, pump: int) -> None:
    make = list(MAKES.values())[pump % len(MAKES)]
    train, later = TRAIN_DAYS * DAY_ROWS, LATER_DAYS * DAY_ROWS
    write_csv(simulate(train, PERIOD_S, pump, make=make), out / "normal" / f"{name_of(pump)}.csv")
    first = round(BEGINS * later)
    faults = [Fault(SICK[pump], first, later, SEVERITY)] if pump in SICK else []
    start_ns = DEFAULT_START_NS + round(train * PERIOD_S) * SECOND
    write_csv(simulate(later, PERIOD_S, pump, start_ns, faults, make), out / "later" / f"{name_of(pump)}.csv")


def name_of(pump: int) -> str:
    return f"pump-{pump:02d}"


def ray_part(out: Path, began_s: float) -> str:
    """Whether a local Ray cluster makes the models that processes made: the same, or other ones; or why it was not tried."""
    if importlib.util.find_spec("ray") is None:
        return "left out, for ray is not installed: pip install '.[ray]'"
    data = ("--data", out / "normal", "--by", out / "makes.csv", "--family", "cva")
    fleet("fit", *data, "--out", out / "models-ray", "--ray", "local", "--workers", "2")
    say(began_s, "models: on a local Ray cluster")
    models = sorted(path.name for path in (out / "models").glob("*.onnx"))
    same = models == sorted(path.name for path in (out / "models-ray").glob("*.onnx")) and all(
        (out / "models" / name).read_bytes() == (out / "models-ray" / name).read_bytes() for name in models
    )
    return SAME if same else OTHERS


def fleet(*words: object) -> None:
    """One command, in a process of its own as people run it."""
    command = [sys.executable, "-m", "edge_ae_train", "fleet", *map(str, words)]
    print(f"$ edge-ae-train {' '.join(command[3:])}", flush=True)
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        sys.exit(f"fleet.py: {words[0]} ended with status {done.returncode}")


def verdict(out: Path, sick: Sequence[int], on_ray: str) -> int:
    machines = json.loads((out / "report" / "report.json").read_text())["machines"]
    first = [one["asset"] for one in machines[: len(sick)]]
    on_top = sorted(first) == sorted(map(name_of, sick))
    for one in machines[: len(sick) + 1]:
        print(f"{one['rank']:>3}  {one['asset']}  {one['points']:.1f}  {one['why'] or 'nothing'}")
    print(f"the {len(sick)} sick pumps are {'' if on_top else 'NOT '}on top")
    print(f"models on a local Ray cluster: {on_ray}")
    return 0 if on_top and on_ray != OTHERS else 1


def say(began_s: float, text: str) -> None:
    print(f"[{time.monotonic() - began_s:4.0f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
