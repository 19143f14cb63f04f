"""Streams: received live by all who ask, stored when complete, replayed chunk by chunk."""
