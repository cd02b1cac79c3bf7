"""`python -m watchglass` is the command `watchglass`."""

from __future__ import annotations

import sys

from watchglass.cli import main

if __name__ == "__main__":
    sys.exit(main())
