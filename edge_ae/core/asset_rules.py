"""One asset's own rules: those of the settings, and those that people gave by command, which win and outlive a restart.

    the channels that a window's deviation is of ─ ruled_out ─► a suppression, where a rule excuses every one of them
    an event time                                ─ silenced  ─► a suppression, while the owner wants to hear nothing

Decides nothing about alerts: what comes of a suppression is the affair of `alert`. Where there is doubt, nothing is excused: an alert
too many can be answered, one too few cannot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edge_ae.core.events import Share
from edge_ae.core.rules import NO_RULE, AlertRules, ChannelRule, MinDeviation, RuleInForce
from edge_ae.core.suppression import Maintenance, Silence, Suppression, WithheldBy
from edge_ae.core.timestamps import minute_text

MOST_SILENCES = 32
"""Of an asset, set ahead."""

NAMED = 3
"""Channels whose rules a sentence names."""

OPPOSITE = {"high": "low", "low": "high"}


class AssetRules:
    """`channels`: the model's, which rules may name. What the settings say of others is for other models, and passed over.

    `ignored`: how many rules those are.
    """

    def __init__(self, rules: AlertRules, channels: Sequence[str]) -> None:
        self.silences: tuple[Silence, ...] = ()
        self._channels = tuple(channels)
        self._maintenance = rules.maintenance
        self._set = {name: rule for name, rule in rules.channels.items() if name in channels}
        self.ignored = len(rules.channels) - len(self._set)
        self._commanded: dict[str, ChannelRule] = {}
        self._join()

    def _join(self) -> None:
        names = [name for name in self._channels if name in self._set or name in self._commanded]
        self._rules = {name: self._commanded.get(name, NO_RULE).over(self._set.get(name, NO_RULE)) for name in names}

    # -- what is asked of them -----------------------------------------------------------------------------

    @property
    def judge_channels(self) -> bool:
        """Whether there are rules by channel, so that what a window's deviation is of makes a difference."""
        return len(self._rules) > 0

    def ruled_out(self, shares: Sequence[Share]) -> Suppression | None:
        """What stands against an alert of a window with these shares; None: one of the accused at least has no excuse."""
        excuses = [_excuse(self._rules.get(one.name, NO_RULE), one) for one in shares if one.accused]
        known = [excuse for excuse in excuses if excuse is not None]
        if not excuses or len(known) < len(excuses):
            return None
        more = [f"{len(known) - NAMED} more"] if len(known) > NAMED else []
        return Suppression(WithheldBy.RULE, "rule: " + "; ".join([*known[:NAMED], *more]))

    def silenced(self, t_ns: int) -> Suppression | None:
        """What stands against any alert at an event time."""
        known: list[Silence | Maintenance] = [*self.silences, *self._maintenance]
        return next((one.suppression for one in known if one.covers(t_ns)), None)

    @property
    def in_force(self) -> tuple[RuleInForce, ...]:
        """Channel by channel, in the model's order."""
        return tuple(
            RuleInForce(name, rule, "command" if name in self._commanded else "settings")
            for name, rule in self._rules.items()
        )

    # -- what operators do ---------------------------------------------------------------------------------

    def set_channel(self, channel: str, rule: ChannelRule) -> None:
        """What `rule` says of a channel is in force from now on. Raises ValueError with a sentence for an unknown channel."""
        if channel not in self._channels:
            raise ValueError(
                f"{channel[:64]!r} is no channel of its model; there are {', '.join(self._channels)[:400]}"
            )
        self._commanded[channel] = rule.over(self._commanded.get(channel, NO_RULE))
        self._join()

    def clear_channel(self, channel: str) -> None:
        """Of a channel what the settings say is in force again. Raises ValueError where no command has said anything else."""
        if channel not in self._commanded:
            known = ", ".join(self._commanded) or "none"
            raise ValueError(f"no command has set a rule for {channel[:64]!r}; rules by command: {known[:400]}")
        del self._commanded[channel]
        self._join()

    def add_silence(self, silence: Silence, t_ns: int) -> None:
        """One more silence; `t_ns`: event time now. Raises ValueError where it is over already, or too many are set."""
        if silence.until_ns <= t_ns:
            raise ValueError(f"it is over already: the asset's time is {minute_text(t_ns)}")
        kept = {one: None for one in self.silences if one.until_ns > t_ns} | {silence: None}
        if len(kept) > MOST_SILENCES:
            raise ValueError(f'an asset has {MOST_SILENCES} silences at most; {{"clear": true}} removes them all')
        self.silences = tuple(sorted(kept, key=lambda one: one.from_ns))

    def clear_silences(self) -> None:
        """No silence is set any more."""
        self.silences = ()

    def expire(self, t_ns: int) -> None:
        """Drop the silences that are over at an event time."""
        if any(one.until_ns <= t_ns for one in self.silences):
            self.silences = tuple(one for one in self.silences if one.until_ns > t_ns)

    # -- restarts ------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """What came by command, as plain values."""
        return {
            "channels": {name: asdict(rule) for name, rule in self._commanded.items()},
            "silences": [asdict(one) for one in self.silences],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made, with another model's channels too."""
        self._commanded = {name: _rule(saved) for name, saved in state["channels"].items()}
        self.silences = tuple(Silence(**saved) for saved in state["silences"])
        self._join()


def _excuse(rule: ChannelRule, share: Share) -> str | None:
    """Why a channel's deviation does not count; None: it does. Without a value nothing is known of it, and it counts."""
    if rule.mute is True:
        return f"{share.name} is muted"
    if share.direction == OPPOSITE.get(rule.direction or ""):
        return f"{share.name} is {share.direction}, and only {rule.direction} counts"
    least = rule.min_deviation
    if least is not None and abs(share.deviation) < least.around(share.expected):
        unit = "% of what is expected" if least.is_part else share.unit
        return f"{share.name} deviates by less than {str(least.shown).removesuffix('%')} {unit}".rstrip()
    return None


def _rule(saved: Mapping[str, Any]) -> ChannelRule:
    least = saved["min_deviation"]
    return ChannelRule(**(dict(saved) | {"min_deviation": None if least is None else MinDeviation(**least)}))
