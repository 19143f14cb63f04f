"""What the process-wide cache is built from on its first use, when nothing was injected."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from apicache import settings, tiers
from apicache.tier import Tier

TIERS: Final = ("memory", "disk")

mode = settings.mode


def tiers_in(directory: Path | str) -> Sequence[Tier]:
    """The default tiers, their files in `directory`."""
    return [tiers.build(name, Path(directory)) for name in TIERS]


def project_tiers() -> Sequence[Tier]:
    """The default tiers where the environment, the project or the user's cache folder has them."""
    return tiers_in(settings.cache_directory())


def memory_alone() -> Sequence[Tier]:
    """The memory tier, for an isolated cache that writes no files."""
    return [tiers.build("memory", Path())]
