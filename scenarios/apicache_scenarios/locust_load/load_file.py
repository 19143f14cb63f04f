"""What a locustfile loads."""

from pathlib import Path

import msgspec


class LoadFile(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario file and its application. With a `rate_per_user` (requests a second) the loop is open.

    The master writes what was measured to `save`.
    """

    scenarios: Path
    application: str | None
    working_directory: Path
    save: Path
    rate_per_user: float | None = None
    max_in_flight: int | None = None
    """Of one user of an open loop; what is due beyond it is dropped and counted."""
