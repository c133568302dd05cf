"""What the experiments of this folder run."""

from weftrun import function


@function(effects="none", deterministic=True)
def same(n: int) -> int:
    """Return what it is given."""
    return n
