"""The owner's rules of channels and silences: what they excuse, what they refuse, and what a restart keeps."""

import math
from typing import Any

import orjson
import pytest

from edge_ae.core.asset_rules import MOST_SILENCES, AssetRules
from edge_ae.core.events import Share
from edge_ae.core.rules import AlertRules, ChannelRule, MinDeviation, RuleInForce, min_deviation_of
from edge_ae.core.suppression import Silence
from edge_ae.core.timestamps import MINUTE, SECOND

NAN = math.nan
CHANNELS = ("temp", "flow", "wind")
MUTE, HIGH, LOW = ChannelRule(mute=True), ChannelRule(direction="high"), ChannelRule(direction="low")


def rules(**channels: ChannelRule) -> AssetRules:
    return AssetRules(AlertRules(SECOND, channels=channels), CHANNELS)


def share(name: str = "temp", observed: float = 12.0, expected: float = 10.0, **facts: Any) -> Share:
    return Share(name, "°C", 0.5, observed, expected, **({"accused": True} | facts))


def text(own: AssetRules, *shares: Share) -> str | None:
    found = own.ruled_out(shares)
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("rule", "observed", "expected", "excuse"),
    [
        (MUTE, 12.0, 10.0, "rule: temp is muted"),
        (HIGH, 12.0, 10.0, None),
        (HIGH, 8.0, 10.0, "rule: temp is low, and only high counts"),
        (HIGH, 10.0, 10.0, None),
        (LOW, 12.0, 10.0, "rule: temp is high, and only low counts"),
        (LOW, NAN, 10.0, None),
        (ChannelRule(direction="both"), 12.0, 10.0, None),
        (ChannelRule(min_deviation=MinDeviation(2.5)), 12.0, 10.0, "rule: temp deviates by less than 2.5 °C"),
        (ChannelRule(min_deviation=MinDeviation(2.0)), 8.0, 10.0, None),
        (ChannelRule(min_deviation=MinDeviation(2.5)), NAN, 10.0, None),
        (ChannelRule(min_deviation=min_deviation_of("25%")), 12.0, 10.0, "rule: temp deviates by less than 25 % of what is expected"),
        (ChannelRule(min_deviation=min_deviation_of("20%")), -12.0, -10.0, None),
        (ChannelRule(mute=False, min_deviation=MinDeviation(0.0)), 10.0, 10.0, None),
    ],
)  # fmt: skip
def test_a_rule_excuses_a_channel_and_on_a_tie_it_does_not(
    rule: ChannelRule, observed: float, expected: float, excuse: str | None
) -> None:
    assert text(rules(temp=rule), share(observed=observed, expected=expected)) == excuse


def test_one_accused_channel_without_an_excuse_is_enough_for_an_alert() -> None:
    own = rules(temp=MUTE)
    assert text(own, share(), share("flow", accused=False)) == "rule: temp is muted"
    assert text(own, share(), share("flow")) is None
    assert text(own, share(accused=False), share("flow", accused=False)) is None


def test_direction_of_an_angle_is_that_of_the_short_way_round() -> None:
    own = rules(wind=HIGH)
    assert text(own, share("wind", 5.0, 355.0, turn=360.0)) is None
    assert text(own, share("wind", 355.0, 5.0, turn=360.0)) == "rule: wind is low, and only high counts"


def test_a_command_goes_before_the_settings_key_by_key_and_can_be_taken_back() -> None:
    own = rules(temp=ChannelRule(mute=True, direction="high"))
    own.set_channel("temp", ChannelRule(mute=False))
    own.set_channel("temp", ChannelRule(min_deviation=MinDeviation(0.5)))
    (there,) = own.in_force
    assert there == RuleInForce("temp", ChannelRule(False, "high", MinDeviation(0.5)), "command")
    own.clear_channel("temp")
    assert own.in_force == (RuleInForce("temp", ChannelRule(True, "high"), "settings"),)


def test_what_the_settings_say_of_another_model_s_channels_is_passed_over() -> None:
    own = rules(speed=MUTE)
    assert (own.in_force, own.judge_channels) == ((), False)


def test_a_command_for_an_unknown_channel_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="'tmep' is no channel of its model; there are temp, flow, wind"):
        rules().set_channel("tmep", MUTE)
    with pytest.raises(ValueError, match="no command has set a rule for 'temp'; rules by command: none"):
        rules(temp=MUTE).clear_channel("temp")


def test_a_silence_begins_with_its_first_moment_and_ends_with_its_last() -> None:
    own = rules()
    own.add_silence(Silence(10 * MINUTE, 20 * MINUTE, "cleaning"), 0)
    moments = (10 * MINUTE - 1, 10 * MINUTE, 20 * MINUTE - 1, 20 * MINUTE)
    found = [own.silenced(t_ns) for t_ns in moments]
    assert [None if one is None else one.text for one in found] == [
        None, *["silence until 1970-01-01 00:20 UTC: cleaning"] * 2, None
    ]  # fmt: skip


def test_silences_are_bounded_and_those_that_are_over_make_room() -> None:
    own = rules()
    for n in range(MOST_SILENCES):
        own.add_silence(Silence(n, n + 10), 0)
    own.add_silence(Silence(0, 10), 0)  # the same once more
    with pytest.raises(ValueError, match="an asset has 32 silences at most"):
        own.add_silence(Silence(5, 50), 0)
    own.add_silence(Silence(5, 50), 10)
    with pytest.raises(ValueError, match="it is over already: the asset's time is 1970-01-01 00:01 UTC"):
        own.add_silence(Silence(5, MINUTE), MINUTE)
    own.expire(30)
    assert [one.until_ns for one in own.silences] == [50, *range(31, 42)]


def test_rules_and_silences_of_commands_survive_a_restart_with_another_model_too() -> None:
    own = rules(flow=HIGH)
    own.set_channel("temp", ChannelRule(min_deviation=min_deviation_of("5%")))
    own.set_channel("flow", LOW)
    own.add_silence(Silence(5, 50, "x"), 0)
    saved = orjson.loads(orjson.dumps(own.snapshot()))
    again = rules(flow=HIGH)
    again.restore(saved)
    assert (again.in_force, again.silences) == (own.in_force, own.silences)
    other = AssetRules(AlertRules(SECOND), ("flow",))
    other.restore(saved)
    assert [one.channel for one in other.in_force] == ["flow"]


ENDLESS = "9" * 400


@pytest.mark.parametrize(
    "value", ["5", "-5%", "five", -1, math.inf, NAN, True, None, [1], int(ENDLESS), ENDLESS + "%"], ids=repr
)
def test_what_is_no_deviation_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="should be a number in the channel's unit"):
        min_deviation_of(value)
