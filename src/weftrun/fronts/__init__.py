"""Fronts: other systems' ways to write a workflow down, read and handed to weftrun as Functions and a Workflow."""
