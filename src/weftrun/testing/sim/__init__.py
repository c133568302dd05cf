"""The simulator: the real machines, runtime and SQLite Journal under virtual time, with seeded chance and faults.

One seed is one history: the same seed makes the same decisions on every machine and every Python.
"""
