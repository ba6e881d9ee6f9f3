"""The page in a real browser, with a real broker: what a person sees and what a tap does."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MOSQUITTO, Node, wait_for
from tests.web.scene import CHROMIUM, DRIVER, MISSING, Scene, iso, picture, scene

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING),
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto"),
]

ALERT = {
    "state": "active",
    "active": 1,
    "severity": "high",
    "severity_level": 3,
    "reason": "vibration 1.61 mm/s, expected 1.168 (high, 71 % of the deviation)",
    "ts_onset": "2026-11-26T09:00:00.000Z",
    "channels": [
        {"name": "vibration", "unit": "mm/s", "share": 0.71, "observed": 1.61, "expected": 1.168, "direction": "high"}
    ],
}
HOSTILE = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "javascript:document.title='owned'",
    "{{ constructor.constructor('document.title=1')() }}",
    "</script><script>document.title='owned'</script>",
    "`${document.title='owned'}`",
    "\u202egnp.exe",
    "x" * 10_000,
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("page")) as made:
        yield made


@pytest.fixture
def play(stage: Scene) -> Iterator[Scene]:
    stage.complaints()
    yield stage
    stage.clear()


def test_the_list_has_the_worst_first_and_follows_what_is_published_without_a_reload(play: Scene) -> None:
    for number in range(5):
        play.asset("pi", f"pump-{number}")
    play.open()
    play.shows("5 assets: 5 normal", "[data-test=counts]")
    play.browser.execute_script("window.unchanged = true")
    play.asset("pi", "pump-3", **ALERT)
    play.score("pi", "pump-3", 2.13)
    play.shows("alert, high", ".ea-list li:first-child")
    play.shows("vibration 1.61 mm/s", ".ea-list li:first-child")
    play.shows("2.13", ".ea-list li:first-child")
    assert play.browser.execute_script("return window.unchanged") is True
    assert play.complaints() == []
    picture(play.browser, "assets")


def test_nothing_is_asked_of_any_other_host(play: Scene) -> None:
    play.browser.get_log("performance")
    play.asset("pi", "pump-0")
    play.open()
    play.shows("pump-0")
    play.open("/asset/pi/pump-0")
    play.shows("Acknowledge")
    events = [json.loads(entry["message"])["message"] for entry in play.browser.get_log("performance")]
    asked = {
        event["params"]["request"]["url"].split("/")[2]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked == {f"127.0.0.1:{play.page.port}"}


def test_what_is_searched_for_is_found_by_name_and_reason(play: Scene) -> None:
    for number in range(3):
        play.asset("pi", f"fan-{number}", **(ALERT if number == 1 else {}))
    play.open()
    play.shows("3 assets")
    box = play.browser.find_element("css selector", "input[type=search]")
    box.send_keys("VIBRATION")
    wait_for(lambda: play.text(".ea-list").count("fan-") == 1, "one row")
    box.clear()
    box.send_keys("fan-2")
    play.shows("fan-2", ".ea-list")
    wait_for(lambda: "fan-1" not in play.text(".ea-list"), "one row")


def test_hostile_names_reasons_and_notes_are_text(play: Scene) -> None:
    for number, text in enumerate(HOSTILE):
        name = text.replace("/", "\u2215").replace("+", "").replace("#", "")[:100] + str(number)
        share = ALERT["channels"][0] | {"name": text, "unit": text, "direction": text}  # type: ignore[index]
        play.asset("pi", name, **(ALERT | {"reason": text, "severity": text, "channels": [share], "similar_to": text}))
    play.say("<b>node/status", "offline")
    play.open()
    play.shows(f"{len(HOSTILE)} assets")
    play.shows("<script>document.title='owned'", ".ea-list")
    play.shows("Node <b>node is offline")
    paths = play.browser.execute_script("return [...document.querySelectorAll('.ea-row')].map((row) => row.href)")
    for path in paths:
        play.browser.get(path)
        play.shows("Shares of the alert")
        assert play.browser.title != "owned"
        assert play.browser.execute_script("return document.querySelectorAll('main img, main script').length") == 0
        assert "\u202e" not in play.text()
        assert play.browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert [line for line in play.complaints() if "favicon" not in line] == []


def test_on_a_telephone_nothing_is_wider_than_the_screen(play: Scene) -> None:
    play.asset("pi", "a-name-that-is-as-long-as-the-daemon-takes-them-" + "x" * 15, **ALERT)
    play.asset("pi", "pump-1")
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    play.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for path in ("/", "/asset/pi/pump-1"):
            play.open(path)
            play.shows("pump-1")
            assert play.browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [
                360,
                360,
            ]
        picture(play.browser, "telephone")
    finally:
        play.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_columns_are_named_and_an_alert_that_is_over_is_still_said(play: Scene) -> None:
    play.asset("pi", "pump-0", **ALERT, ts_raised=iso(time.time() - 7300), top_channel="vibration")
    play.open()
    play.shows("alert, high", ".ea-list")
    assert play.text(".ea-heads").split() == ["asset", "state", "ratio", "last", "hour", "why"]
    assert "last alert" not in play.text()
    play.asset("pi", "pump-0")
    play.shows("last alert: 2 h ago, vibration", ".ea-list")
    play.browser.find_element("css selector", ".ea-list a").click()
    play.shows("last alert: 2 h ago, vibration", "[data-test=past]")


def test_state_reason_and_answers_come_before_the_signals_and_only_answers_that_make_sense_can_be_tapped(
    play: Scene,
) -> None:
    play.asset("pi", "pump-0", **ALERT)
    play.open("/asset/pi/pump-0")
    play.shows("vibration 1.61 mm/s", "[data-test=reason]")
    words = play.text("main")
    order = ["Now:", "vibration 1.61", "Acknowledge", "Shares of the alert", "Signals", "Facts"]
    assert sorted(order, key=words.index) == order
    can = "return [...document.querySelectorAll('[aria-label=Answers] button')].filter((one) => !one.disabled).map((one) => one.innerText)"
    assert "Acknowledge" in play.browser.execute_script(can)
    assert not {"Unshelve", "In service"} & set(play.browser.execute_script(can))
    play.asset("pi", "pump-0", shelved=True)
    wait_for(lambda: "Unshelve" in play.browser.execute_script(can), "the way back")
    assert "Acknowledge" not in play.browser.execute_script(can)


def test_what_is_left_over_of_a_node_that_is_gone_is_shown_and_removed_and_nothing_else(play: Scene) -> None:
    play.asset("pi", "pump-0")
    play.say("<old>/status", "offline")
    play.say("<old>/stats", {"ts": "2023-11-14T22:13:20.000Z", "assets": 1, "asset": {"fan": {}}})
    play.say("<old>/fan/alert", {"state": "active"})
    play.open()
    play.shows("<old>", ".ea-list")
    play.tap("Nodes and assets that are gone \u2026")
    play.shows("3 topics of nodes and assets that are gone", "[data-test=gone]")
    play.shows("<old>: offline, its last stats are of 2023-11-14")
    play.tap("Remove them")
    play.shows("3 topics removed", "[data-test=gone]")
    wait_for(lambda: "<old>" not in play.text(), "the list without it")
    assert "pump-0" in play.text(".ea-list")
    play.tap("Nodes and assets that are gone \u2026")
    play.shows("Nothing is left over", "[data-test=gone]")


def test_light_and_dark_are_the_systems_until_somebody_chooses(play: Scene) -> None:
    dark = "return document.body.classList.contains('body--dark')"
    system = {word: {"features": [{"name": "prefers-color-scheme", "value": word}]} for word in ("light", "dark")}
    play.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", system["dark"])
    play.open()
    wait_for(lambda: play.browser.execute_script(dark), "dark")
    choice = play.browser.find_element("css selector", "header select")
    choice.send_keys("light")
    wait_for(lambda: not play.browser.execute_script(dark), "light")
    play.open()
    wait_for(lambda: play.browser.execute_script("return document.querySelector('header select')?.value") == "light")
    assert not play.browser.execute_script(dark)
    play.browser.execute_script("localStorage.clear()")
    play.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", system["light"])


def test_a_hundred_assets_are_drawn_and_followed(play: Scene) -> None:
    for number in range(100):
        play.asset("big", f"pump-{number}")
    play.open()
    play.shows("100 assets: 100 normal")
    for number in range(100):
        play.score("big", f"pump-{number}", number / 100)
    play.shows("0.99")
    count = "return [...document.querySelectorAll('.ea-ratio')].filter((one) => one.innerText !== '–').length"
    wait_for(lambda: play.browser.execute_script(count) == 100, "a ratio in each row")


def test_a_node_that_is_gone_and_a_flood_are_said_above_the_list(play: Scene) -> None:
    play.asset("pi", "pump-0")
    play.say("pi/status", "offline")
    now = time.time()
    play.say(
        "pi/flood",
        {"type": "new", "ts": iso(now), "reason": "more than 10 new alerts within 600 s: 4 not told one by one"},
        retain=False,
    )
    play.open()
    play.shows("Node pi is offline")
    play.shows("Flood of alerts on node pi")
    play.shows("node offline", ".ea-list")
    play.say("pi/flood", {"type": "end", "ts": iso(now), "reason": "over"}, retain=False)
    wait_for(lambda: "Flood" not in play.text(), "no flood")


def test_a_tap_is_carried_out_by_the_daemon_and_its_restart_needs_no_reload(play: Scene, tmp_path: Path) -> None:
    node = Node(tmp_path, play.broker.port).start().ready()
    try:
        begin = time.time() - 5
        readings = [
            {"ts": iso(begin + number / 10), "a": 1.0 if number < 20 else 25.0, "b": 1.0} for number in range(30)
        ]
        play.ear.publish_all("plant/pump/telemetry", readings)
        play.open("/asset/n1/pump")
        play.shows("alert", "[data-test=state]")
        play.browser.execute_script("window.unchanged = true")
        play.tap("Acknowledge")
        play.shows("acknowledged")
        play.shows("alert, seen", "[data-test=state]")
        assert wait_for(lambda: play.ear.last("n1/pump/alert")["acked"], "the daemon's word")
        play.shows("bar", "[data-channel=a]")  # its signals have come
        play.shows("goes on", "[data-alert]")  # and its history
        play.tap("Rule for a …")
        play.shows("never again below a deviation")
        play.browser.find_element("css selector", "input[maxlength='20']").send_keys("40")
        play.tap("Make the rule")
        play.shows("a from a deviation of 40", "[aria-label='Rules, silences and lessons in force']")
        play.tap("Take back")
        wait_for(lambda: "from a deviation" not in play.text(), "no rule")
        picture(play.browser, "asset")
        node.stop()
        play.shows("node offline", "[data-test=state]")
        play.tap("Shelve 1 h")
        node.start().ready()
        play.shows("shelved", "[data-test=state]")  # which the broker has kept for it
        play.tap("Unshelve")
        play.shows("alert, seen", "[data-test=state]")
        assert play.browser.execute_script("return window.unchanged") is True
    finally:
        node.stop()
    play.ear.publish("edge-ae/n1/status", b"", retain=True)
    for kind in ("alert", "health"):
        play.ear.publish(f"edge-ae/n1/pump/{kind}", b"", retain=True)


def test_the_page_says_since_when_there_is_no_broker_and_comes_back(play: Scene) -> None:
    play.asset("pi", "pump-0")
    play.open()
    play.shows("pump-0")
    play.broker.stop()
    play.shows("Not connected to the broker since")
    play.broker.start()
    wait_for(lambda: "Not connected" not in play.text(), "the connection")
    wait_for(play.ear.client.is_connected, "our own connection")
    play.score("pi", "pump-0", 0.77)
    play.shows("0.77", ".ea-list")


def test_the_page_says_that_it_is_cut_off_and_comes_back_after_its_own_restart(play: Scene) -> None:
    play.asset("pi", "pump-0")
    play.open()
    play.shows("pump-0")
    assert play.page.stop() == 0
    play.shows("This page is not connected since")
    play.page.start()
    wait_for(lambda: "not connected" not in play.text() and "pump-0" in play.text(), "the page")


def test_history_and_what_if_are_drawn_and_the_budget_is_a_tap(play: Scene) -> None:
    play.asset("pi", "pump-0")
    now = time.time()
    alerts: list[dict[str, Any]] = [
        {"id": f"a{number}", "ts_onset": iso(now - 3600 * number - 600), "ts_raised": iso(now - 3600 * number - 600)}
        | {
            "ts_cleared": iso(now - 3600 * number),
            "duration_s": 600.0,
            "ratio": 2.0,
            "severity": "medium",
            "severity_level": 2,
        }
        | {"top_channel": "flow", "reason": f"flow odd {number}", "announced": number != 1, "suppressed": number == 1}
        | {
            "suppressed_by": "rule: flow is muted" if number == 1 else None,
            "label": None,
            "note": None,
            "cause": "score",
        }
        for number in range(12)
    ]
    hours = [[iso(now - 3600 * (100 - hour)), 1.5 if hour in (10, 11, 50) else 0.5] for hour in range(100)]
    budgets = [{"budget": "1/week", "boundary": 2.0, "alerts": 0}, {"budget": "1/day", "boundary": 1.0, "alerts": 2}]
    what_if = {"budget": "1/week", "boundary": 2.0, "budgets": budgets, "hours": hours}
    play.open("/asset/pi/pump-0")
    wait_for(lambda: play.ear.on("pi/pump-0/cmd/history"), "the page's question")
    play.say("pi/pump-0/history", {"schema": 1, "alerts": alerts, "more": False, "what_if": what_if}, retain=False)
    play.shows("flow odd 0")
    play.shows("suppressed, medium", "[data-alert=a1]")
    play.shows("rule: flow is muted", "[data-alert=a1]")
    assert "flow odd 11" not in play.text()
    play.tap("Earlier alerts")
    play.shows("flow odd 11")
    play.shows("With 1/week: 0 alerts", "[data-test=what-if]")
    play.browser.find_element("css selector", "[data-test=budget]").send_keys("\ue014")  # the right arrow
    play.shows("With 1/day: 2 alerts", "[data-test=what-if]")
    assert play.text("[aria-label^='What if'] .ea-alerts").count(" to ") == 2
    play.tap("Use this budget")
    assert wait_for(lambda: play.ear.last("pi/pump-0/cmd/budget"), "the command") == {"budget": "1/day"}
    picture(play.browser, "history")


def test_an_alert_is_named_and_a_rule_is_made_of_it(play: Scene) -> None:
    play.asset("pi", "pump-0")
    alert = {
        "id": "a0",
        "ts_onset": iso(time.time() - 600),
        "ts_raised": iso(time.time() - 600),
        "top_channel": "flow",
        "reason": "flow odd",
    }
    play.open("/asset/pi/pump-0")
    wait_for(lambda: play.ear.on("pi/pump-0/cmd/history"), "the page's question")
    play.say("pi/pump-0/history", {"schema": 1, "alerts": [alert], "more": False}, retain=False)
    play.shows("flow odd")
    play.tap("Name it …")
    play.shows("What was it?")
    play.browser.find_element("css selector", "textarea").send_keys("<b>bearing</b>")
    play.tap("Keep")
    said = wait_for(lambda: play.ear.last("pi/pump-0/cmd/feedback"), "the command")
    assert said == {"id": "a0", "label": "true_alarm", "note": "<b>bearing</b>"}
    play.tap("Rule for flow …")
    play.shows("never again below a deviation")
    play.browser.find_element(
        "css selector", "[role=dialog] input[maxlength='20'], .q-dialog input[maxlength='20']"
    ).send_keys("0,5")
    play.tap("Make the rule")
    assert wait_for(lambda: play.ear.last("pi/pump-0/cmd/rule"), "the command") == {
        "channel": "flow",
        "min_deviation": 0.5,
    }
