"""One file per tier; the file's name is the tier's name, its function `build` makes one, its `Options` its settings.

A tier's library loads with the first tier that is built.
"""

import importlib
import pkgutil
from typing import Any, cast

import msgspec

from apicache.errors import InputError, did_you_mean
from apicache.tier import Tier, TierPlace


def known() -> frozenset[str]:
    """The names of the tiers there are."""
    return frozenset(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def options(name: str) -> type[msgspec.Struct]:
    """The settings of the tier of that name, with their defaults. Raises InputError for a name that no tier has."""
    return cast("type[msgspec.Struct]", _module(name).Options)


def build(name: str, place: TierPlace) -> Tier:
    """The tier of that name.

    Raises InputError for a name that no tier has, and for options that it has not or that are of another type.
    """
    module = _module(name)
    fields = [field.name for field in msgspec.structs.fields(module.Options)]
    for given in place.options:
        if given not in fields:
            raise InputError(f"unknown option {given!r} of the {name} tier; {did_you_mean(given, fields)}")
    try:
        msgspec.convert(dict(place.options), module.Options, strict=False)  # the environment gives text
    except msgspec.ValidationError as error:
        raise InputError(f"an option of the {name} tier does not fit: {error}") from None
    return cast("Tier", module.build(place))


def _module(name: str) -> Any:
    if name not in known():
        raise InputError(f"unknown tier {name!r}; {did_you_mean(name, known())}")
    return importlib.import_module(f"{__name__}.{name}")
