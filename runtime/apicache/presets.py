"""Presets: the source document's lives of kinds of data, each a name for a few policy options.

An entry is fresh for the shortest life of its kind, unless a ttl within the range is given, and is never served past
the longest: the time between the two is its grace, used when loading fails or takes too long.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from apicache.errors import InputError, did_you_mean

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86400.0


class Preset(NamedTuple):
    """A kind of data; seconds."""

    shortest: float
    longest: float
    """Infinite where the source document names no end."""


PRESETS: Final[Mapping[str, Preset]] = {
    "static": Preset(24 * _HOUR, math.inf),  # reference data, embeddings
    "user": Preset(5 * _MINUTE, 60 * _MINUTE),  # user-specific data
    "real-time": Preset(30.0, 5 * _MINUTE),
    "financial": Preset(30 * _MINUTE, 60 * _MINUTE),
}
_ENDLESS_GRACE: Final = 6 * _DAY
"""The grace of a preset without a longest life: with its ttl of a day, a week."""


def preset_options(name: object, ttl: float | None = None) -> dict[str, float]:
    """The policy options of a preset; `ttl` is the one, in seconds, that is given along with it.

    Raises InputError for a name that is not known and for a ttl outside of the range.
    """
    preset = PRESETS.get(name.replace("_", "-")) if isinstance(name, str) else None
    if preset is None:
        hint = did_you_mean(str(name), PRESETS)
        raise InputError(f"policy option preset={name!r}; {hint}")
    if ttl is None:
        ttl = preset.shortest
    elif not preset.shortest <= ttl <= preset.longest:
        longest = "without end" if preset.longest == math.inf else f"to {preset.longest:g} s"
        raise InputError(
            f"policy option ttl={ttl:g} s with preset {name!r}, whose ttl is {preset.shortest:g} s {longest}; "
            "give a ttl in that range, or leave the preset out"
        )
    grace = _ENDLESS_GRACE if preset.longest == math.inf else preset.longest - ttl
    return {"ttl": ttl, "grace": grace}
