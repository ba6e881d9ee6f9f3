"""A publisher that costs nothing: packets from a file into a socket, as told line by line on stdin.

    python -m tests.bench.publisher PORT FILE

    stdin   FIRST LAST RATE     send packets FIRST up to LAST, RATE a second; 0: as fast as the broker takes them
    stdout  T_NS                when the first of them was sent (CLOCK_MONOTONIC, which all processes share)

With a rate, FILE.sent.npy holds when each was sent.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.bench.packets import connect, ends_of, sent_of

PIECE = 256 * 1024
SECOND = 1_000_000_000
CONNACK_BYTES = 256


def opened(port: int) -> socket.socket:
    """A connection whose acknowledgements are read and forgotten."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(connect("bench-publisher"))
    sock.recv(CONNACK_BYTES)
    threading.Thread(target=_drain, args=(sock,), daemon=True).start()
    return sock


def _drain(sock: socket.socket) -> None:
    while sock.recv(PIECE):
        pass


def paced(send: Callable[[memoryview], object], packets: list[memoryview], rate: float) -> list[int]:
    """Each packet at its time; one that is late does not put off those after it."""
    start, sent = time.monotonic_ns(), []
    for number, packet in enumerate(packets):
        wait_ns = start + round(number / rate * SECOND) - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / SECOND)
        sent.append(time.monotonic_ns())
        send(packet)
    return sent


def main() -> None:
    port, path = int(sys.argv[1]), Path(sys.argv[2])
    data = memoryview(path.read_bytes())
    ends = [0, *np.load(ends_of(path)).tolist()]
    sock = opened(port)
    print("ready", flush=True)
    for line in sys.stdin:
        first, last, rate = (float(word) for word in line.split())
        bounds = ends[int(first) : int(last) + 1]
        if rate > 0:
            sent = paced(sock.sendall, [data[a:b] for a, b in pairwise(bounds)], rate)
            np.save(sent_of(path), np.array(sent))
            print(sent[0], flush=True)
        else:
            print(time.monotonic_ns(), flush=True)
            sock.sendall(data[bounds[0] : bounds[-1]])


if __name__ == "__main__":
    main()
