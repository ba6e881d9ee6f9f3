"""The topics that do carry messages where a stream gets none, and how they differ from what was asked for. Pure and bounded."""

from dataclasses import dataclass

from edge_ae.core.printable import printable
from edge_ae.core.topics import PLACES

TOPICS = 1_000  # that are remembered
SHOWN = 3  # of them, the nearest
TOPIC_CHARS = 120
ANY = frozenset({"+", *PLACES})


@dataclass(slots=True)
class TopicTraffic:
    """What came on a topic."""

    messages: int = 0
    live: int = 0  # of them, those that were sent while we listened, and not kept by the broker from before


def wider(pattern: str) -> str:
    """A filter around a stream's topics: all below its first level, or all where that one is a wildcard."""
    first = pattern.split("/")[0]
    return "#" if first in ANY or first == "#" else f"{first}/#"


class NearbyTopics:
    """`own`: topics that begin so are edge-ae's."""

    def __init__(self, own: str) -> None:
        self.messages = 0
        self._own = own
        self._topics: dict[str, TopicTraffic] = {}

    def push(self, topic: str, *, retained: bool) -> None:
        """Take note of a message."""
        if topic.startswith(self._own) or (topic not in self._topics and len(self._topics) >= TOPICS):
            return
        self.messages += 1
        traffic = self._topics.setdefault(topic, TopicTraffic())
        traffic.messages += 1
        traffic.live += not retained

    def lines(self, pattern: str) -> list[str]:
        """The nearest topics, each with what is other than in the pattern."""
        near = sorted(self._topics, key=lambda topic: (_distance(pattern, topic), topic))
        lines = [
            f"{printable(topic, TOPIC_CHARS)} ({self._traffic(topic)}): {difference(pattern, topic)}" for topic in near
        ]
        return lines[:SHOWN] + ([f"{len(lines) - SHOWN} other topics"] if len(lines) > SHOWN else [])

    def _traffic(self, topic: str) -> str:
        traffic = self._topics[topic]
        if traffic.live == 0:
            return "a retained message, nothing new"
        return "1 message" if traffic.messages == 1 else f"{traffic.messages} messages"


def difference(pattern: str, topic: str) -> str:
    """Why a topic is not one of a pattern, as a clause."""
    asked, there = pattern.split("/"), topic.split("/")
    open_ended = asked[-1] == "#"
    fixed = asked[:-1] if open_ended else asked
    for number, (level, found) in enumerate(zip(fixed, there, strict=False), start=1):
        if level not in ANY and level != found:
            case = "; upper and lower case differ" if level.casefold() == found.casefold() else ""
            return f"level {number} is {printable(found, TOPIC_CHARS) or 'empty'}, not {level}{case}"
    return f"it has {_levels(len(there))}, {pattern} has {'at least ' if open_ended else ''}{_levels(len(fixed))}"


def _levels(count: int) -> str:
    return "1 level" if count == 1 else f"{count} levels"


def _distance(pattern: str, topic: str) -> tuple[int, int, int]:
    """Of topics that agree with the pattern for as many levels, the one is nearer that agrees in more of the others, too."""
    asked, there = pattern.split("/"), topic.split("/")
    alike = [level == found or level in ANY for level, found in zip(asked, there, strict=False)]
    first = alike.index(False) if False in alike else len(alike)
    return -first, -sum(alike), abs(len(asked) - len(there))
