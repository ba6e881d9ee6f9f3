"""A channel's name and unit -> what they hint at: an angle, a counter, a level, or something that is not of the machine."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|°")  # of wind_dir, WindDir and WIND-DIR: wind, dir


def _known(words: str) -> frozenset[str]:
    return frozenset(words.split())


COUNTER = _known(
    "kwh mwh wh kvarh energy total tot totaliser totalizer totalised totalized count counts counter cnt pulses pulse odometer "
    "hours runtime uptime cumulative cum accumulated meter starts cycles produced parts m3 km"
)
ANALOG = _known(
    "temp temperature pressure press level voltage volt current power speed rpm flow rate humidity position torque vibration "
    "c k f bar mbar psi pa kpa v mv a ma kw w hz percent ph setpoint"
)
DIRECTION = _known("dir direction wdir winddir winddirection heading hdg azimuth bearing course cog compass")
ROUND = DIRECTION | _known(
    "angle ang yaw azi phase crank phi theta rotation nacelle deg degree degrees ° rad gon hour tod minute weekday dow"
)
NAMED_TURNS = {"hour": 24.0, "tod": 24.0, "minute": 60.0, "weekday": 7.0, "dow": 7.0}
ASIDE = _known("lqi rssi snr wifi batt bat vbat vbatt vcc vdd uptime heap seq sequence packets dbm")
ASIDE_PARTS = re.compile(
    "linkquality|signalstrength|battery|lastseen|freeheap|freemem|supplyvoltage|voltagesupply|packetcount|"
    "packetsent|packetreceived|rxpackets|txpackets"
)
ASSET_NAMES = _known("asset machine device node")
ASSET_ENDINGS = _known("id no nr number")


@dataclass(frozen=True, slots=True)
class Hints:
    """The words of a name and of a unit, in small letters."""

    words: frozenset[str]

    def are(self, known: frozenset[str]) -> bool:
        """Whether one of the words is known."""
        return not self.words.isdisjoint(known)

    @property
    def turns(self) -> tuple[float, ...]:
        """Full turns that the words name: of the hour, 24."""
        return tuple(NAMED_TURNS[word] for word in sorted(self.words) if word in NAMED_TURNS)


def hints(name: str, unit: str = "") -> Hints:
    """Of a unit only where it is one: m3/h is no m3."""
    return Hints(frozenset([*_words(name), unit.lower().replace("³", "3")]))


def says_nothing(name: str, unit: str = "") -> bool:
    """Whether a channel is of the sensor, its radio or its supply, and not of the machine."""
    return hints(name, unit).are(ASIDE) or ASIDE_PARTS.search(re.sub(r"[^a-z]", "", name.lower())) is not None


def names_an_asset(name: str) -> bool:
    """Whether a column of numbers looks like those of machines: pump_id."""
    words = _words(name)
    return len(words) > 0 and (words[-1] in ASSET_ENDINGS or (len(words) == 1 and words[0] in ASSET_NAMES))


def proposal(channels: Iterable[tuple[str, str]]) -> str | None:
    """A sentence on channels, by name and unit, that say nothing of the machine."""
    names = [name for name, unit in channels if says_nothing(name, unit)]
    if not names:
        return None
    return (
        f"{', '.join(names)}: by name of the sensor, not of the machine, and best left out: --ignore {','.join(names)}"
    )


def _words(name: str) -> list[str]:
    return [word.lower() for word in WORD.findall(name)]
