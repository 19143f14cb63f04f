"""A small financial assistant that calls APIs from many places, as applications do after a year."""
