"""Ten million bytes of payload through the whole daemon: no crash, and every message is used or dropped by reason.

python -m tests.fuzz.payloads --bytes 10000000 --seed 1
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from edge_ae.daemon.stats import dropped, node_stats
from tests.fuzz.daemon import T0_NS, daemon
from tests.fuzz.hostile import payloads

BATCH = 256


def run(total: int, seed: int) -> Counter[str]:
    """`received`, `used`, and what was refused by reason, of so many bytes. Raises AssertionError where they do not add up."""
    with tempfile.TemporaryDirectory() as folder:
        tried, link = daemon(Path(folder))
        messages = payloads(random.Random(seed), total, T0_NS // 1_000_000)
        sent = 0
        while batch := list(islice(messages, BATCH)):
            link.put(batch)
            tried.turn()
            sent += len(batch)
            _check(node_stats(tried.parts, 0), sent)
        assert len(link.given) == sent, "a message was never acknowledged"
        counts = Counter({name: tried.counts[name] for name in ("received", "other_topics", "commands")})
        refused = tried.ingest.refusals.counts
        in_part = Counter({f"({name})": n for name, n in (dropped(tried.parts) - refused).items()})
        return counts + Counter(used=tried.ingest.used) + refused + in_part


def _check(stats: dict[str, int], sent: int) -> None:
    accounted = sum(stats[name] for name in ("used", "refused", "other_topics", "commands"))
    assert stats["received"] == sent == accounted, stats


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.payloads", description="Hostile payloads through the daemon.")
    parser.add_argument("--bytes", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    logging.disable(logging.ERROR)  # the daemon's own words about each reason
    began = time.monotonic()
    counts = run(options.bytes, options.seed)
    for name, count in counts.most_common():
        print(f"{name:24} {count:10,}")
    print(f"received = used + dropped by reason; in brackets: parts of payloads. {options.bytes:,} bytes of payload,")
    print(f"no crash, {time.monotonic() - began:.0f} s, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
