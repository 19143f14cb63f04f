"""A call site with what the rules ask of it: the nodes around it, its arguments, what its answer is used for."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from apicache_codemods.analysis import Analysis, ResolvedSite
from apicache_codemods.bindings import Assigned, Binding
from apicache_codemods.detector import Argument, Request, load_detectors
from apicache_codemods.model import CallSite
from apicache_codemods.project import Module
from apicache_codemods.scopes import lookup
from apicache_codemods.values import External, Text, exact

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def parents_of(tree: ast.Module) -> dict[ast.AST, ast.AST]:
    """Every node of a tree with the node it stands in."""
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


@dataclass(frozen=True, eq=False)
class Subject:
    """One call site under judgement."""

    resolved: ResolvedSite
    module: Module
    parents: Mapping[ast.AST, ast.AST] = field(repr=False)
    analysis: Analysis = field(repr=False)

    @property
    def site(self) -> CallSite:
        """The site as scan reports it."""
        return self.resolved.site

    @property
    def call(self) -> ast.Call:
        """The call expression."""
        return self.resolved.node

    @cached_property
    def around(self) -> tuple[ast.AST, ...]:
        """The nodes around the call, innermost first, up to the module."""
        return tuple(self._upwards())

    def _upwards(self) -> Iterator[ast.AST]:
        node: ast.AST | None = self.parents.get(self.call)
        while node is not None:
            yield node
            node = self.parents.get(node)

    @cached_property
    def function(self) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function that the call stands in."""
        return next((node for node in self.around if isinstance(node, FUNCTIONS)), None)

    @cached_property
    def within_function(self) -> tuple[ast.AST, ...]:
        """The nodes around the call, up to its function."""
        inside = []
        for node in self.around:
            if isinstance(node, FUNCTIONS):
                break
            inside.append(node)
        return tuple(inside)

    @cached_property
    def path(self) -> tuple[str, ...]:
        """The attributes between client and call: `("post",)`, `("chat", "completions", "create")`."""
        client = self.resolved.client
        if client.holder == "library":
            names = (value.name for value in self.evaluate(self.call.func) if isinstance(value, External))
            name = next((name for name in names if name.startswith(f"{client.library}.")), "")
            return tuple(name.split(".")[1:])
        parts: list[str] = []
        node: ast.expr = self.call.func
        while isinstance(node, ast.Attribute) and node is not client.expression:
            parts.insert(0, node.attr)
            node = node.value
        if parts:
            return tuple(parts)
        # Where the client begins is not known, as behind a property: the card tells what its call methods are.
        written = ast.unparse(self.call.func).split(".")
        known = load_detectors()[self.site.library].calls
        return next((tuple(written[i:]) for i in range(len(written)) if ".".join(written[i:]) in known), ())

    @cached_property
    def request(self) -> Request | None:
        """The detector's card of the called method."""
        detector = load_detectors()[self.site.library]
        path = ".".join(part for part in self.path if part not in detector.transparent)
        if self.resolved.client.holder == "library":
            return detector.functions.get(f"{self.site.library}.{path}")
        return detector.calls.get(path)

    @cached_property
    def arguments(self) -> dict[str, ast.expr]:
        """What is passed, by keyword; positional arguments by the keyword that the detector knows, else by `#index`."""
        by_position = {card.position: card.keyword for card in self.cards if card.position is not None}
        given = {by_position.get(index, f"#{index}"): value for index, value in enumerate(self.call.args)}
        return given | {keyword.arg: keyword.value for keyword in self.call.keywords if keyword.arg is not None}

    @property
    def cards(self) -> tuple[Argument, ...]:
        """Where method, URL and payload stand."""
        if self.request is None:
            return ()
        parts = (self.request.method, self.request.url, self.request.prepared, *self.request.payload)
        return tuple(part for part in parts if isinstance(part, Argument))

    @cached_property
    def response_name(self) -> str | None:
        """The name that the response is assigned to; None when it is not assigned to one name."""
        statement = self.parents.get(self._awaited)
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                return name
            case ast.NamedExpr(target=ast.Name(id=name)):
                return name
            case ast.withitem(optional_vars=ast.Name(id=name)):
                return name
            case _:
                return None

    @property
    def _awaited(self) -> ast.AST:
        parent = self.parents.get(self.call)
        return parent if isinstance(parent, ast.Await) else self.call

    @property
    def user(self) -> ast.AST | None:
        """The node that uses the response: what stands around the call and its `await`."""
        return self.parents.get(self._awaited)

    @cached_property
    def response_attributes(self) -> frozenset[str]:
        """The attributes read of the response, directly or by the name it is assigned to."""
        found = set()
        if isinstance(self.user, ast.Attribute):
            found.add(self.user.attr)
        if self.response_name is not None:
            body: ast.AST = self.function or self.module.tree
            found |= {
                node.attr
                for node in ast.walk(body)
                if isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == self.response_name
            }
        return frozenset(found)

    def evaluate(self, expression: ast.expr) -> Iterable[object]:
        """What an expression at the site is worth."""
        return self.analysis.resolver.evaluate(expression, self.resolved.frame)

    def text(self, expression: ast.expr) -> str | None:
        """The text of an expression at the site; None when it is not known."""
        return exact(self.analysis.text(expression, self.resolved.frame))

    def text_with_holes(self, expression: ast.expr) -> Text:
        """The known parts of a text."""
        return self.analysis.text(expression, self.resolved.frame)

    def bindings(self, name: ast.Name) -> list[Binding]:
        """What can bind a name where it stands."""
        found = lookup(name.id, self.resolved.frame, (name.lineno, name.col_offset))
        return found[1] if found is not None else []

    def assigned_to(self, name: ast.Name) -> list[ast.expr]:
        """The expressions assigned to a name that can reach this place."""
        return [binding.source.value for binding in self.bindings(name) if isinstance(binding.source, Assigned)]
