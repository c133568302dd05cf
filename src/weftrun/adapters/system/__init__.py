"""This host itself: its clock, its chance, and the loop on which the engine lives.

Only here, and in guests, are clocks read and random numbers drawn.
"""
