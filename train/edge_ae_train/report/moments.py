"""Times as a report shows them: to the second, in the zone that was asked for, which each heading and axis names."""

from datetime import UTC, datetime, tzinfo

from edge_ae.core.timestamps import SECOND, parse_time_ns


def moment(t_ns: int, zone: tzinfo = UTC) -> str:
    """Such as "2026-03-29 14:05:00", by the clock of the zone."""
    return f"{datetime.fromtimestamp(t_ns // SECOND, zone):%Y-%m-%d %H:%M:%S}"


def moment_of(text: str, zone: tzinfo = UTC) -> str:
    """Of an RFC 3339 text."""
    return moment(parse_time_ns(text), zone)
