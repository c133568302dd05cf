"""Sinks (port Sink): a file for each technology. Each library is an extra, and imported here only."""
