"""Buckets in a folder, and buckets behind a storage role."""
