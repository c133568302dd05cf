"""Figures of weftrun itself that no paper has."""
