"""`python -m elinvar.cli` is `elinvar`."""

import sys

from elinvar.cli import main

sys.exit(main())
