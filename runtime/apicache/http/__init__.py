"""HTTP as adapters see it: what may be stored, for how long, and how a response is kept."""
