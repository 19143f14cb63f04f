"""One file per report format; the file's name is the format's name and the value of `apicache scan --format`."""
