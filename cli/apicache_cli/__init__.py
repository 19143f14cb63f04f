"""The `apicache` command: each command parses, calls an engine, prints."""
