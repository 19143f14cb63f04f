"""Reads of databases: which statements only read, which tables they name, how their rows are kept."""
