"""Texts that expressions build, as far as they are literal: f-strings, `+`, `%`, `str.format`, methods that trim."""

import ast
import re
import string
from collections.abc import Callable

from apicache_codemods.endpoints import base_joined, base_resolved, strip
from apicache_codemods.values import HOLE, NOTHING, UNKNOWN, Text, Unknown, Value, exact, join, literal, united_texts

Evaluate = Callable[[ast.expr], Text]
"""Gives the text of an expression where it stands, a hole when it has none."""

_CONVERSION = re.compile(r"%(?:\((?P<name>\w+)\))?[#0\- +]*\d*(?:\.\d+)?(?P<kind>[diouxXeEfFgGcrsa%])")


def constant(value: object) -> Value:
    """The value of a literal constant: a text or number is a text, None is nothing."""
    if isinstance(value, str):
        return literal(value)
    if value is None:
        return NOTHING
    return literal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else UNKNOWN


def formatted(node: ast.JoinedStr, text: Evaluate) -> Text:
    """An f-string; a piece with a format or a conversion is a hole."""
    parts = []
    for piece in node.values:
        if isinstance(piece, ast.Constant):
            parts.append(literal(str(piece.value)))
        elif isinstance(piece, ast.FormattedValue) and piece.format_spec is None and piece.conversion in {-1, ord("s")}:
            parts.append(text(piece.value))
        else:
            parts.append(HOLE)
    return join(*parts)


def concatenated(node: ast.BinOp, text: Evaluate) -> Text:
    """`a + b + c`; a loop over the left side, so that five thousand terms need no stack."""
    terms = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
        terms.append(left.right)
        left = left.left
    return join(text(left), *(text(term) for term in reversed(terms)))


def interpolated(template: Text, arguments: ast.expr, text: Evaluate) -> Text:
    """`template % arguments`, for a literal template."""
    if template.others:
        return united_texts([interpolated(option, arguments, text) for option in template.options])
    known = exact(template)
    if known is None:
        return HOLE
    positional = list(arguments.elts) if isinstance(arguments, ast.Tuple) else [arguments]
    named = _keys(arguments) if isinstance(arguments, ast.Dict) else {}
    parts, start = [], 0
    for conversion in _CONVERSION.finditer(known):
        parts.append(literal(known[start : conversion.start()]))
        start = conversion.end()
        if conversion["kind"] == "%":
            parts.append(literal("%"))
        elif conversion["name"]:
            parts.append(text(named[conversion["name"]]) if conversion["name"] in named else HOLE)
        else:
            parts.append(text(positional.pop(0)) if positional and conversion["kind"] in "sd" else HOLE)
    return join(*parts, literal(known[start:]))


def _keys(node: ast.Dict) -> dict[str, ast.expr]:
    return {
        key.value: value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def method_result(  # noqa: C901, PLR0911 - one row per method
    receiver: Text, name: str, call: ast.Call, text: Evaluate
) -> Value:
    """What a method of `str` gives, for those that URLs are built with."""
    if receiver.others:
        found = [method_result(option, name, call, text) for option in receiver.options]
        return united_texts([each for each in found if isinstance(each, Text)] or [HOLE])
    match name:
        case "format":
            return _format(receiver, call, text)
        case "strip" | "lstrip" | "rstrip":
            characters = exact(text(call.args[0])) if call.args else None
            if call.args and characters is None:
                return UNKNOWN
            return strip(receiver, characters, left=name != "rstrip", right=name != "lstrip")
        case "lower" | "upper":
            known = exact(receiver)
            return UNKNOWN if known is None else literal(known.lower() if name == "lower" else known.upper())
        case "__str__" | "encode" | "decode" | "unicode_string" | "geturl" | "bindparams" | "columns" | "as_string":
            return receiver
        case "join" if call.args and isinstance(call.args[0], ast.List | ast.Tuple):
            pieces = [text(each) if not isinstance(each, ast.Starred) else HOLE for each in call.args[0].elts]
            return join(*[part for piece in pieces for part in (receiver, piece)][1:])
        case "replace" if len(call.args) > 1:
            return _replaced(receiver, text(call.args[0]), text(call.args[1]))
        case "removeprefix" | "removesuffix" if call.args:
            known, gone = exact(receiver), exact(text(call.args[0]))
            if known is None or gone is None:
                return receiver if known is None else UNKNOWN
            return literal(known.removeprefix(gone) if name == "removeprefix" else known.removesuffix(gone))
        case _:
            return UNKNOWN


def _replaced(receiver: Text, old: Text, new: Text) -> Text:
    """`receiver.replace(old, new)`: what is replaced inside the known pieces."""
    known = exact(old)
    if not known:
        return HOLE
    pieces: list[Text] = []
    for part in receiver.parts:
        first, *more = part.split(known) if isinstance(part, str) else (part,)
        pieces.append(literal(first) if isinstance(first, str) else Text((first,)))
        pieces += [each for piece in more for each in (new, literal(piece))]
    return join(*pieces)


def url_joined(base: Text, path: Text) -> Text:
    """`urljoin(base, path)` (RFC 3986, section 5.2), as far as it is known where the last slash of the base stands."""
    if base.others or path.others:
        return united_texts([url_joined(one, other) for one in base.options for other in path.options])
    rooted = bool(path.parts) and isinstance(path.parts[0], str) and path.parts[0].startswith("/")
    if rooted or not path.parts:
        return base_resolved(base, path) if path.parts else base
    known = base.parts[-1] if base.parts else ""
    if isinstance(known, str) and not known.endswith("/") and known.count("/") > known.count("//") * 2:
        base = Text((*base.parts[:-1], known[: known.rfind("/") + 1]))
    return base_joined(base, path)


def _format(template: Text, call: ast.Call, text: Evaluate) -> Text:
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    starred = any(isinstance(argument, ast.Starred) for argument in call.args)
    pieces: list[Text] = []
    automatic = 0
    for part in template.parts:
        if isinstance(part, Unknown):
            pieces.append(Text((part,)))
            continue
        try:
            fields = list(string.Formatter().parse(part))
        except ValueError:
            return HOLE
        for before, name, spec, _ in fields:
            pieces.append(literal(before))
            if name is None:
                continue
            if name == "":
                name, automatic = str(automatic), automatic + 1  # noqa: PLW2901 - an empty field counts on its own
            filler = _argument(name, named, [] if starred else call.args)
            pieces.append(text(filler) if filler is not None and not spec else HOLE)
    return join(*pieces)


def _argument(name: str, named: dict[str, ast.expr], positional: list[ast.expr]) -> ast.expr | None:
    if name.isdigit():
        return positional[int(name)] if int(name) < len(positional) else None
    return named.get(name)
