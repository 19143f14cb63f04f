"""One file per client library; the file's name is the library's import name."""
