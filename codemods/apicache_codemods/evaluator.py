"""What the parts of the resolver ask of one another."""

import ast
from typing import Protocol

from apicache_codemods.bindings import Binding
from apicache_codemods.scopes import Frame
from apicache_codemods.values import Text, Values


class Evaluator(Protocol):
    """Gives the values of expressions and bindings."""

    def evaluate(self, expression: ast.expr, frame: Frame) -> Values:
        """The alternatives an expression may be worth where it stands."""
        ...

    def bound(self, binding: Binding) -> Values:
        """The alternatives one binding may bind."""
        ...

    def annotated(self, annotation: ast.expr, frame: Frame) -> Values:
        """What a value annotated so is an instance of; unknown when that is no client and no class of the project."""
        ...

    def text(self, expression: ast.expr, frame: Frame) -> Text:
        """The text an expression is worth, a hole when it is none or not one."""
        ...


def united(*alternatives: Values) -> Values:
    """Alternatives put together, each once, in the order met."""
    return tuple(dict.fromkeys(value for values in alternatives for value in values))
