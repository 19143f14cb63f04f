"""Key distributions, one file each: the file's name is the distribution's name.

A file defines `create(keys, population, seed) -> Draw`.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from apicache.errors import InputError, did_you_mean
from apicache_scenarios.format.model import Keys

if TYPE_CHECKING:
    import numpy as np

Draw = Callable[[int], "np.ndarray"]
"""The next so many keys, integers from 0 to the population's size less 1, in the order of requests."""


def distribution_names() -> list[str]:
    """The names of all distributions, from the folder's file names."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def draws(keys: Keys, population: int, seed: int) -> Draw:
    """The draws that settings describe, the same for the same seed; raises InputError for an unknown distribution."""
    if keys.dist not in distribution_names():
        raise InputError(f"unknown key distribution {keys.dist!r}; {did_you_mean(keys.dist, distribution_names())}")
    if population < 1:
        raise InputError("there is no key to draw; give at least one case")
    module = importlib.import_module(f"{__name__}.{keys.dist}")
    return cast("Draw", module.create(keys, population, seed))
