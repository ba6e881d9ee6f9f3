"""New models to many devices in waves, as files: what goes where, and whether the next wave may go.

    rollout/plan.json              the waves: which device is in which, and what each folder must hold
    rollout/wave-1/pump-7/         a folder for each device, to be copied to it as it is
        pump-7.onnx                the model
        pump-7.onnx.sig            its signature, where a key is given
        manifest.json              name, size and sha256 of each file

A wave is 5 % of the devices, then 25 %, then all. The next one may go where alerts have not risen on those that have the
new models. Nothing here needs a server.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_ae.errors import BadData
from edge_ae.store.atomic import reason_of, write_whole
from edge_ae_train.fleet.jobs import file_name
from edge_ae_train.fleet.judged import judged_rows
from edge_ae_train.fleet.models import ModelFile

PLAN, MANIFEST = "plan.json", "manifest.json"
SCHEMA = 1  # of both
SHARES = (0.05, 0.25, 1.0)  # of the devices that have the new models with each wave
CHANCE = 0.01  # of so many alerts by luck, at the rate from before: what is rarer is a rise
MANY = 10_000  # alerts, from which on Poisson's law is the normal one, which takes no sum over all of them
MOST = {"alerts": 1e9, "weeks": 1e4, "budget_per_week": 1e6}  # that a file may say of a device: two centuries of weeks
READABLE = 0o666  # less the umask


@dataclass(frozen=True, slots=True)
class Rise:
    """Alerts of devices with new models, beside what was to be expected of them. `weeks`: that they were watched for."""

    devices: int
    weeks: float
    alerts: int
    expected: float

    @property
    def chance(self) -> float:
        """Of as many alerts or more, where nothing has changed (Poisson)."""
        if self.alerts > MANY:
            return math.erfc((self.alerts - 0.5 - self.expected) / math.sqrt(2.0 * self.expected)) / 2.0
        below = sum(
            math.exp(-self.expected + n * math.log(self.expected) - math.lgamma(n + 1)) for n in range(self.alerts)
        )
        return max(1.0 - below, 0.0)

    @property
    def is_one(self) -> bool:
        return self.alerts > self.expected and self.chance < CHANCE


@dataclass(frozen=True, slots=True)
class Decision:
    """`go`: the next wave may go. `wave`: its number, None where all have gone. `reason`: a sentence."""

    go: bool
    wave: int | None
    reason: str


def waves_of(devices: Sequence[str], shares: Sequence[float] = SHARES) -> list[list[str]]:
    """The devices of each wave: chosen by a digest of their names, so that no wave is one hall or one make."""
    mixed = sorted(devices, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    ends = [max(math.ceil(share * len(mixed)), 1) for share in shares]
    waves = [sorted(mixed[first:end]) for first, end in zip([0, *ends[:-1]], ends, strict=True)]
    return [wave for wave in waves if wave]


def plan(
    models: Mapping[str, ModelFile], out: Path, key: Path | None, shares: Sequence[float] = SHARES
) -> list[list[str]]:
    """Writes the folders of all waves, and the plan last; returns the waves. BadData where they cannot be written."""
    if (out / PLAN).exists():
        raise BadData(f"{out / PLAN}: is there already; a roll-out has a folder of its own")
    if left := sorted(out.glob("wave-*")):  # whoever copies a wave to its devices would copy those, too
        raise BadData(f"{left[0]}: is of a roll-out that was cut short; remove {out}, and give the same command again")
    waves = waves_of(list(models), shares)
    try:
        for number, wave in enumerate(waves, start=1):
            for device in wave:
                _write_device(out / f"wave-{number}" / file_name(device), device, models[device], key)
        facts = {"schema": SCHEMA, "waves": waves, "models": {name: asdict(model) for name, model in models.items()}}
        write_whole(out / PLAN, _json(facts), mode=READABLE)
    except OSError as error:
        raise BadData(f"{out}: the roll-out cannot be written ({reason_of(error)})") from None
    return waves


def _write_device(folder: Path, device: str, model: ModelFile, key: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(model.path).read_bytes()
    target = folder / f"{file_name(model.key)}.onnx"
    write_whole(target, data, mode=READABLE)
    if key is not None:
        from edge_ae_train.signing import sign

        sign(target, key)
    files = [path for path in sorted(folder.iterdir()) if path.name != MANIFEST]
    facts = {"schema": SCHEMA, "device": device, "model": model.key, "files": [_entry(path) for path in files]}
    write_whole(folder / MANIFEST, _json(facts), mode=READABLE)


def _entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"name": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def decide(
    rollout: "Rollout", gone: int, before: Mapping[str, "DeviceRecord"], since: Mapping[str, "DeviceRecord"]
) -> Decision:
    """Whether the wave after the first `gone` may go. `before`: of the devices with the old models; `since`: with the new."""
    waves = rollout.waves
    if gone >= len(waves):
        return Decision(True, None, "all waves have gone")
    if gone == 0:
        return Decision(True, 1, f"the first wave, {len(waves[0])} of {rollout.devices} devices: nothing is known yet")
    updated = [device for wave in waves[:gone] for device in wave]
    missing = [device for device in updated if not rollout.runs_new_model(device, since.get(device))]
    if missing:
        said = (
            f"{len(missing)} of {len(updated)} devices are not judged with their new models yet, such as {missing[0]}"
        )
        return Decision(False, gone + 1, said)
    rise = rise_of([device for device in updated if device in before], before, since)
    if rise is None:
        return Decision(False, gone + 1, "no device was judged both before and since")
    said = (
        f"{rise.alerts} alerts on {rise.devices} devices in {rise.weeks:.3g} weeks, "
        f"{rise.expected:.3g} were to be expected"
    )
    if rise.is_one:
        worst = max(updated, key=lambda device: since[device].alerts)
        return Decision(False, gone + 1, f"alerts rise: {said}; look at {worst} first")
    return Decision(True, gone + 1, said)


def rise_of(
    devices: Sequence[str], before: Mapping[str, "DeviceRecord"], since: Mapping[str, "DeviceRecord"]
) -> Rise | None:
    """Expected are as many alerts a week as before, or as the budget allows, whichever is more. None: of no device."""
    if not devices:
        return None
    now = [since[device] for device in devices]
    expected = sum(max(before[one].alerts_per_week, since[one].budget_per_week) * since[one].weeks for one in devices)
    return Rise(len(devices), sum(one.weeks for one in now), sum(one.alerts for one in now), max(expected, 1e-9))


# -- what was written down -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A device's alerts in the weeks for which it was watched. `model_sha256`: with which model; empty: not known."""

    alerts: int
    weeks: float
    budget_per_week: float = 0.0
    model_sha256: str = ""

    @property
    def alerts_per_week(self) -> float:
        return self.alerts / self.weeks


