"""The parts of `migrate --revert`: finding what uses apicache, and putting plain calls in its place."""
