"""A simulator of Runs that several Workers share: pure machines, a bad network, hosts that die and freeze (M1 to M3).

It has no engine, no Sandboxes and no files: what it drives is `machines.share`, and nothing else runs that yet.
"""
