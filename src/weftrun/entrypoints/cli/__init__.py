"""The command line `weftrun`: a file per command, loaded when it is called.

Commands that only look on open the Journal read-only and never decode a value: they show previews.
"""

from weftrun.entrypoints.cli.group import main

__all__ = ["main"]
