"""`python -m gunicorn` is the `corral` command."""

import sys

from corral.cli import main

if __name__ == "__main__":
    sys.exit(main())
