"""Frames between engine and guests: sockets, descriptors, sealed memory, the Sandbox page.

Both ends of each thing live here, so that neither end can drift. Nothing here knows what a message means.
"""
