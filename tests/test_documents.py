"""What the documents say is held to the code: commands, settings, topics, counters, links and examples."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from edge_ae_train.cli import COMMANDS
from edge_ae_train.options import parser as _train_parser
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import edge_ae
from edge_ae.cli.main import parser as device_parser
from edge_ae.config.settings import Settings
from edge_ae.config.sources import PREFIX
from edge_ae.core.alert_events import EventType, ModelName
from edge_ae.core.alert_state import AlertSource, AlertState, Episode, Transition
from edge_ae.core.commands import PARSERS, parse
from edge_ae.core.description import describe, reason, severity
from edge_ae.core.events import Share, Verdict
from edge_ae.core.formats.values import FAULTS
from edge_ae.core.model_spec import Similar
from edge_ae.core.payloads import alert_payload
from edge_ae.core.timestamps import parse_time_ns
from edge_ae.daemon import fetch_command, model_commands
from tests.conftest import Node, Subscriber, wait_for
from tests.deploy.test_sample_settings import fields
from tests.models import hand_made

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = DOCS / "site" / "mkdocs.yml"
FOR_ALL = ("README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md")
DOCUMENTS = {path: path.read_text() for path in (*(ROOT / name for name in FOR_ALL), *sorted(DOCS.rglob("*.md")))}
README, CHANGELOG = DOCUMENTS[ROOT / "README.md"], DOCUMENTS[ROOT / "CHANGELOG.md"]
EVERYTHING = "\n".join(DOCUMENTS.values())
WITH_OURS = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'train'}"}
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.M | re.S)
PROSE = FENCE.sub("", EVERYTHING)
NODE_KEYS = {**model_commands.KEYS, "fetch": fetch_command.KEYS}
ELSEWHERE = {
    "podman",
    "docker",
    "python3",
    "pip",
    "rsync",
    "scp",
    "cp",
    "apt-get",
    "install",
    "git",
    "pre-commit",
}  # programs that are not ours


def train_parser() -> ArgumentParser:
    return _train_parser(COMMANDS)


def blocks(text: str, language: str) -> list[str]:
    return [textwrap.dedent(body) for _, found, body in FENCE.findall(text) if found == language]


def table(head: str) -> list[list[str]]:
    """The rows below the one table head in all documents that begins with `head`."""
    _, rest = EVERYTHING.split(f"\n| {head} |")
    rows = takewhile(lambda line: line.startswith("|"), rest.splitlines()[2:])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# -- commands --------------------------------------------------------------------------------------------------


def command_lines() -> Iterator[list[str]]:
    """The words of each command in the documents, without sudo, ssh and variables in front."""
    for block in blocks(EVERYTHING, "sh"):
        for line in block.splitlines():
            for part in line.split(" && "):
                words = shlex.split(part.partition(" > ")[0])
                words = words[2:] if words[0] == "ssh" else words
                while words[0] == "sudo" or re.match(r"[A-Z_]+=", words[0]):
                    words = words[1:]
                yield words


def check_make(arguments: Sequence[str]) -> None:
    subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True)


def check_script(name: str) -> Callable[[Sequence[str]], object]:
    command = ["sh", str(ROOT / "deploy" / name)]
    return lambda arguments: subprocess.run([*command, *arguments, "--help"], check=True, capture_output=True)


def check_unit(arguments: Sequence[str]) -> None:
    for name in arguments[arguments.index("--now") + 1 :] if "--now" in arguments else arguments[-1:]:
        assert (ROOT / "systemd" / f"{re.sub('@.*', '@', name)}.service").is_file()


def check_command_to_daemon(arguments: Sequence[str]) -> None:
    """Of the node as a whole, or of an asset of it."""
    _base, _node, *levels = arguments[arguments.index("-t") + 1].split("/")
    if len(levels) == 2:
        assert levels[0] == "cmd"
        assert levels[1] in model_commands.KEYS
        return
    topic, payload = (arguments[arguments.index(option) + 1] for option in ("-t", "-m"))
    parse(topic.rpartition("/")[2], payload.encode())


def check_python(arguments: Sequence[str]) -> None:
    """A script of ours is there and takes these options; what is not ours is a module."""
    script, *options = arguments
    if script != "-m":
        subprocess.run([sys.executable, ROOT / script, *options, "--help"], check=True, capture_output=True)


OURS: dict[str, Callable[[Sequence[str]], object]] = {
    "edge-ae": lambda arguments: device_parser().parse_args(arguments),
    "edge-ae-train": lambda arguments: train_parser().parse_args(arguments),
    "make": check_make,
    "python": check_python,
    "install.sh": check_script("install.sh"),
    "wheels.sh": check_script("wheels.sh"),
    "systemctl": check_unit,
    "mosquitto_pub": check_command_to_daemon,
    "mosquitto_rr": check_command_to_daemon,
    "mosquitto_sub": lambda _: None,  # its topic is looked at with all others
}


@pytest.mark.parametrize("words", list(command_lines()), ids=" ".join)
def test_command_in_a_code_block_exists_and_takes_these_options(words: list[str]) -> None:
    program = Path(words[0]).name
    if program not in ELSEWHERE:
        OURS[program](words[1:])


PROGRAMS = {"edge-ae": device_parser, "edge-ae-train": train_parser}


def commands_of(parser: ArgumentParser) -> Any:
    """argparse's own record of the commands: `choices` are their parsers, `_choices_actions` their help."""
    (found,) = (action for action in parser._actions if isinstance(action.choices, dict))
    return found


