"""Terms back to source: the body of an operation, written from the first site's call."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

import libcst as cst

from apicache_codemods.rewriting.generalise import MismatchError
from apicache_codemods.rewriting.terms import PLUS, Carried, Literal, Outside, Referred, Shape, Term, code_of

_Node = TypeVar("_Node", bound=cst.CSTNode)

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class NameTable(Protocol):
    """Gives the names by which a module knows what it needs, adding imports and assignments to it."""

    def imported(self, meaning: Outside) -> str:
        """The expression for a module or a member of one."""

    def carried(self, meaning: Carried) -> str:
        """The expression for a value that was assigned once in a site's module."""

    def referred(self, meaning: Referred) -> str:
        """The expression that reads a value in the module that holds it."""


def render(  # noqa: PLR0911 - one line per kind of term
    term: Term, holes: Mapping[int, str], names: NameTable
) -> cst.BaseExpression:
    """The expression with parameters in its holes and every name as the target module knows it."""
    hole = holes.get(id(term))
    if hole is not None:
        return cst.Name(hole)
    if isinstance(term.meaning, Outside):
        return cst.parse_expression(names.imported(term.meaning))
    if isinstance(term.meaning, Carried):
        return cst.parse_expression(names.carried(term.meaning))
    if isinstance(term.meaning, Referred):
        return cst.parse_expression(names.referred(term.meaning))
    if term.folded:
        return _rebuilt_string(term, holes, names)
    if isinstance(term.meaning, Literal):
        return cst.parse_expression(repr(term.meaning.value))
    changed: dict[cst.CSTNode, cst.CSTNode] = {}
    for child in term.children:
        rendered = render(child, holes, names)
        if rendered is not child.node:
            changed[child.node] = rendered
    return replaced(term.node, changed)


class _Replacer(cst.CSTTransformer):
    def __init__(self, changed: Mapping[cst.CSTNode, cst.CSTNode]) -> None:
        super().__init__()
        self.changed = changed

    def on_visit(self, node: cst.CSTNode) -> bool:
        return node not in self.changed

    def on_leave(self, original_node: _Node, updated_node: _Node) -> _Node:
        return self.changed.get(original_node, updated_node)  # type: ignore[return-value] # as the caller says


def replaced(node: _Node, changed: Mapping[cst.CSTNode, cst.CSTNode]) -> _Node:
    """The node with some of its descendants, by identity, replaced."""
    return node.visit(_Replacer(changed)) if changed else node  # type: ignore[return-value] # as the caller says


def _rebuilt_string(term: Term, holes: Mapping[int, str], names: NameTable) -> cst.BaseExpression:
    """A string that holds the value of a name, written out: `f"{BASE}/users/{user}"` with BASE's value in place."""
    if term.is_text:
        return cst.SimpleString(f'"{_escaped(str(term.label[2]))}"')
    children = iter(term.children)
    operands: list[str] = []
    formatted: list[str] = []
    for content in term.label[1:]:
        if isinstance(content, str):
            formatted.append(_escaped(content).replace("{", "{{").replace("}", "}}"))
            continue
        code = code_of(render(next(children), holes, names))
        if content == PLUS:
            operands += [*_string_operand(formatted), code]
            formatted = []
        else:
            formatted.append(_field(code, content))  # type: ignore[arg-type] # a string's label holds texts and shapes
    operands += _string_operand(formatted)
    return cst.parse_expression(" + ".join(operands))


def _string_operand(parts: list[str]) -> list[str]:
    text = "".join(parts)
    if not text:
        return []
    fields = text.replace("{{", "").replace("}}", "")
    if "{" in fields:
        return [f'f"{text}"']
    return ['"' + text.replace("{{", "{").replace("}}", "}") + '"']


def _field(code: str, shape: Shape) -> str:
    if '"' in code or "\\" in code or "\n" in code:
        raise MismatchError("an f-string of its arguments cannot be written in another place")
    conversion, specification = shape  # type: ignore[misc] # PLUS was handled
    return "{" + code + (f"!{conversion}" if conversion else "") + (f":{specification}" if specification else "") + "}"


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(c) or (c if c.isprintable() else repr(c)[1:-1]) for c in text)
