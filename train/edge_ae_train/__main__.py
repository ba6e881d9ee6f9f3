"""`python -m edge_ae_train` and the command `edge-ae-train`: the entry alone.

It is here that the number of threads is set, for numpy's library reads it once, while it is loaded: products of matrices as small as
ours take no less time on two cores than on one, and on both of them twice as much.
"""

import os
import sys
from collections.abc import Sequence

from edge_ae_train import cli
from edge_ae_train.threads import THREAD_SETTINGS


def main(argv: Sequence[str] | None = None) -> int:
    """As `cli.main`. Who has set a number of threads keeps it."""
    for name in THREAD_SETTINGS:
        os.environ.setdefault(name, "1")
    return cli.main(argv)


if __name__ == "__main__":
    sys.exit(main())
