"""What the outside must do for us: one small interface a file, its contract in the docstring.

A port's contract suite in `weftrun.testing.contracts` is its definition; every adapter passes it.
"""
