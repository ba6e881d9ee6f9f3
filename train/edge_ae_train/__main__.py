"""`python -m edge_ae_train` and the command `edge-ae-train`: the entry alone."""

import sys

from edge_ae_train.cli import main

if __name__ == "__main__":
    sys.exit(main())
