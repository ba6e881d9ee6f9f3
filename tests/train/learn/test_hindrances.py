"""A machine on battery, hot or without room does not train; one that knows nothing of all that does."""

from pathlib import Path

import pytest
from edge_ae_train.learn import hindrances
from edge_ae_train.learn.hindrances import Hindrances


def supply(sys: Path, name: str, **facts: str) -> None:
    folder = sys / "class" / "power_supply" / name
    folder.mkdir(parents=True)
    for key, value in facts.items():
        (folder / key).write_text(f"{value}\n")


def zone(sys: Path, number: int, temp: str) -> None:
    folder = sys / "class" / "thermal" / f"thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "temp").write_text(f"{temp}\n")


def now(tmp_path: Path, **changes: object) -> str | None:
    options = {"folder": tmp_path / "models", "on_battery": False, "max_celsius": 75.0, "sys": tmp_path / "sys"}
    return Hindrances(**(options | changes)).now()  # type: ignore[arg-type]


def test_a_machine_without_batteries_and_thermometers_is_hindered_by_none(tmp_path: Path) -> None:
    assert now(tmp_path) is None


@pytest.mark.parametrize(
    ("battery", "mains", "hindered"),
    [
        ({"type": "Battery", "status": "Discharging"}, {"type": "Mains", "online": "0"}, True),
        ({"type": "Battery", "status": "Discharging"}, {"type": "USB", "online": "1"}, False),
        ({"type": "Battery", "status": "Charging"}, {"type": "Mains", "online": "1"}, False),
        ({"type": "Battery", "status": "Full"}, {"type": "Mains", "online": "0"}, False),
        ({"type": "Battery", "status": "Discharging", "scope": "Device"}, {}, False),
    ],
)
def test_it_waits_on_battery_and_not_for_that_of_a_mouse(
    tmp_path: Path, battery: dict[str, str], mains: dict[str, str], hindered: bool
) -> None:
    supply(tmp_path / "sys", "BAT0", **battery)
    if mains:
        supply(tmp_path / "sys", "AC", **mains)
    expected = "the machine runs on battery (learn.on_battery)" if hindered else None
    assert (now(tmp_path), now(tmp_path, on_battery=True)) == (expected, None)


def test_it_waits_where_the_hottest_zone_is_too_hot(tmp_path: Path) -> None:
    for number, temp in enumerate(("41000", "81500", "broken")):
        zone(tmp_path / "sys", number, temp)
    assert now(tmp_path) == "the machine is at 82 °C, and 75 are allowed (learn.max_celsius)"
    assert now(tmp_path, max_celsius=90.0) is None


def test_it_waits_for_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hindrances, "LEAST_FREE_BYTES", 2**60)
    reason = now(tmp_path)
    assert reason is not None
    assert reason.startswith(f"the disk of {tmp_path / 'models'} has ")
    assert reason.endswith("make room")
