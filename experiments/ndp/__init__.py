"""Faasm and near-storage offload: what an instance costs, and where running beside the data pays."""
