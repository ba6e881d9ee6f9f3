"""`python -m edge_ae` and the command `edge-ae`: the entry alone."""

import sys

from edge_ae.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
