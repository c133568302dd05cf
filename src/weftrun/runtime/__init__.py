"""Shells that run machines against ports. What stands here acts; it decides nothing that a record rests on.

Everything but the author's threads runs in the loop, one callback at a time, and nothing here awaits: the same code
runs in the simulator under virtual time.
"""
