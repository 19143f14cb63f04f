"""Scenario files, warming from them, and the load benchmark."""
