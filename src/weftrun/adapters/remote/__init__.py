"""Calls of Functions that live behind a URL."""

from weftrun.adapters.remote.exchange import Address, RemoteAnswer, post

__all__ = ["RemoteAnswer", "Address", "post"]
