"""Caches of a benchmark's own: empty at the start, on the tiers that it compares, gone when it ends."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from apicache import UnifiedAPICache
from apicache.errors import InputError, did_you_mean
from apicache.policy import PolicyOptions
from apicache.settings import Settings, load
from apicache.tier import Tier, TierPlace
from apicache.tiers import build, known

SEPARATOR: Final = "+"


def parse_tiers(text: str) -> list[tuple[str, ...]]:
    """`memory,disk,memory+redis` as sets of tiers, nearest first; raises InputError for an unknown one."""
    sets = [tuple(name.strip() for name in part.split(SEPARATOR)) for part in text.split(",") if part.strip()]
    if not sets:
        raise InputError("no tiers given; write for example --tiers memory,disk,memory+disk")
    for name in (name for each in sets for name in each):
        if name not in known():
            raise InputError(f"unknown tier {name!r}; {did_you_mean(name, known())}")
    for each in sets:
        if len(set(each)) < len(each):
            raise InputError(f"tiers {SEPARATOR.join(each)!r} names one twice")
    return list(dict.fromkeys(sets))


def cache_of(
    tiers: Sequence[str], folder: Path, policy: PolicyOptions, settings: Settings | None = None
) -> UnifiedAPICache:
    """A cache on tiers of its own, files in `folder`.

    A Redis tier is where the configuration says, under names of its own: nothing of an application is read or removed.
    Raises what building a tier raises.
    """
    found = settings or load()
    folder.mkdir(parents=True, exist_ok=True)
    return UnifiedAPICache.create(tiers=[_tier(name, folder, found) for name in tiers], policy=policy)


def dispose(cache: UnifiedAPICache) -> None:
    """Forget all that such a cache stored, and close it."""
    cache.flush()
    cache._engine.tiers.clear()  # noqa: SLF001 - `cache.clear` would leave a marker of it behind
    cache.close()


def _tier(name: str, folder: Path, settings: Settings) -> Tier:
    options: Mapping[str, Any] = settings.tier_options.get(name, {}) if name == "redis" else {}
    if name == "redis":
        options = {**options, "prefix": f"{options.get('prefix', 'apicache:')}{_own_name(folder)}:"}
    return build(name, TierPlace(directory=folder, options=options, timeout=settings.tier_timeout))


def _own_name(folder: Path) -> str:
    """The same in all processes that share the folder; a temporary folder's own name is random."""
    return f"bench-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
