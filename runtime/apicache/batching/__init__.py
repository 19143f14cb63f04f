"""Many calls at once: `cached_api_calls`, and batched operations that send only what is missing."""
