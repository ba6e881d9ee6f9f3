"""`edge-ae check`: will it run here? Every problem at once, each with its fix.

One question a function, each answered by sentences that say what is wrong and what to do. The model is loaded in a process
of its own: a runtime that was built for another processor dies of SIGILL, and that too must become a sentence.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ae.cli.options import config_option, seconds
from edge_ae.config.installation import earliest_ns
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadConfig

if TYPE_CHECKING:
    from edge_ae.config.loading import Inspection
    from edge_ae.config.settings import Settings

WHAT = "check settings, model, machine and broker; every problem at once, each with its fix"
EXAMPLE = "edge-ae check --config /etc/edge-ae/edge-ae.toml --listen 30"

NOTHING_WATCHED = "no stream has a model: nothing is watched yet, edge-ae record records"
NO_TRAINER = "the trainer is not installed here, and rows are recorded alone: deploy/install.sh --learn"
NO_METRICS = "metrics.port: the library for it is missing: pip install prometheus-client"
MODEL_S = 60.0
UNITS = (
    Path("/etc/systemd/system/edge-ae.service"),
    Path("/usr/lib/systemd/system/edge-ae.service"),
)  # install.sh's, Debian's
LOAD = """
import sys, json
from pathlib import Path
from edge_ae.model import signature
from edge_ae.errors import EdgeError
from edge_ae.model.onnx_model import OnnxModel
try:
    verify = signature.verifier(Path(sys.argv[2])) if len(sys.argv) > 2 else None
    model = OnnxModel.load(sys.argv[1], verify)
except EdgeError as error:
    sys.exit(str(error))
spec = model.spec
units = [channel.unit for channel in spec.channels]
facts = {"name": spec.name, "names": spec.names, "provider": model.provider, "units": units, "period_ns": spec.period_ns}
facts["when"] = spec.when
print(json.dumps(facts))
"""


Found = dict[Path, "ModelFacts | str"]  # of each model file: what it is, or what is wrong with it


def add_options(parser: ArgumentParser) -> None:
    config_option(parser, required=True)
    parser.add_argument(
        "--listen",
        type=seconds,
        metavar="S",
        help="then listen to the sensors for up to S seconds, and show what is understood of a payload of each stream",
    )


def execute(options: Namespace) -> int:
    from edge_ae.config.loading import inspect

    inspection, found = inspect(options.config), Found()
    faults = 0
    for title, problems in checks(options.config, inspection, found):
        for problem in problems:
            print(f"FAULT {problem}", flush=True)
        if not problems:
            print(f"{'' if title.startswith('note') else 'ok    '}{title}", flush=True)
        faults += len(problems)
    if options.listen is not None and inspection.settings is not None and not inspection.doubtful & {"streams", "mqtt"}:
        faults += _listened(inspection.settings, found, options.listen)
    return 1 if faults > 0 else 0


def _listened(settings: "Settings", found: Found, listen_s: float) -> int:
    """Prints what is understood of the sensors' payloads. Returns of how many streams nothing was."""
    from edge_ae.cli.listen import listen
    from edge_ae.cli.stream_notes import ExpectedChannels

    known = {path: facts for path, facts in found.items() if isinstance(facts, ModelFacts)}
    expected = {path: ExpectedChannels(facts.names, facts.units, facts.period_ns) for path, facts in known.items()}
    return listen(settings, expected, listen_s)


def checks(config: Path, inspection: "Inspection", found: Found) -> Iterator[tuple[str, list[str]]]:
    """What was looked at, one after the other, each with its problems; a table with faults of its own only as far as it goes.

    `found` is filled with the models.
    """
    settings, problems, doubtful = inspection
    yield f"settings  {config}", problems
    if settings is None:
        return
    has_password = settings.mqtt.username is None or settings.password is not None
    state_dir = None if settings.records_only else settings.state_dir
    fault = by_hand(os.environ, has_password=has_password, state_dir=state_dir)
    if fault is not None:
        yield "service", [fault]
    yield from _check_streams(settings, doubtful, found)
    yield from _check_machine(settings, doubtful)
    if settings.metrics.port is not None:
        yield "metrics", [] if find_spec("prometheus_client") is not None else [NO_METRICS]
    if settings.notify_urls:
        from edge_ae import wiring

        yield "notify", wiring.notify_faults(settings)
    if "mqtt" not in doubtful:
        broker = f"{settings.mqtt.host}:{settings.mqtt.tcp_port}"
        yield f"broker    {broker}", check_broker(settings)


