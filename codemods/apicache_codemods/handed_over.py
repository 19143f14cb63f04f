"""Which modules a module hands a client to: they may call it though they name no library."""

import re
from collections.abc import Collection, Iterator

from apicache_codemods.detector import Catalogue
from apicache_codemods.prefilter import Prefilter
from apicache_codemods.project import Project

_MADE = re.compile(r"=[ \t]*(?:await[ \t]+)?(?:\w+\.)*(\w+)\(")
_ASSIGNED = re.compile(r"[ \t]*(self\.)?(\w+)[ \t]*(?::[^=\n]+)?\Z")
_ENTERED = re.compile(r"with[ \t]+(?:\w+\.)*(\w+)\([^\n]*\bas[ \t]+(\w+)")
_ANNOTATED = re.compile(r":[ \t]*[\"']?(?:\w+\.)*([A-Z]\w*)")
_NAME_BEFORE = re.compile(r"(\w+)[ \t]*\Z")
_DERIVED = re.compile(r"^[ \t]*class[ \t]+\w+\(([^)]*)\)", re.MULTILINE)
_SUPER = "super().__init__("
_FACTORY = re.compile(r"client|session|http|conn|sdk", re.IGNORECASE)
_LONGEST_NAME = 60
_LONGEST_CALL = 300  # characters searched for a client among a call's arguments


class HandedOver:
    """Searches texts, so it may name a module too many: that costs a parse, and invents nothing.

    A class that derives from another may set the client that its base's methods use.
    """

    def __init__(self, prefilter: Prefilter, project: Project, catalogue: Catalogue) -> None:
        self._prefilter = prefilter
        self._project = project
        self._makers = {name.rpartition(".")[2] for name in catalogue.constructors}

    def modules(self, location: str, known: Collection[str]) -> Iterator[str]:
        """The modules whose functions or classes a module calls with a client.

        `known` are names of the module that lead to a client.
        """
        taken = list(self._prefilter.taken_from(location))
        if not taken:
            return
        text = self._project.sources[location].text
        names = self._client_names(text, known)
        if not names:
            return
        given = _given(names)
        makes_own = any(own for own, _ in _made(text, self._makers))
        bases = {base for hit in _DERIVED.finditer(text) for base in re.findall(r"\w+", hit[1])}
        for alias, target in taken:
            derives = alias in bases
            written = [f"{alias}(", f"{alias}.", *([_SUPER] if derives else [])]
            if (derives and makes_own) or any(self._hands_over(text, start, given) for start in written):
                yield target

    def _hands_over(self, text: str, start: str, given: re.Pattern[str]) -> bool:
        at = text.find(start)
        while at >= 0:
            arguments = _arguments(text, at + len(start) - (start[-1] == "("))
            if any(hit[1] is None or hit[1] in self._makers for hit in given.finditer(arguments)):
                return True
            at = text.find(start, at + 1)
        return False

    def _client_names(self, text: str, known: Collection[str]) -> set[str]:
        """Names that seem to hold a client: made by a constructor or by what is named like a factory, or annotated."""
        factories = {name for name in known if _FACTORY.search(name)}
        makers = self._makers | factories
        names = {name for _, name in _made(text, makers)}
        names |= {hit[2] for hit in _ENTERED.finditer(text) if hit[1] in makers}
        for hit in _ANNOTATED.finditer(text):
            if hit[1] in self._makers:
                before = _NAME_BEFORE.search(text, max(0, hit.start() - _LONGEST_NAME), hit.start())
                names |= {before[1]} if before is not None else set()
        return names | {name for name in known if name[0].islower() and name not in self._project.libraries}


def _made(text: str, makers: Collection[str]) -> Iterator[tuple[bool, str]]:
    """What is assigned a call of one of `makers`: whether to an attribute of `self`, and the name."""
    for hit in _MADE.finditer(text):
        if hit[1] in makers:
            line = text.rfind("\n", 0, hit.start()) + 1
            assigned = _ASSIGNED.match(text, line, hit.start())
            if assigned is not None:
                yield assigned[1] is not None, assigned[2]


def _given(names: Collection[str]) -> re.Pattern[str]:
    """Finds a client that is passed on by name, or what may be made in place: its class is the first group."""
    written = "|".join(map(re.escape, sorted(names)))
    return re.compile(rf"(?<![.\w])(?:self\.)?(?:{written})[ \t]*[,)\n]|(?<![.\w])(?:\w+\.)*(\w+)\(")


def _arguments(text: str, start: int) -> str:
    """The text of a call's arguments, from the first parenthesis after `start` on."""
    opening = text.find("(", start, start + _LONGEST_NAME)
    depth = 0
    for at in range(opening, min(opening + _LONGEST_CALL, len(text))) if opening >= 0 else ():
        depth += (text[at] == "(") - (text[at] == ")")
        if not depth:
            return text[opening + 1 : at + 1]
    return text[opening + 1 : opening + _LONGEST_CALL] if opening >= 0 else ""
