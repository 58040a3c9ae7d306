"""``python -m plastorch`` is ``plastorch``."""

import sys

from plastorch.cli import main

if __name__ == "__main__":
    sys.exit(main())
