"""What the parts of the resolver ask of one another."""

import ast
from typing import Protocol

from apicache_codemods.bindings import Binding
from apicache_codemods.scopes import Frame
from apicache_codemods.values import Text, Value, Values


class Evaluator(Protocol):
    """Gives the values of expressions and bindings."""

    def evaluate(self, expression: ast.expr, frame: Frame) -> Values:
        """The alternatives an expression may be worth where it stands."""
        ...

    doubts: int
    """How often something turned out that may be worth more when more modules can be looked into."""

    def doubt(self) -> None:
        """Note that what is being evaluated may be worth more then."""
        ...

    def attribute(self, value: Value, name: str) -> Values:
        """What an attribute of a value is worth."""
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