@dataclass(frozen=True)
class Rollout:
    """A plan as it was written. `models`: the sha256 of each device's new model."""

    waves: Sequence[Sequence[str]]
    models: Mapping[str, str]

    @property
    def devices(self) -> int:
        return sum(map(len, self.waves))

    def runs_new_model(self, device: str, record: DeviceRecord | None) -> bool:
        """Whether a record is of the device's time with its new model, as far as it says."""
        return record is not None and record.model_sha256 in ("", self.models[device])


def records(path: Path) -> dict[str, DeviceRecord]:
    """Of a folder that fleet evaluate wrote, or a JSON file: {"pump-7": {"alerts": 2, "weeks": 1.5}, ...}. BadData."""
    if path.is_dir():
        facts = {row.key: row.facts for row in judged_rows(path) if row.is_done}
        names = ("alerts", "weeks", "budget_per_week", "model_sha256")
        return {key: DeviceRecord(*(one[name] for name in names)) for key, one in facts.items()}
    try:
        told = dict(json.loads(path.read_bytes()).items())
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({reason_of(error)})") from None
    except (ValueError, AttributeError, RecursionError):
        raise BadData(f"{path}: cannot be read (it is no JSON object of devices)") from None
    return {device: _record(f"{path}: {device}", one) for device, one in told.items()}


def _record(where: str, told: Any) -> DeviceRecord:
    """What somebody else's program says of a device. BadData, which begins with `where`."""
    try:
        values = {name: float(told[name]) for name in ("alerts", "weeks")}
        values["budget_per_week"] = float(told.get("budget_per_week", 0.0))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise BadData(f'{where}: should be an object such as {{"alerts": 2, "weeks": 1.5}}') from None
    if not values["weeks"] > 0:
        raise BadData(f"{where} was watched for no time; weeks must be above 0")
    if wrong := [name for name, value in values.items() if not 0 <= value <= MOST[name]]:
        raise BadData(f"{where}: {wrong[0]} should be a number from 0 to {MOST[wrong[0]]:g}, not {values[wrong[0]]:g}")
    return DeviceRecord(int(values["alerts"]), values["weeks"], values["budget_per_week"])


def read_plan(folder: Path) -> Rollout:
    """BadData where there is none."""
    try:
        facts = json.loads((folder / PLAN).read_bytes())
        models = {device: str(model["sha256"]) for device, model in facts["models"].items()}
        waves = [list(map(str, wave)) for wave in facts["waves"]]
        if facts["schema"] != SCHEMA or not all(device in models for wave in waves for device in wave):
            raise ValueError
        return Rollout(waves, models)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = reason_of(error) if isinstance(error, OSError) else "it is not what rollout plan writes"
        raise BadData(f"{folder / PLAN}: cannot be read ({why}); name the folder of the roll-out") from None


def _json(facts: Any) -> bytes:
    return json.dumps(facts, indent=2).encode() + b"\n"
