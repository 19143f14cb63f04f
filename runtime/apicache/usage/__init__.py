"""The usage log: which calls were made, folded and reported."""
