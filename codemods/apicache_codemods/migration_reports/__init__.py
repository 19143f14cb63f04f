"""Formats of a migration's report, one file each; the file's name is the format's."""
