"""One file per provider; the file's name is the provider's name, its `build` makes one, its `Options` its settings.

They are configured in `[tool.apicache.providers.NAME]`.

A table of any other name declares an HTTP endpoint: `[tool.apicache.providers.groq]` makes the provider `groq`.
"""

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from apicache.errors import InputError, did_you_mean
from apicache.provider import LocalProvider, Provider

DECLARED: Final = "http"
"""The file that makes a provider of each declared endpoint."""


@functools.cache
def known() -> frozenset[str]:
    """The names of the providers that have a file."""
    return frozenset(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def named(name: str, tables: Mapping[str, Mapping[str, Any]] | None = None) -> Provider | LocalProvider:
    """The provider of that name, with the settings that its table in `tables` gives.

    Raises InputError for a name that no file and no table has, and for settings that do not fit.
    """
    tables = tables or {}
    if name in known() and name != DECLARED:
        return build(name, name, tables.get(name, {}))
    if name in tables:
        return build(DECLARED, name, tables[name])
    if name == DECLARED:
        raise InputError(
            "provider 'http' is any endpoint that you declare; give its url, body and answer in "
            "[tool.apicache.providers.NAME], and ask for NAME"
        )
    there = sorted((known() - {DECLARED}).union(tables))
    hint, listed = did_you_mean(name, there), f"known: {', '.join(there)}"
    raise InputError(f"unknown provider {name!r}; {hint}" + ("" if hint == listed else f" {listed.capitalize()}"))


def build(file: str, name: str, options: Mapping[str, Any]) -> Provider | LocalProvider:
    """A provider of that file, which goes by `name`; raises InputError for settings that do not fit."""
    module = importlib.import_module(f"{__name__}.{file}")
    fields = [field.name for field in msgspec.structs.fields(module.Options)]
    given = {option.replace("-", "_"): value for option, value in options.items()}
    for option in given:
        if option not in fields:
            raise InputError(f"unknown option {option!r} of provider {name!r}; {did_you_mean(option, fields)}")
    try:
        settings = msgspec.convert(given, module.Options)
    except msgspec.ValidationError as error:
        raise InputError(f"an option of provider {name!r} does not fit: {error}") from None
    return cast("Provider | LocalProvider", module.build(name, settings))