def _check_streams(settings: "Settings", doubtful: Set[str], found: Found) -> Iterator[tuple[str, list[str]]]:
    from edge_ae.config.consistency import contested, missing_to_watch

    if "streams" not in doubtful:  # else numbers and gaps would be other than in the file
        missing = [] if settings.records_only else missing_to_watch(settings)
        amiss = [*missing, *contested(settings)]
        if amiss:
            yield "streams", amiss
        elif missing_to_watch(settings):
            yield f"note  streams   {NOTHING_WATCHED}", []
    paths = dict.fromkeys(stream.model_file for stream in settings.streams)
    key = None if "model_key" in doubtful else settings.model_key
    found |= {path: model_facts(path, key) for path in paths if path is not None}
    for path, facts in found.items():
        yield f"model     {path}", [facts] if isinstance(facts, str) else []
    if not doubtful & {"streams", "learn", "state_dir"}:
        yield from _check_learning(settings)
    if "streams" not in doubtful and "limits" not in doubtful:
        yield from _check_channels(settings, found)
    if not doubtful & {"streams", "alerts"}:
        yield from _check_rules(settings, found)


def _check_learning(settings: "Settings") -> Iterator[tuple[str, list[str]]]:
    """What will be learned here, and where it will lie."""
    first_h = settings.learn.first_s / 3600
    for number, stream in enumerate(settings.streams, start=1):
        if stream.learns:
            place = settings.learned_models(stream)
            yield f"note  learning  streams[{number}]: first models after {first_h:g} h of rows, in {place}", []
    if settings.learns and find_spec("edge_ae_train") is None:
        yield f"note  learning  {NO_TRAINER}", []


def _check_channels(settings: "Settings", found: Found) -> Iterator[tuple[str, list[str]]]:
    from edge_ae.core.formats.decoder import Decoder

    for number, stream in enumerate(settings.streams, start=1):
        if settings.stream(stream).fault is not None:  # a problem of the settings, which is said there
            continue
        known = None if stream.model_file is None else found[stream.model_file]
        try:
            Decoder(settings.stream(stream), known.names if isinstance(known, ModelFacts) else None)
            yield f"stream    {stream.topic}", []
        except BadConfig as fault:
            yield "stream", [f"streams[{number}]: {fault}"]


def _check_rules(settings: "Settings", found: Found) -> Iterator[tuple[str, list[str]]]:
    from edge_ae.config.rule_notes import ModelState, rule_notes, state_faults

    models = {
        path: ModelState(facts.names, facts.when) for path, facts in found.items() if isinstance(facts, ModelFacts)
    }
    faults = state_faults(settings, models)
    if faults:
        yield "rules", faults
    for note in rule_notes(settings, models):
        yield f"note  rules     {note}", []


def _check_machine(settings: "Settings", doubtful: Set[str]) -> Iterator[tuple[str, list[str]]]:
    record = settings.record
    folders: dict[Path, int] = {}
    if "state_dir" not in doubtful and not settings.records_only:
        folders[settings.state_dir] = 2 * settings.limits.outbox_mb
    if settings.recordings is not None:
        folders[settings.recordings] = record.max_mb
    for path, needed_mb in folders.items():
        fault = directory(path, needed_mb)
        yield f"folder    {path}", [] if fault is None else [fault]
    fault = clock(time.time())
    yield "clock", [] if fault is None else [fault]


