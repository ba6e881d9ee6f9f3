"""The container looks after itself by a command of ours, also where the image's format has no word for that."""

import json
import re
import shlex
from pathlib import Path

from edge_ae.cli.main import parser

TEXT = (Path(__file__).parents[2] / "deploy" / "Containerfile").read_text()


def test_health_check_is_a_command_of_ours_and_the_same_on_the_command_line_of_podman() -> None:
    (interval, timeout, start, retries, command) = re.findall(
        r"^HEALTHCHECK --interval=(\w+) --timeout=(\w+) --start-period=(\w+) --retries=(\w+) \\\n +CMD (.+)$",
        TEXT,
        re.M,
    )[0]
    words = json.loads(command)
    parser().parse_args(words[1:])
    (options,) = re.findall(r"^#   podman run (--health-cmd .+(?:\\\n#  .+)+) \.\.\.$", TEXT, re.M)
    given = shlex.split(options.replace("\\\n#", ""))
    assert given == [
        *("--health-cmd", " ".join(words)),
        *("--health-interval", interval),
        *("--health-timeout", timeout),
        *("--health-start-period", start),
        *("--health-retries", retries),
    ]


def test_build_line_for_podman_keeps_the_health_check() -> None:
    assert "podman build --format docker " in TEXT
