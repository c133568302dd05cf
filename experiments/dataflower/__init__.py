"""Experiments of DataFlower (ASPLOS 2024), which calls itself FaaSFlow v2."""