def commands(program: str) -> Any:
    return commands_of(PROGRAMS[program]())


def subparsers(program: str) -> dict[str, ArgumentParser]:
    return dict(commands(program).choices)


def test_commands_page_has_every_command_with_its_help() -> None:
    shown = [[code(row[0])[0], row[1]] for row in table("program")]
    helps = [[f"{name} {one.dest}", one.help] for name in PROGRAMS for one in commands(name)._choices_actions]
    assert shown == helps


@pytest.mark.parametrize("program", PROGRAMS)
def test_changelog_names_every_command_and_nowhere_is_there_one_more(program: str) -> None:
    lines = "".join(re.findall(rf"^- `{program} .*", CHANGELOG, re.M)).replace(f"{program} ", "")
    named = set(re.findall(rf"`{program} ([a-z]\w*)", PROSE))
    assert set(subparsers(program)) == set(re.findall(r"`(\w+)`", lines))
    assert named <= set(subparsers(program))


def test_option_that_is_named_belongs_to_a_program() -> None:
    helps = [sub.format_help() for program in PROGRAMS for sub in subparsers(program).values()]
    helps += [PROGRAMS["edge-ae"]().format_help()] + [path.read_text() for path in (ROOT / "deploy").glob("*.sh")]
    helps += [sub.format_help() for sub in commands_of(subparsers("edge-ae-train")["fleet"]).choices.values()]
    foreign = {"--offline", "--format", "--build-arg", "--accelerator"}  # of systemd-analyze, of podman, of make vm
    named = {option for part in code(PROSE) for option in re.findall(r"(?<!\S)--[a-z-]+", part)}
    assert [option for option in named - foreign if option not in "".join(helps)] == []


