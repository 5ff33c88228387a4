"""Processes that train together: how they start, and end together."""
