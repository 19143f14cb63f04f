"""The `apicache` command: each command parses, calls an engine, prints."""

__version__ = "0.1.0"
