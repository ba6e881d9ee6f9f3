"""The attributes of an event, as CloudEvents 1.0 names them."""

import pytest

from edge_ae.core.cloud_events import attributes
from edge_ae.core.timestamps import SECOND


def test_a_step_of_an_alert_has_every_attribute() -> None:
    assert attributes("edge-ae/pi-7/pump-1/event", "abc", 3, 90 * SECOND, b'{"type":"end"}') == (
        ("specversion", "1.0"),
        ("id", "abc-3"),
        ("source", "/edge-ae/pi-7"),
        ("type", "edge-ae.alert.end"),
        ("time", "1970-01-01T00:01:30.000Z"),
        ("subject", "pump-1"),
    )


def test_a_flood_is_of_the_node_and_has_no_subject() -> None:
    found = dict(attributes("edge-ae/pi-7/flood", "abc", 1, 0, b'{"type":"new"}'))
    assert (found["source"], found["type"], "subject" in found) == ("/edge-ae/pi-7", "edge-ae.flood.new", False)


def test_a_base_that_is_no_uri_is_made_one() -> None:
    found = dict(attributes("Halle 3/Süd/pi/p/event", "abc", 1, 0, b'{"type":"new"}'))
    assert found["source"] == "/Halle%203/S%C3%BCd/pi"


@pytest.mark.parametrize("payload", [b"[]", b"{}"])
def test_what_has_no_type_is_no_event(payload: bytes) -> None:
    assert attributes("edge-ae/pi-7/pump-1/event", "abc", 1, 0, payload) == ()
