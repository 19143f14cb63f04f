"""Who else names what a module holds: importers, attribute accesses, and tests that replace it.

Read off the text of every Python file of the project, so that test files outside the migrated paths count and nothing
has to parse: a mention too many only means a more careful rewrite.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import PurePosixPath

from apicache_codemods.project import Module

_OPERATOR = r"(?:[-+*/%&|^@]|//|\*\*|<<|>>)?"
"""What may stand before the `=` of an assignment."""


class Mentions:
    """The texts of a project's files by path."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._replaced: dict[tuple[str, str], str | None] = {}

    def elsewhere(self, module: Module, name: str, changed: Mapping[str, str] | None = None) -> bool:
        """Whether another file imports or accesses `name` of the module; `changed` are texts after editing."""
        return any(True for _ in self.places(module, name, changed))

    def places(self, module: Module, name: str, changed: Mapping[str, str] | None = None) -> Iterator[str]:
        """The other files that import or access `name` of the module."""
        own = stem_of(module)
        imports = r"import\s+(?:\([^)]*|[^\n(]*)" + rf"\b{re.escape(name)}\b"
        patterns = [
            re.compile(rf"\b{re.escape(own)}\.{re.escape(name)}\b"),
            re.compile(rf"from\s+[\w.]*\b{re.escape(own)}\s+{imports}"),
            re.compile(rf"from\s+[\w.]*\b{re.escape(own)}\s+import\s+\*"),
        ]
        if module.is_package:
            patterns.append(re.compile(rf"from\s+\.+\s+{imports}"))
        for path, before in self._texts.items():
            text = (changed or {}).get(path, before)
            if path != module.path and name in text and any(pattern.search(text) for pattern in patterns):
                yield path

    def replaced(self, module: Module, name: str) -> str | None:
        """The file that replaces `name` of the module: a test, a script, or itself; None when none does."""
        key = (module.path, name)
        if key not in self._replaced:
            self._replaced[key] = self._find_replaced(module, name)
        return self._replaced[key]

    def _find_replaced(self, module: Module, name: str) -> str | None:
        own, wanted = re.escape(stem_of(module)), re.escape(name)
        by_path = re.compile(rf"['\"](?:[\w.]+\.)?{own}\.{wanted}['\"]")
        by_object = re.compile(
            rf"(?:setattr|\.object|delattr)\([^\n]{{1,200}}['\"]{wanted}['\"]|\.multiple\([^)]*\b{wanted}\s*="
            rf"|(?<!self)\.{wanted}\s*{_OPERATOR}=(?!=)|(?:__dict__|vars\([^)\n]*\))\[\s*['\"]{wanted}['\"]\s*\]\s*="
            rf"|\bdel\s+[\w.]+\.{wanted}\b"
        )
        inside = re.compile(
            rf"(?:globals|vars|locals)\(\)(?:\.update\(|\[(?!\s*['\"](?!{wanted}['\"]))[^\]\n]+\]\s*{_OPERATOR}=(?!=))"
            rf"|sys\.modules\[__name__\][^\n]*\b{wanted}\b|\bdel\s+{wanted}\b"
        )
        for path, text in self._texts.items():
            if name not in text:
                continue
            if path == module.path:
                if inside.search(text):
                    return path
            elif stem_of(module) in text and (
                by_path.search(text) or (by_object.search(text) and self._mentions_module(text, own))
            ):
                return path
        return None

    def _mentions_module(self, text: str, own: str) -> bool:
        return re.search(rf"\bimport\b[^\n]*\b{own}\b|\b{own}\s+import\b", text) is not None

    @cached_property
    def operation_names(self) -> frozenset[str]:
        """The names of operations that are registered anywhere in the project, or called as apicache's own."""
        pattern = re.compile(r"\.operation\(\s*['\"]([^'\"]+)['\"]|\boperation\s*=\s*['\"]([^'\"]+)['\"]")
        found = (match for text in self._texts.values() for match in pattern.finditer(text))
        return frozenset(match[1] or match[2] for match in found)


def stem_of(module: Module) -> str:
    """The last part of the name a module is imported by."""
    path = PurePosixPath(module.source.absolute)
    return path.parent.name if path.name == "__init__.py" else path.stem
