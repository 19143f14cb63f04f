"""One file per client library that migrate knows something special of; the file's name is the detector's name."""
