"""Experiments of FaaSBatch (ICDCS 2023; IEEE Transactions on Computers 73(4), 2024)."""
