"""A recording through edge-ae as a library: no broker, no daemon.

python docs/examples/detect.py                                       a pump made up here, and a model trained on it
python docs/examples/detect.py --model pump.onnx --data week.csv     a model and a recording of yours
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import edge_ae

START = np.datetime64("2026-11-23T00:00:00")  # times without an offset are UTC
PERIOD_S = 10
ROWS = 4000
FAULT = slice(3000, 3060)  # ten minutes in which a valve leaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model file")
    parser.add_argument("--data", type=Path, help="a CSV file: the time, then the model's channels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or write_day(Path(folder) / "day.csv", seed=2, fault=True)
        model = edge_ae.load_model(options.model or train(Path(folder)))
        watch(model, data)


def watch(model: edge_ae.OnnxModel, data: Path) -> None:
    """Push line by line, as if the readings came from a sensor; print the alerts."""
    detector = edge_ae.Detector(model, budget="1/week", asset=data.stem)
    scored = 0
    for time, values in lines(data):
        for event in detector.push(time, values):
            if isinstance(event, edge_ae.AlertEvent):
                print(f"{time} {event.type}: {event.alert.reason}")
            else:
                scored += 1
    print(f"{scored} windows scored; not used: {dict(detector.counts) or 'nothing'}")


def lines(path: Path) -> list[tuple[str, dict[str, float]]]:
    """The time and the channels of each line; an empty cell is a missing value."""
    with path.open() as file:
        head, *rows = csv.reader(file)
    return [(row[0], {name: float(cell) for name, cell in zip(head[1:], row[1:], strict=True) if cell}) for row in rows]


def train(folder: Path) -> Path:
    """A linear model of a normal day, from the trainer's own command; takes a few seconds."""
    normal, model = write_day(folder / "normal.csv", seed=1, fault=False), folder / "pump.onnx"
    command = [sys.executable, "-m", "edge_ae_train", "fit", "--data", str(normal), "--out", str(model)]
    subprocess.run([*command, "--family", "pca"], check=True, stdout=subprocess.DEVNULL)
    return model


def write_day(path: Path, *, seed: int, fault: bool) -> Path:
    """Half a day of a pump: the flow follows a demand, the pressure falls with the flow, the motor's current follows both."""
    random = np.random.default_rng(seed)
    seconds = PERIOD_S * np.arange(ROWS)
    demand = np.sin(2 * np.pi * seconds / 7200) + 0.3 * np.sin(2 * np.pi * seconds / 1500)
    flow = 60.0 + 8.0 * demand + random.normal(0.0, 0.4, ROWS)
    pressure = 4.0 - 0.03 * (flow - 60.0) + random.normal(0.0, 0.02, ROWS)
    current = 2.0 + 0.05 * flow + 0.4 * pressure + random.normal(0.0, 0.02, ROWS)
    if fault:
        pressure[FAULT] -= 0.3
    with path.open("w") as file:
        print("time,flow,pressure,current", file=file)
        for moment, *values in zip(START + seconds, flow, pressure, current, strict=True):
            print(moment, *(f"{value:.3f}" for value in values), sep=",", file=file)
    return path


if __name__ == "__main__":
    main()
