"""One file per tier: a store of entries."""
