"""Check scenario files, show what they expand to, suggest new ones, print their schema."""
