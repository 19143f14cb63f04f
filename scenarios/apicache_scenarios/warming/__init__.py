"""Warming: each declared call made once, ahead of the traffic that will repeat it."""
