"""What runs inside a Sandbox, and the zygote that Sandboxes are forked from.

Executed by name (`weftrun.guest.zygote`), imported by nobody. The engine's parts must not enter here: an author's
process loads this package, the codec and the author's code, and nothing else.
"""
