"""How often a test repeats itself: a few times in `make test`, many in `make soak`."""

import os

TURNS = int(os.environ.get("SOAK_TURNS", "3"))
