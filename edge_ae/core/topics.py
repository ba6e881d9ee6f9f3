"""Patterns of topics: MQTT's own + and #, and the levels {asset} and {channel}, which say what they hold."""

import re

PLACES = ("{asset}", "{channel}")
LEVELS = {"+": "[^/]*", "{asset}": "(?P<asset>[^/]*)", "{channel}": "(?P<channel>[^/]*)"}
MAX_TOPIC_BYTES = 65535


def topic_fault(pattern: str) -> str | None:
    """What is wrong with a pattern, as a clause; None if nothing is."""
    *above, last = levels = pattern.split("/")
    places = [level for level in levels if "{" in level or "}" in level]
    faults = {
        "is empty": not pattern,
        "is too long or holds a NUL": len(pattern.encode()) > MAX_TOPIC_BYTES or "\0" in pattern,
        "is a shared subscription, which would split an asset's readings": pattern.startswith("$share/"),
        "has a # that is not its whole last level": "#" in "".join(above) or ("#" in last and last != "#"),
        "has a + that is not a whole level": any("+" in level and level != "+" for level in levels),
        "has braces other than a whole level {asset} or {channel}": not set(places) <= set(PLACES),
        "names {asset} or {channel} twice": len(places) != len(set(places)),
    }
    return next((fault for fault, found in faults.items() if found), None)


def base_fault(base: str) -> str | None:
    """Why topics of ours cannot begin with this, as a clause; None: they can."""
    if topic_fault(base) is not None or set("+#{$") & set(base) or not all(base.split("/")):
        return 'should be a topic without wildcards, such as "edge-ae"'
    return None


def topic_filter(pattern: str) -> str:
    """The MQTT subscription that brings the topics of a pattern."""
    return "/".join("+" if level in PLACES else level for level in pattern.split("/"))


def filters_overlap(first: str, second: str) -> bool:
    """Whether some topic is taken in by both of two MQTT filters."""
    if first.startswith("$") != second.startswith("$"):  # what begins with $ is taken in by no wildcard
        return False
    one, other = first.split("/"), second.split("/")
    for level, counterpart in zip(one, other, strict=False):
        if "#" in (level, counterpart):
            return True
        if "+" not in (level, counterpart) and level != counterpart:
            return False
    rest = one[len(other) :] or other[len(one) :]
    return rest in ([], ["#"])  # a/# takes in a, too


def topic_regex(pattern: str) -> re.Pattern[str]:
    """Matches the topics of a pattern, with the groups `asset` and `channel` where it has them."""
    levels = [LEVELS.get(level, re.escape(level)) for level in pattern.split("/")]
    if pattern == "#":
        return re.compile("[^$].*", re.DOTALL)
    if pattern.endswith("/#"):
        return re.compile("/".join(levels[:-1]) + "(?:/.*)?", re.DOTALL)
    return re.compile("/".join(levels))
