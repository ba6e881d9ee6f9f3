"""What the live page costs with one browser before it: memory, the first paint, and processor time while all assets are live."""

import json
import time
from dataclasses import dataclass

import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from tests.bench.throughput import Scene
from tests.conftest import wait_for
from tests.web.scene import CHROMIUM, DRIVER, PageProcess, chromium, iso

ASSETS = 50
PAINT = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
RATIOS = "return [...document.querySelectorAll('.ea-ratio')].filter((one) => /\\d/.test(one.innerText)).length"


@dataclass(frozen=True)
class PageCost:
    """`cpu_percent`: of one core."""

    rss_mb: float
    paint_ms: float
    cpu_percent: float


def can_be_measured() -> bool:
    return CHROMIUM is not None and DRIVER is not None


def cost(scene: Scene, base: str, seconds: float) -> PageCost:
    """With a score a second of each asset, for so long; the browser's cache is empty at first."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", scene.port)
    client.loop_start()
    client.publish(f"{base}/pi/status", "online", 1, retain=True)
    for number in range(ASSETS):
        client.publish(f"{base}/pi/pump-{number}/alert", json.dumps({"state": "normal"}), 1, retain=True)
    page = PageProcess(scene.folder, scene.port, f"--base={base}").start()
    try:
        assert page.process is not None
        process = psutil.Process(page.process.pid)
        with chromium() as browser:
            browser.get(page.url())
            paint_ms = wait_for(lambda: browser.execute_script(PAINT), "the first paint")
            publish(client, base)
            wait_for(lambda: browser.execute_script(RATIOS) == ASSETS, "a ratio of each asset")
            begin, before = time.monotonic(), process.cpu_times()
            while (left := begin + seconds - time.monotonic()) > 0:
                publish(client, base)
                time.sleep(min(1.0, left))
            after, took = process.cpu_times(), time.monotonic() - begin
            spent = after.user + after.system - before.user - before.system
            return PageCost(process.memory_info().rss / 1e6, float(paint_ms), 100 * spent / took)
    finally:
        page.stop()
        client.disconnect()
        client.loop_stop()


def publish(client: mqtt.Client, base: str) -> None:
    now = time.time()
    for number in range(ASSETS):
        ratio = 0.2 + (now * 7 + number) % 1 / 2
        client.publish(
            f"{base}/pi/pump-{number}/score",
            json.dumps({"ts": iso(now), "score": ratio, "threshold": 1.0, "ratio": ratio}),
        )
