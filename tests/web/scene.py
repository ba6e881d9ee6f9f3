"""A broker, the page as a process, and a browser before it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import Broker, Subscriber, free_port, wait_for

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "chromium is not installed: apt-get install chromium chromium-driver"
SMALL_ROWS, SMALL_COLUMNS = 380, 760
FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1200,1000")


class PageProcess:
    """`edge-ae web` in a folder of its own."""

    def __init__(self, folder: Path, broker_port: int, *options: str, **env: str) -> None:
        self.port = free_port()
        self.folder = folder
        self.log = folder / "page.log"
        self._options = [f"--port={broker_port}", f"--bind=127.0.0.1:{self.port}", *options]
        self._env = os.environ | env
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "PageProcess":
        begin = len(self.text)
        command = [sys.executable, "-m", "edge_ae", "web", *self._options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=self._env, stdout=log, stderr=log)
        wait_for(lambda: "the page is at" in self.text[begin:], "the page")
        return self

    @property
    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(15)


class Scene:
    """What a test plays on. `say` publishes as a daemon would; `clear` takes it all back."""

    def __init__(self, broker: Broker, page: PageProcess, browser: Any) -> None:
        self.broker, self.page, self.browser = broker, page, browser
        self.ear = Subscriber(broker.port, client_id="scene")
        self._retained: set[str] = set()

    def say(self, topic: str, body: Any, retain: bool = True) -> None:
        if retain:
            self._retained.add(topic)
        self.ear.publish(f"edge-ae/{topic}", body, retain=retain)

    def asset(self, node: str, name: str, **alert: Any) -> None:
        self.say(f"{node}/status", "online")
        self.say(f"{node}/{name}/alert", {"state": "normal", "active": 0} | alert)
        self.say(f"{node}/{name}/health", {"watching": "watched", "state": "ok", "faults": {}, "budget": "default"})

    def score(self, node: str, name: str, ratio: float) -> None:
        self.say(
            f"{node}/{name}/score",
            {"ts": iso(time.time()), "score": ratio, "threshold": 1.0, "ratio": ratio},
            retain=False,
        )

    def clear(self) -> None:
        for topic in self._retained:
            self.ear.publish(f"edge-ae/{topic}", b"", retain=True)
        self._retained.clear()

    # -- the browser ----------------------------------------------------------------------------------------------

    def open(self, path: str = "/") -> None:
        self.browser.get(self.page.url(path))

    def text(self, selector: str = "body") -> str:
        """What a person reads there; empty where it is not there, or not any more."""
        script = "const found = document.querySelector(arguments[0]); return found ? found.innerText : ''"
        return str(self.browser.execute_script(script, selector))

    def shows(self, words: str, selector: str = "body") -> None:
        try:
            wait_for(lambda: words in self.text(selector), patience_s=15)
        except AssertionError:
            raise AssertionError(f"no {words!r} in {selector}: {self.text(selector)[:600]!r}") from None

    def tap(self, words: str) -> None:
        script = """
            const button = [...document.querySelectorAll("button")].find((one) => one.innerText.trim() === arguments[0] && !one.disabled);
            if (button) button.click();
            return Boolean(button);
        """
        wait_for(lambda: self.browser.execute_script(script, words), f"a button {words!r}", 15)

    def complaints(self) -> list[str]:
        """What the browser has logged as an error since it was last asked."""
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


def iso(t_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t_s)) + f".{int(t_s % 1 * 1000):03d}Z"


@contextmanager
def chromium() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    try:
        driver.set_page_load_timeout(30)
        yield driver
    finally:
        driver.quit()


@contextmanager
def scene(folder: Path, **env: str) -> Iterator[Scene]:
    """All three, for the tests of a module."""
    broker = Broker(folder).start()
    page = PageProcess(folder, broker.port, **env)
    try:
        page.start()
        with chromium() as browser:
            made = Scene(broker, page, browser)
            yield made
            made.ear.close()
    finally:
        if page.process is not None:
            page.process.kill()
        broker.close()


def picture(driver: Any, name: str) -> None:
    """Kept in out/pictures for whoever looks, and in few colours, as small as the one in docs/pictures; no test depends on it."""
    from PIL import Image

    out = Path(__file__).parents[2] / "out" / "pictures"
    out.mkdir(parents=True, exist_ok=True)
    driver.save_screenshot(str(out / f"{name}.png"))
    with Image.open(out / f"{name}.png") as whole:
        shown = whole.convert("RGB").crop((0, 0, whole.width, min(whole.height, SMALL_ROWS)))
        small = shown.resize((SMALL_COLUMNS, shown.height * SMALL_COLUMNS // shown.width))
        small.quantize(16, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            out / f"{name}-small.png", optimize=True
        )
