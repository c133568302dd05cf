"""The author's code in a guest: its path and its import."""

from __future__ import annotations

import os
import sys

from weftrun.guest.generators import Generators
from weftrun.model.policy import Bundle
from weftrun.sdk.bundle import install


def load_code(bundle: Bundle) -> Generators:
    """Import a bundle as its author's process would; raises whatever their module raises.

    What this interpreter could import before stays importable, after the author's own path.

    Returns:
        Generators of random numbers that each Sandbox has to seed for itself.
    """
    ours = [entry for entry in sys.path if entry not in bundle.path]
    sys.path[:] = [*bundle.path, *ours]
    argv = bundle.program.argv or (os.fsencode(bundle.file or bundle.module),)
    sys.argv[:] = [os.fsdecode(argument) for argument in argv]
    generators = Generators()
    with generators.watched(copies=bool(bundle.blob)):
        install(bundle)
    return generators
