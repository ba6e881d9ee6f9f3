"""What can be published to, and what a command may ask its answer to be published to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.mqtt.connection import new_client
from edge_ae.mqtt.options import Broker, LinkOptions
from edge_ae.mqtt.paho_client import V5
from edge_ae.mqtt.publish_topic import response_topic_fault, topic_name_fault

OPTIONS = LinkOptions(Broker(), "c", "edge-ae/n1/status")


@pytest.mark.parametrize(
    ("topic", "fault"),
    [
        ("", "is empty"),
        ("a/#", "has a wildcard"),
        ("+/a", "has a wildcard"),
        ("a\0b", "holds a NUL"),
        ("\ud800", "is not UTF-8"),
        ("é" * 32_768, "is too long"),
        ("$SYS/broker", "begins with $, which is the broker's own"),
        ("é" * 32_767, None),
        ("/", None),
        ("reply/7", None),
    ],
)
def test_topic_that_cannot_be_published_to_is_known(topic: str, fault: str | None) -> None:
    assert topic_name_fault(topic) == fault


def test_answer_is_not_published_in_our_own_name() -> None:
    assert response_topic_fault("edge-ae/n1/p1/alert", OPTIONS.branch) == "is one of our own"
    assert response_topic_fault("edge-ae/n1", OPTIONS.branch) is None
    assert response_topic_fault("edge-ae/n10/x", OPTIONS.branch) is None


@given(st.text() | st.text(st.sampled_from("a/+#$\0\ud800")))
def test_paho_takes_what_is_not_refused(topic: str) -> None:
    if topic_name_fault(topic) is None:
        new_client(OPTIONS, V5, 1).publish(topic, b"", 1)
