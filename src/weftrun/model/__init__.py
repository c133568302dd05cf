"""Nouns of weftrun: ids, values, policies, records, messages, commands, errors.

Everything here is a frozen value. Nothing here acts, waits, reads a clock or draws a random number, and nothing
here imports another part of weftrun.
"""