def check_broker(settings: "Settings") -> list[str]:
    """What keeps us from the broker, or from the topics that we need there."""
    from edge_ae import wiring
    from edge_ae.core.topics import topic_filter
    from edge_ae.mqtt import probe, simple_client

    own = f"{settings.mqtt.base}/{settings.node}"
    filters = [*(topic_filter(stream.topic) for stream in settings.streams), f"{own}/+/cmd/+"]
    if settings.sparkplug.output:
        filters.append(f"spBv1.0/{settings.sparkplug.group_id}/NCMD/{settings.edge_node}")
    try:
        connection = simple_client.connect(wiring.broker_of(settings))
    except BadConfig as fault:
        return [str(fault)]
    try:
        return probe.permissions(connection, filters, f"{own}/check")
    finally:
        simple_client.close(connection)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model file that loads is: its name, its channels' names and units, what runs it, the period of its rows, and the state
    that it is for."""

    name: str
    names: tuple[str, ...]
    provider: str
    units: tuple[str, ...] = ()
    period_ns: int = 0
    when: str = ""


def model_facts(path: Path, key: Path | None = None) -> ModelFacts | str:
    """Loads a model file and runs its golden vectors, as the daemon will. What it is, or what is wrong."""
    try:
        command = [sys.executable, "-c", LOAD, *map(str, (path,) if key is None else (path, key))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=MODEL_S, check=False)
    except subprocess.TimeoutExpired:
        return f"{path}: is not loaded after {MODEL_S:.0f} s; this machine is too slow or too busy for it"
    if done.returncode == 0:
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        names, units = tuple(facts["names"]), tuple(facts["units"])
        return ModelFacts(facts["name"], names, facts["provider"], units, facts["period_ns"], facts["when"])
    if done.returncode < 0:
        return _killed(path, -done.returncode)
    return done.stderr.strip().rpartition("\n")[2] or f"{path}: cannot be loaded"


def _killed(path: Path, number: int) -> str:
    name = signal.Signals(number).name
    if number == signal.SIGILL:
        return (
            "onnxruntime uses instructions that this processor does not have (SIGILL); "
            "install another version of onnxruntime (1.21.0 is known for this on a Raspberry Pi 4)"
        )
    if number == signal.SIGKILL:
        return f"{path}: the system killed the process that loaded it; there is too little memory"
    return f"{path}: onnxruntime died of {name} while loading it; install another version of onnxruntime"


def directory(path: Path, needed_mb: int) -> str | None:
    """Whether a folder can be made and written to, and has room. Leaves all as it was: the service makes its own."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    trial = path / f".edge-ae-check-{os.getpid()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        trial.write_bytes(b"x")
        trial.unlink()
        free_mb = shutil.disk_usage(path).free // 2**20
    except OSError as error:
        return f"{path}: cannot be written: {error.strerror}; give it to the user that runs edge-ae, or name another"
    finally:
        with suppress(OSError):
            for folder in made:
                folder.rmdir()
    if free_mb < needed_mb:
        return f"{path}: has {free_mb} MB left and may need {needed_mb}; make room, or set lower limits"
    return None


def by_hand(
    env: Mapping[str, str], *, has_password: bool, state_dir: Path | None, units: Sequence[Path] = UNITS
) -> str | None:
    """What systemd hands to the service does not reach a person who runs a command: then another thing is checked.

    `state_dir` None: what is set keeps no state.
    """
    from edge_ae.config.sources import home

    lacking, own_home = {}, home(env)
    if not has_password:
        lacking["EDGE_AE_MQTT__PASSWORD_FILE"] = "/etc/credstore/edge-ae.mqtt-password"
    at_home = state_dir is not None and own_home is not None and state_dir.is_relative_to(own_home)
    if "STATE_DIRECTORY" not in env and at_home:
        lacking["STATE_DIRECTORY"] = "/var/lib/edge-ae"
    if not any(unit.exists() for unit in units) or not lacking:
        return None
    words = " ".join(f"{name}={value}" for name, value in lacking.items())
    return (
        f"systemd hands the service more than this check, run by hand, was given; begin the command with sudo {words}"
    )


def clock(now_s: float) -> str | None:
    """A machine without a battery-backed clock starts in the past: before this program was installed."""
    if now_s * SECOND > earliest_ns():
        return None
    today = time.strftime("%Y-%m-%d", time.gmtime(now_s))
    return f"the clock says {today}, which was before this program was installed; set it (timedatectl set-ntp true)"
