"""One file per tier; the file's name is the tier's name, its function `build` makes one.

A tier's library loads with the first tier that is built.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import cast

from apicache.errors import InputError, did_you_mean
from apicache.tier import Tier


def known() -> frozenset[str]:
    """The names of the tiers there are."""
    return frozenset(module.name for module in pkgutil.iter_modules(__path__))


def build(name: str, directory: Path) -> Tier:
    """The tier of that name with its default bounds; `directory` is where one that writes files puts them.

    Raises InputError for a name that no tier has.
    """
    if name not in known():
        raise InputError(f"unknown tier {name!r}; {did_you_mean(name, known())}")
    return cast("Tier", importlib.import_module(f"{__name__}.{name}").build(directory))
