"""Every decision of weftrun, in pure code: events and time come in as values, records and commands go out.

No await, clock, randomness, socket, file or thread in here. A machine has one owner and is asked one event at a time.
"""
