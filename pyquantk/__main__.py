"""``python -m pyquantk``."""

import sys

from pyquantk.cli import main

if __name__ == "__main__":
    sys.exit(main())
