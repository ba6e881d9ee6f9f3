"""The assets that a daemon knows whose models are made on its machine, read from the database while the daemon may be writing it."""

import zlib
from dataclasses import dataclass
from pathlib import Path

from edge_ae.core.learned_time import LEARNED, LearnedTime
from edge_ae.store.database import read_beside
from edge_ae.store.node_store import UNFIT, unpack


@dataclass(frozen=True, slots=True)
class KnownAsset:
    """`topic_filter`: of the stream that brought it. `learned_ns`: the time that its readings cover."""

    name: str
    topic_filter: str
    learned_ns: int


def read_known_assets(path: Path) -> list[KnownAsset]:
    """By name; none where there is no database yet. One whose state is damaged is left out. Raises BadState with a clause."""
    if not path.exists():
        return []
    with read_beside(path, "the assets") as database:
        rows = database.execute("SELECT name, topic_filter, state FROM asset ORDER BY name").fetchall()
    found = (_known(str(name), str(topic_filter), state) for name, topic_filter, state in rows)
    return [one for one in found if one is not None]


def _known(name: str, topic_filter: str, packed: bytes) -> KnownAsset | None:
    learned = LearnedTime()
    try:
        state = unpack(packed)
        if LEARNED not in state:  # its models are made elsewhere
            return None
        learned.restore(state[LEARNED])
    except (*UNFIT, zlib.error):
        return None
    return KnownAsset(name, topic_filter, learned.learned_ns)
