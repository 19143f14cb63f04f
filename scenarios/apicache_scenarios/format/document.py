"""YAML files as plain values that remember their places; nothing in a file can make code run or memory explode.

Only the tags of plain data are accepted, a repeated key is an error, and aliases may not expand without bound
(https://en.wikipedia.org/wiki/Billion_laughs_attack).
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from apicache_scenarios.format.problems import Place, Problems, suggestion

YAML_TAG = "tag:yaml.org,2002:"
SCALAR_TAGS = ("null", "bool", "int", "float", "str", "timestamp")
MAX_ALIASED = 100_000  # values that aliases may add to those written out


class Unusable(Exception):  # noqa: N818 - internal; turned into a noted problem by `read_document`
    """A node that stands for no plain value."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


class Located(msgspec.Struct, frozen=True):
    """A value and its place: a scalar, a list of Located, or a dict of Located."""

    value: Any
    place: Place
    size: int = 1
    """How many values it stands for once its aliases are written out."""
    key_places: dict[Hashable, Place] = {}
    """For a dict: the place of each key, which a value on its own lines does not share."""

    def plain(self) -> Any:
        """The value without places; every call builds fresh lists and dicts."""
        if isinstance(self.value, dict):
            return {key: located.plain() for key, located in self.value.items()}
        if isinstance(self.value, list):
            return [located.plain() for located in self.value]
        return self.value


def read_document(path: Path, problems: Problems) -> Located | None:
    """The file's one YAML document, or None with its problem noted: unreadable, not UTF-8, empty, not plain YAML."""
    text = _text(path, problems)
    if text is None:
        return None
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # YAML allows an anchor's name to be used again
    try:
        root = yaml.compose(text)
        if root is None:
            problems.add(
                path, None, "is empty; expected a list of entries such as {operation: completion, prompt: ...}"
            )
            return None
        return _Builder(yaml, path, problems).document(root)
    except Unusable as unusable:
        problems.add(path, unusable.place, unusable.message)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else None
        problems.add(path, place, _syntax_message(error))
    except YAMLError as error:
        # ReaderError, for control characters, knows its position only.
        place = _place_at(text, getattr(error, "position", 0))
        problems.add(path, place, f"not YAML: {getattr(error, 'reason', error)}")
    except RecursionError:
        problems.add(path, None, "is nested too deeply")
    return None


def _text(path: Path, problems: Problems) -> str | None:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        beside = [file.name for file in path.parent.glob("*.y*ml")]
        problems.add(path, None, f"no such file{suggestion(path.name, beside)}")
    except IsADirectoryError:
        problems.add(path, None, f"is a directory; expected a YAML file, such as {path / 'scenarios.yaml'}")
    except OSError as error:
        problems.add(path, None, f"cannot be read: {error.strerror or error}")
    else:
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = raw[: error.start].decode("utf-8", errors="replace")
            problems.add(
                path,
                _place_at(before, len(before)),
                f"not UTF-8: byte 0x{raw[error.start]:02x}; save the file as UTF-8",
            )
    return None


def _place_at(text: str, position: int) -> Place:
    return Place(text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))


def _syntax_message(error: MarkedYAMLError) -> str:
    if not (error.context and error.context_mark):
        return f"not YAML: {error.problem}"
    return f"not YAML: {error.context} from line {error.context_mark.line + 1}: {error.problem}"


class _Builder:
    """Turns composed nodes into Located values; an aliased node is built once, so a bomb costs nothing here."""

    def __init__(self, yaml: YAML, path: Path, problems: Problems) -> None:
        self._scalars = yaml.constructor
        self._path = path
        self._problems = problems
        self._built: dict[int, Located] = {}
        self._open: set[int] = set()
        self._keys_merged = 0

    def document(self, root: Node) -> Located:
        located = self._build(root)
        self._bound(located.size - len(self._built), located.place)
        return located

    def _build(self, node: Node) -> Located:
        if id(node) in self._built:
            return self._built[id(node)]
        if id(node) in self._open:
            raise Unusable(_place(node), "an alias stands inside its own anchor")
        self._open.add(id(node))
        tag = str(node.tag).removeprefix(YAML_TAG)
        if isinstance(node, ScalarNode) and tag in SCALAR_TAGS:
            located = Located(self._scalar(node, tag), _place(node))
        elif isinstance(node, SequenceNode) and tag == "seq":
            items = [self._build(item) for item in node.value]
            located = Located(items, _place(node), 1 + sum(item.size for item in items))
        elif isinstance(node, MappingNode) and tag == "map":
            located = self._mapping(node)
        else:
            raise Unusable(_place(node), f"tag {str(node.tag)!r} is not accepted; expected plain YAML values")
        self._open.discard(id(node))
        self._built[id(node)] = located
        return located

    def _scalar(self, node: ScalarNode, tag: str) -> Any:
        if tag == "str":
            return node.value
        if tag == "null":
            return None
        try:
            return getattr(self._scalars, f"construct_yaml_{tag}")(node)
        except (ValueError, KeyError) as error:
            # An explicit tag on other text (`!!int x`), a date of no calendar, an int of more than 4,300 digits.
            message = f"{node.value[:40]!r} is not a YAML {tag}; quote it if it is text"
            raise Unusable(_place(node), message) from error

    def _mapping(self, node: MappingNode) -> Located:
        fields: dict[Hashable, Located] = {}
        places: dict[Hashable, Place] = {}
        merged: list[Located] = []
        for key_node, value_node in node.value:
            if str(key_node.tag) == f"{YAML_TAG}merge":
                merged += self._merge_sources(value_node)
                continue
            key = self._build(key_node).value
            if not isinstance(key, Hashable):
                raise Unusable(_place(key_node), "a key must be a plain value, not a list or a mapping")
            if key in fields:
                message = f"key {key!r} appears twice in one mapping (first on line {places[key].line})"
                self._problems.add(self._path, _place(key_node), message)
                continue
            fields[key] = self._build(value_node)
            places[key] = _place(key_node)
        # Own keys win over merged ones, and earlier sources over later ones: https://yaml.org/type/merge.html
        for source in merged:
            fields = source.value | fields
            places = source.key_places | places
        return Located(fields, _place(node), 1 + sum(1 + field.size for field in fields.values()), places)

    def _merge_sources(self, node: Node) -> list[Located]:
        sources = [self._build(source) for source in (node.value if isinstance(node, SequenceNode) else [node])]
        for source in sources:
            if not isinstance(source.value, dict):
                raise Unusable(_place(node), "'<<' merges a mapping or a list of mappings")
            self._keys_merged += len(source.value)
        self._bound(self._keys_merged, _place(node))
        return sources

    @staticmethod
    def _bound(aliased: int, place: Place) -> None:
        if aliased > MAX_ALIASED:
            raise Unusable(place, f"its aliases expand to more than {MAX_ALIASED:,} values; write fewer out")


def _place(node: Node) -> Place:
    return Place(int(node.start_mark.line) + 1, int(node.start_mark.column) + 1)
