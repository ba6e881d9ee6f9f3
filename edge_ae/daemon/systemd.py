"""What systemd is notified of (sd_notify(3)): a datagram to the socket it names, or nothing where there is none.

READY=1 once the first subscription stands; WATCHDOG=1 only by the loop that makes progress; STATUS is the line of
`systemctl status`.
"""

import os
import socket
import time


def notify(*assignments: str) -> None:
    """Send such as `READY=1`. A supervisor that does not listen is none of our business."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address[0] == "@":  # the abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto("\n".join(assignments).encode(), address)
    except OSError:
        pass


def supervised() -> bool:
    """Whether this is a service, which will be started again."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def ready() -> None:
    """The service, or its reload, is done starting."""
    notify("READY=1")


def status(text: str) -> None:
    """The line of `systemctl status`."""
    notify(f"STATUS={text}")


def watchdog() -> None:
    """The loop makes progress."""
    notify("WATCHDOG=1")


def stopping() -> None:
    """The service is on its way to its end."""
    notify("STOPPING=1")


def reloading() -> None:
    """Follow it with `ready`; systemd wants to know when the reload began."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
