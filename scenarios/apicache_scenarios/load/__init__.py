"""The load engine: when requests are sent, which they are, and how long each took."""
