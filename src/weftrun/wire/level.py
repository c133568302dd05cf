"""What stands between a Sandbox and its host, as an engine tells a zygote by a number."""

from __future__ import annotations

import enum

from weftrun.model.policy import IMAGE


class Level(enum.IntEnum):
    """The steps of the ladder; `bwrap` and `oci` are also walls around the zygote itself."""

    DROP = 0
    """A process without the privileges of set-user-ID programs."""
    KEEP = 1
    """A process with them, in no user namespace."""
    STRICT = 2
    """A fresh interpreter behind landlock and seccomp."""
    BWRAP = 3
    """A fork of a zygote that bubblewrap has given its own view of the file system."""
    OCI = 4
    """A fork of a zygote in a container."""

    @property
    def is_walled(self) -> bool:
        """Whether the zygote is behind walls, the first process of its pid namespace, and has its own files."""
        return self >= Level.BWRAP

    @staticmethod
    def of(privileges: str) -> Level:
        """Return the level of a policy's privileges, an image left aside."""
        return Level[privileges.partition(IMAGE)[0].upper()]
