"""Calls that run where their data lies: who is let in, what both ways cost, and Python Functions in Sandboxes there."""
