"""Formats of reports: each a file of a folder with a function `render`; the file's name is the format's."""

import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

from apicache.errors import InputError, did_you_mean


class Formats:
    """The formats of one folder."""

    def __init__(self, folder: ModuleType) -> None:
        self._folder = folder

    def known(self) -> tuple[str, ...]:
        """The names of the formats, sorted."""
        return tuple(sorted(module.name for module in pkgutil.iter_modules(self._folder.__path__)))

    def check(self, name: str, others: Sequence[str] = ()) -> None:
        """Raise InputError for a format that is neither known nor among `others`."""
        formats = (*others, *self.known())
        if name not in formats:
            hint = did_you_mean(name, formats)
            raise InputError(f"unknown format {name!r}; {hint} Give --format with one of: {', '.join(formats)}")

    def render(self, name: str, *given: object) -> str:
        """What the format's `render` makes of what is given. Raises InputError for an unknown one."""
        self.check(name)
        rendered: str = importlib.import_module(f"{self._folder.__name__}.{name}").render(*given)
        return rendered
