"""The live page of the demo: a process that ends with it, and pictures of it where there is a browser to make them."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from deploy.demo_stage import NODE, DemoError, free_port, process, program, wait_until

READY_S, PICTURE_S = 60.0, 60.0
LOADED_MS = 10_000
LOOKS, BETWEEN_S = 3, 1.5
LOW, WIDE, TALL = "1200,500", "1200,1300", "1200,3000"  # a window for each picture
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = "no picture of the page: it needs a browser, apt-get install chromium"
ADDRESS = re.compile(r"the page is at (\S+)")


@contextlib.contextmanager
def live_page(out: Path, broker_port: int) -> Iterator[str]:
    """Serves the page on a free loopback port as long as the block runs; gives its address."""
    if find_spec("nicegui") is None:
        raise DemoError("the live page needs its library: pip install 'edge-ae[web]'")
    log = out / "page.log"
    command = [
        *program("edge_ae"),
        "web",
        "--host",
        "127.0.0.1",
        f"--port={broker_port}",
        f"--bind=127.0.0.1:{free_port()}",
    ]
    with process("edge-ae web", command, log) as child:
        wait_until(
            lambda: ADDRESS.search(log.read_text()) is not None, READY_S, child, f"the page does not come, see {log}"
        )
        found = ADDRESS.search(log.read_text())
        assert found is not None
        yield found[1]


class Pictures:
    """Of the page: of all assets and of one in the midst of its alert, and at the end of that asset's history.

    The first two are taken on a thread of their own while the stream goes on; `busy`: it had better go slowly. `made` stays empty
    where there is no browser.
    """

    def __init__(self, url: str, out: Path) -> None:
        self.url, self.made = url, list[Path]()
        self._out, self._asset = out, ""
        self._browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether pictures are being taken."""
        return self._thread is not None and self._thread.is_alive()

    def of_alert(self, asset: str) -> None:
        """Begin with those of the alert of this asset; of the first that is named, and no other."""
        if self._thread is None:
            self._asset = asset
            self._thread = threading.Thread(target=self._of_alert, name="pictures")
            self._thread.start()

    def of_history(self, otherwise: str) -> None:
        """Those of the end: of the asset that had the alert, or of another where none had."""
        if self._thread is not None:
            self._thread.join()
        self._take("page-history.png", f"{self.url}asset/{NODE}/{self._asset or otherwise}", TALL)

    def _of_alert(self) -> None:
        self._take("page-asset.png", f"{self.url}asset/{NODE}/{self._asset}", WIDE)
        self._take("page.png", self.url, LOW)

    def _take(self, name: str, page: str, size: str) -> None:
        if self._browser is not None and _taken(self._browser, page, self._out / name, size):
            self.made.append(self._out / name)


def _taken(browser: str, page: str, path: Path, size: str) -> bool:
    """A profile of its own, so that the browser of whoever runs this is left alone."""
    # A picture is of what is there once the page is loaded: the first looks make the daemon send what the last one shows.
    with tempfile.TemporaryDirectory() as profile:
        options = [
            "--headless=new",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
            f"--user-data-dir={profile}",
        ]
        options += [f"--window-size={size}", f"--timeout={LOADED_MS}", f"--screenshot={path}"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        for _ in range(LOOKS):
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run([browser, *options, page], capture_output=True, timeout=PICTURE_S, check=False)
            time.sleep(BETWEEN_S)
    return path.exists()


def stay(url: str) -> None:
    """On a terminal the page stays until Ctrl-C; a script goes on."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    print(f"the page stays at {url} until Ctrl-C; then comes what was found", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
