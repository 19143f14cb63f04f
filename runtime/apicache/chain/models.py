"""Which model is asked when a call names none."""

import os


def configured_model(variable: str, configured: str | None, default: str) -> str:
    """The environment's, else the configured one, else the default."""
    return os.environ.get(variable, "").strip() or configured or default
