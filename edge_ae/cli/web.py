"""`edge-ae web`: the live page, in a browser."""

import logging
import os
import stat
import sys
from argparse import ArgumentParser, Namespace
from contextlib import closing, suppress
from dataclasses import replace
from getpass import getpass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ae.cli.options import bind_address, broker, broker_options, log_to_stderr, topic_base
from edge_ae.cli.purge import DAYS
from edge_ae.core.timestamps import HOUR
from edge_ae.daemon import systemd
from edge_ae.errors import BadConfig

if TYPE_CHECKING:
    from edge_ae.config.settings import Settings
    from edge_ae.web.options import PageOptions

WHAT = "serve the live page: all assets in a browser, and one tap to answer an alert"
EXAMPLE = "edge-ae web --host localhost --bind 127.0.0.1:8182"
log = logging.getLogger(__name__)

NO_LIBRARY = "the page needs its library: pip install 'edge-ae[web]'"


def add_options(parser: ArgumentParser) -> None:
    broker_options(parser)
    parser.add_argument(
        "--base", type=topic_base, help="first level of the topics (default: the settings', else edge-ae)"
    )
    parser.add_argument(
        "--bind", type=bind_address, metavar="HOST:PORT", help="where to serve the page (default: the settings')"
    )
    parser.add_argument(
        "--set-password", type=Path, metavar="FILE", help="ask for a password, write its hash to FILE, and end"
    )


def execute(options: Namespace) -> int:
    if options.set_password is not None:
        return _set_password(options.set_password)
    if find_spec("nicegui") is None:
        raise BadConfig(NO_LIBRARY)
    from edge_ae.config.loading import load
    from edge_ae.mqtt.leftover_topics import LeftoverTopics
    from edge_ae.mqtt.operator_link import OperatorLink

    settings = load(options.config)
    log_to_stderr(settings.log_level)
    page = page_options(settings)
    if options.bind is not None:
        page = replace(page, host=options.bind[0], port=options.bind[1])
    page = replace(page, base=options.base or page.base).guarded()
    address = broker(options)
    from edge_ae.web import server
    from edge_ae.web.live import Live

    live = Live(page.base)
    gone = LeftoverTopics(address, page.base, settings.homeassistant.prefix, DAYS * 24 * HOUR)
    taken = server.listening(page)
    with closing(taken), closing(OperatorLink(address, live.filters, live.offer)) as link:
        live.attach(link)
        server.serve(page, live, gone, taken, lambda: _say(page.url), systemd.watchdog)
    return 0


def _say(url: str) -> None:
    print(f"edge-ae: the page is at {url}", flush=True)
    systemd.ready()


def page_options(settings: "Settings") -> "PageOptions":
    """Where the page is, and to whom; BadConfig where its password cannot be had."""
    from edge_ae.config.sources import page_password
    from edge_ae.web.options import PageOptions
    from edge_ae.web.passwords import checked

    web = settings.web
    line = page_password(web.password_file, os.environ)
    try:
        password = None if line is None else checked(line)
    except BadConfig as fault:
        raise BadConfig(f"web.password_file: {fault}") from None
    if web.password_file is not None:
        _warn_if_open(web.password_file)
    return PageOptions(web.host, web.port, password, web.behind_proxy, web.names, settings.mqtt.base)


def _warn_if_open(path: Path) -> None:
    """A hash is no password, and yet whoever reads it may guess without being slowed."""
    with suppress(OSError):  # it was read a moment ago
        if path.stat().st_mode & stat.S_IROTH:
            log.warning("web.password_file: every user of this machine may read %s; run chmod o-rwx on it", path)


def _set_password(path: Path) -> int:
    from edge_ae.store.atomic import reason_of, write_whole
    from edge_ae.web.passwords import hashed

    if sys.stdin.isatty():
        password = getpass("New password: ")
        if getpass("Once more: ") != password:
            raise BadConfig("the two were not the same; nothing was written")
    else:
        password = sys.stdin.readline().rstrip("\n")
    try:
        write_whole(path, f"{hashed(password)}\n".encode())
    except OSError as error:
        raise BadConfig(
            f"{path}: cannot be written: {reason_of(error)}; name another file, or begin with sudo"
        ) from None
    print(f'written; add password_file = "{path}" to [web]')
    return 0