def test_documents_name_every_target_that_make_offers() -> None:
    offered = re.findall(r"^#   make ([\w-]+)", (ROOT / "Makefile").read_text(), re.M)
    assert [target for target in offered if f"make {target}" not in EVERYTHING] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_links_that_are_named_are_there(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", DOCUMENTS[path])
    named = re.findall(r"`((?:deploy|docs|edge_ae|systemd|tests|train)/[\w./-]+)`", DOCUMENTS[path])
    assert [link for link in links if not (path.parent / link).exists()] == []
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_readme_is_one_sitting_and_leads_to_every_page() -> None:
    """A page is reached from the README, or from the list of its folder."""
    assert len(README.splitlines()) <= 90
    leading = README + "".join(text for path, text in DOCUMENTS.items() if path.name == "index.md")
    pages = [path.name for path in DOCUMENTS if path.is_relative_to(DOCS) and path.name != "index.md"]
    assert [page for page in pages if page not in leading] == []


# -- examples and the site --------------------------------------------------------------------------------------


EXAMPLES = re.findall(r"^```python\n(.*?)^```\n\nIt prints:\n\n```\n(.*?)^```", EVERYTHING, re.M | re.S)


@pytest.mark.parametrize(("code", "shown"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_prints_what_is_shown(
    code: str, shown: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "pump.onnx").write_bytes(hand_made(tmp_path_factory).read_bytes())
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=WITH_OURS, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (shown, "")


def test_public_names_are_documented_and_no_others() -> None:
    shown = re.findall(r"^::: edge_ae\.(\w+)$", DOCUMENTS[DOCS / "api.md"], re.M)
    assert sorted(shown) == sorted(set(edge_ae.__all__) - {"__version__"})


def test_every_example_in_python_shows_what_it_prints() -> None:
    assert len(EXAMPLES) == len(blocks(EVERYTHING, "python")) > 0


@pytest.mark.parametrize("own", [False, True], ids=["a model it makes", "a model given"])
def test_example_script_finds_its_fault(own: bool, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    options: list[str] = []
    if own:
        lines = [f"{1790000000 + s},{50 if 20 < s < 30 else 5},2.5\n" for s in range(40)]
        (tmp_path / "week.csv").write_text("time,flow,pressure\n" + "".join(lines))
        options = ["--model", str(hand_made(tmp_path_factory)), "--data", str(tmp_path / "week.csv")]
    script = [sys.executable, str(DOCS / "examples" / "detect.py"), *options]
    done = subprocess.run(script, cwd=tmp_path, env=WITH_OURS, capture_output=True, text=True, check=True)
    assert (" new: flow 50 m3/h" if own else " new: pressure") in done.stdout
    assert done.stdout.splitlines()[-1].endswith("not used: nothing")


def test_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(SITE), "-d", str(tmp_path)]
    done = subprocess.run(command, env=WITH_OURS | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    pages = {path: path.read_text() for path in tmp_path.rglob("*.html")}
    assert [path for path, page in pages.items() if re.search(r'(src|<link[^>]*href)="?(https?:)?//', page)] == []
    assert "Take the readings of one moment" in pages[tmp_path / "api.html"]


# -- settings --------------------------------------------------------------------------------------------------

SETTINGS = dict(fields(Settings))


def test_settings_table_has_every_setting_once_and_in_the_order_of_the_code() -> None:
    assert [code(row[0])[0] for row in table("setting")] == list(SETTINGS)


@pytest.mark.parametrize(("name", "field"), list(SETTINGS.items()))
def test_settings_table_shows_the_default(name: str, field: FieldInfo) -> None:
    shown = next(row[1] for row in table("setting") if code(row[0]) == [name])
    if field.default in (None, {}, (), PydanticUndefined):
        assert re.match(r"[a-z1]", shown), "in words, for there is no value"
    else:
        assert tomllib.loads(f"x = {code(shown)[0]}") == {"x": field.default}


def test_variable_that_is_named_is_a_setting() -> None:
    named = set(re.findall(rf"{PREFIX}(\w+)", EVERYTHING))
    known = {part for name in SETTINGS for part in (name.partition(".")[0], name)}
    assert named <= {name.replace(".", "__").upper() for name in known}


@pytest.mark.parametrize("block", [b for b in blocks(EVERYTHING, "toml") if "[mqtt]" in b])
def test_settings_that_are_shown_are_valid(block: str) -> None:
    Settings.model_validate({"node": "pi-7", "state_dir": "/var/lib/edge-ae"} | tomllib.loads(block))


# -- topics and messages ---------------------------------------------------------------------------------------


def test_topics_table_has_what_the_daemon_publishes_and_nothing_else(node: Node, listener: Subscriber) -> None:
    node.start(options={"flood_limit": 1, "denoised": True, "stats_interval_s": 0.1}).ready()
    for asset in ("first", "second"):
        rows = [{"ts": 1_790_000_000_000 + 100 * n, "a": 50.0 if n > 4 else 1.0, "b": 0.0} for n in range(10)]
        listener.publish_all(f"plant/{asset}/telemetry", rows)
    wait_for(lambda: all(map(listener.on, ("/flood", "/outbox", "/health"))), "what comes last")
    wait_for(lambda: "first" in listener.last("/stats")["asset"], "the asset in stats")
    listener.publish("edge-ae/n1/first/cmd/view", b"")
    listener.publish("edge-ae/n1/first/cmd/history", b"")
    wait_for(lambda: listener.on("/signals") and listener.on("first/history"), "what was asked for")
    node.stop()
    topics = {re.sub("/(first|second)/", "/pump-1/", message.topic) for message in listener.messages}
    published = {topic for topic in topics if "/cmd/" not in topic}
    shown = {code(row[0])[0].replace("/pi-7/", "/n1/") for row in table("topic")}
    assert shown - {"edge-ae/n1/recorder"} == published
    stats = listener.last("/stats")
    assert keys_shown("key of the node") == set(stats)
    assert keys_shown("key of an asset") == set(stats["asset"]["first"])
    assert keys_shown("key of health") < set(listener.last("/first/health"))


def keys_shown(head: str) -> set[str]:
    return {key for row in table(head) for key in code(row[0])}


def test_topic_that_is_named_anywhere_is_in_the_tables() -> None:
    topics = re.findall(r"(?<![\w/])edge-ae/(?:pi-7|\+|<node>)/[\w+/<>-]+", EVERYTHING)
    endings = {code(row[0])[0].rpartition("/")[2] for row in table("topic")}
    assert {topic.rpartition("/")[2] for topic in topics} <= endings | {*PARSERS, *NODE_KEYS, "<command>"}


def test_commands_table_has_every_command_with_a_payload_that_works() -> None:
    rows = table("command")
    assert sorted(code(row[0])[0] for row in rows) == sorted(PARSERS)
    for row in rows:
        for payload in code(row[1]):
            filled = re.sub(r"(?<=: )\.\.\.", '"x"', payload)
            parse(code(row[0])[0], filled.encode())


def test_commands_of_the_node_are_in_their_table() -> None:
    assert sorted(code(row[0])[0] for row in table("command of the node")) == sorted(NODE_KEYS)


def example() -> dict[str, Any]:
    (body,) = (body for body in map(json.loads, blocks(EVERYTHING, "json")) if "severity" in body)
    return dict(body)


def shape(value: Any) -> Any:
    """The keys of a JSON value, in order, all the way down; of a list, those of its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) else None


def shares() -> tuple[Share, ...]:
    return tuple(
        Share(**{key: value for key, value in channel.items() if key != "direction"})
        for channel in example()["channels"]
    )


def test_alert_example_is_what_the_code_writes() -> None:
    shown = example()
    peak = Verdict(0, shown["score"], shown["threshold"], shown["ratio"])
    onset, raised, top, cleared = (
        parse_time_ns(shown[f"ts_{word}"]) for word in ("onset", "raised", "peak", "cleared")
    )
    similar = Similar(shown["similar_to"], shown["similar_distance"])
    episode = Episode(
        shown["id"],
        onset,
        raised,
        top,
        peak,
        shares(),
        seq=shown["seq"],
        published=True,
        similar=similar,
        magnitude=shown["magnitude"],
    )
    model = ModelName(shown["model"]["name"], shown["model"]["version"], shown["model"]["sha256"])
    source = AlertSource(shown["node"], shown["asset"], model)
    body = alert_payload(describe(source, AlertState(), Transition(EventType.END, episode, cleared)))
    assert body == shown
    assert json.dumps(shape(body)) == json.dumps(shape(shown))


def test_alert_example_gives_its_own_reason_and_severity() -> None:
    shown = example()
    assert (reason(shares()), severity(shown["ratio"], shown["magnitude"])) == (shown["reason"], shown["severity"])


def counters() -> Iterator[str]:
    """Names under which the core counts what it does not use."""
    yield from FAULTS.values()
    for path in (ROOT / "edge_ae" / "core").rglob("*.py"):
        for part in ast.walk(ast.parse(path.read_text())):
            match part:
                case ast.Call(func=ast.Name(id="BadPayload"), args=[ast.Constant(value=str(name)), *_]):
                    yield name
                case ast.Subscript(value=ast.Name(id="counts"), slice=ast.Constant(value=str(name))):
                    yield name
                case ast.Subscript(value=ast.Attribute(attr="counts"), slice=ast.Constant(value=str(name))):
                    yield name


def test_counters_table_has_every_counter_and_each_is_counted() -> None:
    shown = [name for row in table("counter") for name in code(row[0])]
    core = "".join(path.read_text() for path in (ROOT / "edge_ae" / "core").rglob("*.py"))
    assert sorted(set(counters()) - set(shown)) == []
    assert [name for name in shown if f'"{name}"' not in core] == []


def link_counters() -> set[str]:
    """Names under which the link counts: of the subscripts of counts, of what is refused, and of what is not sent."""
    source = "".join(path.read_text() for path in (ROOT / "edge_ae" / "mqtt").glob("*.py"))
    names = re.findall(r'counts\["(\w+)"\]|(?:refused?|return)\(?\s?"((?:bad|outgoing)_\w+)"', source)
    return {name for pair in names for name in pair if name}


def test_link_counters_table_has_every_counter_of_the_link_and_no_other() -> None:
    assert keys_shown("link counter") == link_counters()


# -- changelog and security ------------------------------------------------------------------------------------


def test_changelog_has_this_version_and_the_price_of_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"## {edge_ae.__version__}\n" in CHANGELOG
    priced = re.findall(r"^\| ([a-z][\w-]+) \d", CHANGELOG, re.M)
    assert sorted(priced) == sorted(re.match(r"[\w-]+", one)[0] for one in project["dependencies"])  # type: ignore[index]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_security_names_the_exposure_that_systemd_finds() -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(ROOT / "systemd" / "edge-ae.service")]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Overall exposure level for edge-ae.service: ([\d.]+)", done.stdout)
    assert found is not None
    assert f"exposure at {found[1]} of 10" in DOCUMENTS[DOCS / "security.md"]
