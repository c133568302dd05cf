"""`python -m weftrun`: the same command line, without the installed script."""

import sys

from weftrun.entrypoints.cli.group import main

sys.exit(main())
