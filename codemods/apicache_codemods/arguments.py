"""Which expression a call passes for an argument, by keyword or position."""

import ast

from apicache_codemods.detector import Argument
from apicache_codemods.scopes import Frame
from apicache_codemods.values import Partial


def argument(call: ast.Call, where: Argument) -> ast.expr | None:
    """The expression a call passes for an argument; None when it passes none that can be seen."""
    for keyword in call.keywords:
        if keyword.arg == where.keyword:
            return keyword.value
    if where.position is None or where.position >= len(call.args):
        return None
    before = call.args[: where.position + 1]
    return None if any(isinstance(each, ast.Starred) for each in before) else before[-1]


class Elsewhere(ast.expr):
    """An expression that stands in another place than the call it is an argument of: one that a partial was given."""

    _fields = ("value",)

    def __init__(self, value: ast.expr, frame: Frame) -> None:
        super().__init__()
        self.value = value
        self.frame = frame
        ast.copy_location(self, value)


def with_partial(partial: Partial, call: ast.Call) -> ast.Call:
    """The call that a call of a partial comes to: the partial's arguments, then the call's own."""
    positional = [_elsewhere(argument, partial.frame) for argument in partial.call.args[1:]]
    own = {keyword.arg for keyword in call.keywords} - {None}
    keywords = [
        ast.keyword(arg=keyword.arg, value=Elsewhere(keyword.value, partial.frame))
        for keyword in partial.call.keywords
        if keyword.arg not in own
    ]
    made = ast.Call(func=call.func, args=[*positional, *call.args], keywords=[*keywords, *call.keywords])
    return ast.copy_location(made, call)


def _elsewhere(argument: ast.expr, frame: Frame) -> ast.expr:
    if isinstance(argument, ast.Starred):
        return ast.copy_location(ast.Starred(Elsewhere(argument.value, frame), argument.ctx), argument)
    return Elsewhere(argument, frame)
