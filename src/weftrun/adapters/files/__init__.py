"""Plain files beside the Journal: blobs, and the lock that tells whether an engine lives."""
