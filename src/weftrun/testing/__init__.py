"""What weftrun is tested with, for its own tests and for yours.

`weftrun.testing.crashes` runs your workflow under every crash; `weftrun.testing.fixtures` has pytest fixtures that
give a real engine on a Journal of its own; `weftrun.testing.replaying` replays recorded Runs; `weftrun.testing.sim`
runs the engine under virtual time with scripted Sandboxes and faults; `closure` and `oracles` judge what it did.
Nothing in weftrun imports this package.
"""
