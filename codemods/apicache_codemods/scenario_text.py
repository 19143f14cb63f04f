"""A scenario file of the calls whose arguments are all written out, as text in the documented format.

Two kinds of call are: call sites that send literals only, and calls of registered operations
(`cached_api_call(operation="completion", prompt="...")`). A call site's parameters are named as `migrate` names those
of the operation it makes: what differs between the sites of a group, by its key or keyword.
"""

import ast
import json
import keyword
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from apicache_codemods.analysis import Analysis, ResolvedSite
from apicache_codemods.arguments import argument
from apicache_codemods.calls import Calls
from apicache_codemods.scopes import Frame
from apicache_codemods.values import exact

_CALLS = frozenset({"cached_api_call", "cached_api_call_sync"})
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_UNPRINTABLE = re.compile(
    r"[^\x09\x0a\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_NUMBER = re.compile(r"[-+\d.einfa_xo]*", re.IGNORECASE)
_CREDENTIAL = re.compile(r"(^|_|-)(key|api_?key|token|secret|passw(or)?d|auth(orization)?|signature)$", re.IGNORECASE)
_OPEN = object()
"""Stands for what is not a literal."""

Leaf = tuple[str | int, ...]
"""Where a value stands in a call's arguments: keyword, keys, indices."""


class Entry(msgspec.Struct, frozen=True):
    """One call: an operation's name and its parameters, plain values; `place` is where it is written."""

    place: str
    operation: str
    parameters: Mapping[str, Any]


def literal_calls(analysis: Analysis) -> list[Entry]:
    """The calls that are written out, each once."""
    found: dict[str, Entry] = {}
    for entry in (*_of_sites(analysis), *_of_operations(analysis)):
        found.setdefault(f"{entry.operation} {_value(entry.parameters)}", entry)
    return list(found.values())


def scenario_text(entries: Sequence[Entry]) -> str:
    """The entries as a scenario file."""
    head = (
        "# The calls that the code writes out. `apicache warm` makes each once; add what your users are known to ask.\n"
    )
    return head + "".join(_entry(entry) for entry in entries)


def _of_sites(analysis: Analysis) -> Iterator[Entry]:
    groups: dict[str, list[ResolvedSite]] = {}
    for resolved in analysis.sites:
        site = resolved.site
        if site.operation is not None and site.endpoint is not None and not site.cached:
            groups.setdefault(site.endpoint, []).append(resolved)
    for endpoint, members in groups.items():
        # A dynamic path is a parameter that no literal fills.
        if "{}" in endpoint.partition(" ")[2].partition("/")[2]:
            continue
        sent = [dict(_leaves(analysis, resolved)) for resolved in members]
        names = _parameter_names(sent)
        for resolved, leaves in zip(members, sent, strict=True):
            secret = any(isinstance(part, str) and _CREDENTIAL.search(part) for leaf in leaves for part in leaf)
            if leaves and not secret and _OPEN not in leaves.values() and all(leaf in leaves for leaf in names):
                parameters = {name: leaves[leaf] for leaf, name in names.items()}
                yield Entry(_place(resolved.site.path, resolved.site.line), resolved.site.operation or "", parameters)


def _parameter_names(sent: Sequence[Mapping[Leaf, Any]]) -> dict[Leaf, str]:
    """What differs between the calls, with the name of its parameter."""
    names: dict[Leaf, str] = {}
    for leaf in dict.fromkeys(leaf for leaves in sent for leaf in leaves):
        values = [leaves.get(leaf, _OPEN) for leaves in sent]
        if _OPEN in values or any(repr(value) != repr(values[0]) for value in values):
            names[leaf] = _free(leaf, set(names.values()))
    return names


def _free(leaf: Leaf, used: set[str]) -> str:
    key = next((part for part in reversed(leaf) if isinstance(part, str)), "value")
    name = re.sub(r"\W+", "_", key).strip("_") or "value"
    name = f"value_{name}" if name[0].isdigit() else name
    name = f"{name}_" if keyword.iskeyword(name) else name
    number, wanted = 2, name
    while name in used | {"operation", "self"}:
        name, number = f"{wanted}_{number}", number + 1
    return name


def _leaves(analysis: Analysis, resolved: ResolvedSite) -> Iterator[tuple[Leaf, Any]]:
    """The values a call sends, taken apart as far as its displays go."""
    for where in resolved.payload:
        given = argument(resolved.node, where)
        if given is not None:
            yield from _taken_apart((where.keyword,), given, resolved.frame, analysis)


def _taken_apart(leaf: Leaf, node: ast.expr, frame: Frame, analysis: Analysis) -> Iterator[tuple[Leaf, Any]]:
    if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
        for key, value in zip(node.keys, node.values, strict=True):
            yield from _taken_apart((*leaf, str(getattr(key, "value", ""))), value, frame, analysis)
    elif isinstance(node, ast.List | ast.Tuple) and not any(isinstance(each, ast.Starred) for each in node.elts):
        for index, value in enumerate(node.elts):
            yield from _taken_apart((*leaf, index), value, frame, analysis)
    else:
        yield leaf, _plain(node, frame, analysis)


def _plain(node: ast.expr, frame: Frame, analysis: Analysis) -> Any:  # noqa: PLR0911 - one row per kind of expression
    """The plain value of an expression, constants followed; `_OPEN` when it is not one that YAML can carry."""
    match node:
        case ast.Constant(value=str() | bool() | int() | None as value):
            return value if not isinstance(value, str) or _encodable(value) else _OPEN
        case ast.Constant(value=float() as value) if math.isfinite(value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            items = [_plain(element, frame, analysis) for element in elements]
            return _OPEN if any(item is _OPEN for item in items) else items
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            pairs = {
                str(getattr(key, "value", "")): _plain(value, frame, analysis)
                for key, value in zip(keys, values, strict=True)
            }
            return _OPEN if any(item is _OPEN for item in pairs.values()) else pairs
        case ast.Name() | ast.Attribute() | ast.JoinedStr() | ast.BinOp():
            # The resolver has numbers as texts too: which of the two a digit is cannot be told.
            known = exact(analysis.text(node, frame))
            return _OPEN if known is None or _NUMBER.fullmatch(known) or not _encodable(known) else known
        case _:
            return _OPEN


def _encodable(text: str) -> bool:
    """Whether a scenario file can carry a text: no half of a surrogate pair, nothing that it takes for a reference."""
    return "${{" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _of_operations(analysis: Analysis) -> Iterator[Entry]:
    """The calls of registered operations whose parameters are all literal, in every file that has some."""
    project = analysis.resolver.project
    for location, source in project.sources.items():
        module = project.module(location) if any(f"{name}(" in source.text for name in _CALLS) else None
        for candidate in Calls(module).named(_CALLS, _CALLS) if module is not None else ():
            call = candidate.call
            given = {each.arg: _plain(each.value, candidate.frame, analysis) for each in call.keywords}
            operation = given.pop("operation", None)
            if not call.args and isinstance(operation, str) and None not in given and _OPEN not in given.values():
                parameters = {str(name): value for name, value in given.items()}
                yield Entry(_place(source.path, call.lineno), operation, parameters)


def _place(path: str, line: int) -> str:
    return f"{' '.join(path.split())}:{line}"


def _entry(entry: Entry) -> str:
    lines = [f"# {_UNPRINTABLE.sub('?', entry.place)}", f"- operation: {_text(entry.operation)}"]
    # Not beside the operation: any name may be a key of the format one day.
    lines += ["  params:"] if entry.parameters else []
    lines += [f"    {_text(name)}: {_value(value)}" for name, value in entry.parameters.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:  # noqa: PLR0911 - one row per kind of value
    """A value in YAML's flow style."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case float():
            written = repr(value)
            return written if "." in written else written.replace("e", ".0e")
        case Mapping():
            return "{" + ", ".join(f"{_quoted(str(key))}: {_value(item)}" for key, item in value.items()) + "}"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return str(value)


def _text(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else _quoted(text)


def _quoted(text: str) -> str:
    """A double-quoted scalar: JSON's, with everything escaped that YAML calls not printable."""
    written = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", written)
