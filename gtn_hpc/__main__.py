"""`python -m gtn_hpc`: the same as `gtn`."""

import sys

from gtn_hpc.cli import main

if __name__ == "__main__":
    sys.exit(main())
