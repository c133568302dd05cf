"""Nouns of weftrun: ids, values, policies, records, messages, commands, errors.

Everything here is a frozen value. Nothing here acts, waits, reads a clock or draws a random number, and nothing
here imports another part of weftrun.

The structs say `gc=False`: a frozen value holds only what was there before it, so that no cycle can run through one.
A Run of ten thousand Steps has a hundred thousand of them, and the collector's walks over these took a third of the
loop's time.
"""
