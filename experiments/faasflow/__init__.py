"""Experiments of FaaSFlow (ASPLOS'22)."""
