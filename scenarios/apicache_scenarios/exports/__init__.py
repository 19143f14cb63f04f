"""One file per tool that a benchmark can be handed to; the file's name is the value of `apicache bench export --to`."""
