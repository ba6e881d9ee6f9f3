"""Text that comes from outside, as it may stand in a log line, on a terminal or in a message: printable, and no longer than it may be."""

ELLIPSIS = "..."


def printable(text: str, most: int) -> str:
    """At most `most` characters, of which none is a control: what cannot be shown stands as an escape such as `\\n`."""
    shown = text[: most + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return shown if len(shown) <= most else shown[: most - len(ELLIPSIS)] + ELLIPSIS


def some_of(names: list[str], most: int) -> str:
    """The first names with commas between them, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
