"""The parts of `migrate`: judging a site, generalising a group, editing a file, writing files."""
