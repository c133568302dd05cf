"""The gateway: an engine and its apps behind HTTP. `server.serve` runs it, `app.make_app` is its ASGI app.

It imports no code of an app and reads no value of one: `adapters.process.translator` does, in a process of its own.
"""
