"""An operation's call as the expression that it stands for."""

import ast
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import libcst as cst

from apicache_codemods.reverting.operations import Body, Operation
from apicache_codemods.rewriting.terms import code_of

_ATOMS: Final = (
    *(cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.SimpleString, cst.FormattedString, cst.Integer),
    *(cst.Float, cst.List, cst.Dict, cst.Set, cst.Ellipsis),
)
_PURE: Final = (
    *(ast.Name, ast.Constant, ast.Attribute, ast.JoinedStr, ast.FormattedValue, ast.Dict, ast.List, ast.Tuple),
    *(ast.expr_context, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Subscript),
)
_IN_TEXT: Final = (cst.Name, cst.Attribute, cst.Call)
_FRESH = (ast.Dict, ast.List)


class CannotInlineError(Exception):
    """Why a call of the operation's function has to do."""


def arguments_of(call: cst.Call, operation: Operation) -> dict[str, cst.BaseExpression]:
    """What a site passes, by parameter, in its order; raises CannotInlineError when that is not to be seen."""
    parameters = operation.defaults
    if parameters is None:
        raise CannotInlineError("its parameters are hidden in * or **")
    given = {argument.keyword.value: argument.value for argument in call.args if argument.keyword is not None}
    given.pop("operation", None)
    if not given.keys() <= parameters.keys():
        raise CannotInlineError("it passes what the operation does not take")
    for name, default in parameters.items():
        if name not in given:
            if not isinstance(default, cst.Name | cst.SimpleString | cst.Integer | cst.Float):
                raise CannotInlineError(f"the default of {name} is made when the function is")
            given[name] = default
    return given


def names_in(node: cst.CSTNode) -> list[str]:
    """The names that an expression reads, in the order in which it does, as often as it does."""
    finder = _Names()
    node.visit(finder)
    return finder.found


class _Names(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def visit_Name(self, node: cst.Name) -> None:  # noqa: N802 - LibCST
        self.found.append(node.value)

    def visit_Attribute(self, node: cst.Attribute) -> bool:  # noqa: N802 - LibCST
        node.value.visit(self)
        return False

    def visit_Arg(self, node: cst.Arg) -> bool:  # noqa: N802 - LibCST
        node.value.visit(self)
        return False


def check_order(body: Body, given: Mapping[str, cst.BaseExpression]) -> None:
    """Raise CannotInlineError when an argument with an effect would have it at another time, or more than once."""
    parts = [*((body.opened.items[0].item,) if body.opened is not None else ()), body.value]
    read = [name for part in parts for name in names_in(part) if name in given]
    effects = [name for name, value in given.items() if not _is_pure(value, fresh=read.count(name) <= 1)]
    if [name for name in read if name in effects] != effects:
        raise CannotInlineError("an argument with an effect would be evaluated at another time")
    if effects and body.opened is not None:
        raise CannotInlineError("an argument with an effect would be evaluated once the client is open")


def _is_pure(value: cst.BaseExpression, *, fresh: bool) -> bool:
    """Whether it matters neither when nor how often an expression is evaluated."""
    nodes = list(ast.walk(ast.parse(f"({code_of(value)}\n)", mode="eval").body))
    if not fresh and any(isinstance(node, _FRESH) for node in nodes):
        return False
    return all(isinstance(node, _PURE) for node in nodes)


def substituted(
    node: cst.BaseExpression,
    given: Mapping[str, cst.BaseExpression],
    renamed: Callable[[str], cst.BaseExpression],
    factories: Collection[str] = (),
) -> cst.BaseExpression:
    """The expression with arguments for parameters, and every other name as the site's module knows it.

    What calls one of `factories` becomes the client itself.
    Raises CannotInlineError for an argument that cannot stand inside an f-string.
    """
    changed = node.visit(_Substitution(given, renamed, factories))
    if not isinstance(changed, cst.BaseExpression):
        raise TypeError("an expression became something else")
    return changed


class ValueNames(cst.CSTTransformer):
    """Goes through the names that stand for values: those of attributes and of keyword arguments do not."""

    def visit_Attribute(self, node: cst.Attribute) -> bool:  # noqa: N802 - LibCST
        """Does not go on into it by itself."""
        del node
        return False

    def leave_Attribute(  # noqa: N802 - LibCST
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        """Goes through what the attribute is of."""
        return updated_node.with_changes(value=original_node.value.visit(self))

    def visit_Arg(self, node: cst.Arg) -> bool:  # noqa: N802 - LibCST
        """Does not go on into it by itself."""
        del node
        return False

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:  # noqa: N802 - LibCST
        """Goes through the argument's value alone."""
        return updated_node.with_changes(value=original_node.value.visit(self))


class _Substitution(ValueNames):
    def __init__(
        self,
        given: Mapping[str, cst.BaseExpression],
        renamed: Callable[[str], cst.BaseExpression],
        factories: Collection[str],
    ) -> None:
        super().__init__()
        self._given = given
        self._renamed = renamed
        self._factories = factories
        self._in_text = 0

    def visit_FormattedStringExpression(self, node: cst.FormattedStringExpression) -> None:  # noqa: N802 - LibCST
        del node
        self._in_text += 1

    def leave_FormattedStringExpression(  # noqa: N802 - LibCST
        self, original_node: cst.FormattedStringExpression, updated_node: cst.FormattedStringExpression
    ) -> cst.FormattedStringExpression:
        del original_node
        self._in_text -= 1
        return updated_node

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:  # noqa: N802 - LibCST
        del updated_node
        value = self._given.get(original_node.value)
        if value is None:
            return self._renamed(original_node.value)
        code = code_of(value)
        if self._in_text and (not isinstance(value, _IN_TEXT) or set(code) & set("'\"\\\n{")):
            raise CannotInlineError("an argument cannot be written inside an f-string")
        if isinstance(value, _ATOMS) or value.lpar:
            return value
        return value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:  # noqa: N802 - LibCST
        function = original_node.func
        is_factory = isinstance(function, cst.Name) and function.value in self._factories
        return updated_node.func if is_factory else updated_node

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:  # noqa: N802 - LibCST
        value = original_node.value
        is_parameter = isinstance(value, cst.Name) and value.value in self._given and not self._in_text
        if is_parameter and isinstance(value, cst.Name):
            return updated_node.with_changes(value=self._given[value.value])
        return updated_node.with_changes(value=value.visit(self))


def decoded(value: cst.BaseExpression, *, awaited: bool) -> cst.BaseExpression:
    """`value.json()`, `(await value).json()`."""
    if awaited:
        value = cst.Await(value, lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    elif not isinstance(value, _ATOMS):
        value = value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return cst.Call(func=cst.Attribute(value=value, attr=cst.Name("json")))


def plain_call(function: str, call: cst.Call) -> cst.Call:
    """The call of the operation's function itself: what the cache would have called."""
    kept = [each for each in call.args if each.keyword is None or each.keyword.value != "operation"]
    return call.with_changes(func=cst.parse_expression(function), args=_without_last_comma(kept, call))


def unwrapped(call: cst.Call) -> cst.Call:
    """`f(client.get, url)` as `client.get(url)`."""
    first, *rest = call.args
    function = first.value
    if not isinstance(function, _ATOMS):
        function = function.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    space = call.whitespace_before_args
    if not rest:
        space = cst.SimpleWhitespace("")
    return call.with_changes(func=function, args=rest, whitespace_before_args=space)


def _without_last_comma(arguments: Sequence[cst.Arg], call: cst.Call) -> Sequence[cst.Arg]:
    if not arguments or isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace):
        return arguments
    return [*arguments[:-1], arguments[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)]
