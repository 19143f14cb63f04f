"""Why a call is no call site: what it calls instead, or the name at which following its client ended."""

import ast
from collections.abc import Iterator

from apicache_codemods.bindings import (
    Annotated,
    Assigned,
    Augmented,
    Binding,
    Defined,
    Entered,
    Imported,
    Iterated,
    Opaque,
    Parameter,
)
from apicache_codemods.resolver import Resolver
from apicache_codemods.scopes import Frame, lookup
from apicache_codemods.values import (
    Client,
    External,
    Member,
    Prepared,
    ProjectClass,
    ProjectFunction,
    ProjectInstance,
    ProjectModule,
    Text,
    Unknown,
    Value,
)

_LONGEST = 8
"""Names followed back in one explanation."""
_SHOWN = 60


class WhyNot:
    """Sentences about a call that is no call site, the nearest reason first."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def reasons(self, call: ast.Call, frame: Frame) -> list[str]:
        """Why; at least one sentence."""
        values = [value for value in self._resolver.evaluate(call.func, frame) if not isinstance(value, Unknown)]
        known = [said for value in values if (said := self._of_value(value, call.func)) is not None]
        return list(dict.fromkeys(known)) or self._followed(call.func, frame)

    def _of_value(self, value: Value, called: ast.expr) -> str | None:  # noqa: PLR0911 - one row per kind of value
        match value:
            case External(name=name):
                return self._of_external(name)
            case Member(client=client, path=path):
                calls = client.constructor.calls if client.constructor.calls is not None else client.detector.calls
                if ".".join(path) in calls:
                    return f"it makes a request of {client.class_name}, but scan's search did not lead to this file"
                verbs = ", ".join(sorted(calls)[:_LONGEST])
                return f"`{'.'.join(path)}` of {client.class_name} is no method that makes a request; such are {verbs}"
            case Client():
                return f"`{shown(called)}` is a client ({value.class_name}) itself, not a method of it"
            case ProjectFunction(scope=scope):
                return f"it calls the project's own {scope.qualname or 'lambda'}{self._at(scope.owner, scope.node)}"
            case ProjectClass(scope=scope):
                return f"it makes an instance of the project's {scope.qualname}{self._at(scope.owner, scope.node)}"
            case ProjectInstance(of=of):
                return f"it calls an instance of the project's {of.scope.qualname}"
            case Prepared():
                return "it is a request that is built here and sent elsewhere"
            case Text():
                return "it calls a text"
            case _:
                return None

    def _of_external(self, name: str) -> str:
        catalogue = self._resolver.catalogue
        top = name.partition(".")[0]
        if name in catalogue.constructors:
            return f"it makes a client ({name}); its requests are the call sites"
        if name in catalogue.requests:
            return f"it builds a request ({name}); the call that sends it is the call site"
        if top == "builtins":
            return f"`{name.partition('.')[2]}` is a name that nothing in the file binds, or one of Python's own"
        if self._resolver.project.is_library(name):
            return f"`{name}` makes no request that scan knows of"
        return f"`{name}` belongs to no library that scan knows"

    def _at(self, location: str, node: ast.AST) -> str:
        source = self._resolver.project.sources.get(location)
        return f" ({source.path}:{getattr(node, 'lineno', 1)})" if source is not None else ""

    def _followed(self, expression: ast.expr, frame: Frame) -> list[str]:
        """Each name on the way to what is not known."""
        said: list[str] = []
        at: tuple[ast.expr, Frame] | None = (expression, frame)
        while at is not None and len(said) < _LONGEST:
            sentence, at = self._step(*at)
            if sentence in said:
                break
            said.append(sentence)
        return said

    def _step(  # noqa: PLR0911 - one row per kind of expression
        self, expression: ast.expr, frame: Frame
    ) -> tuple[str, tuple[ast.expr, Frame] | None]:
        """What stops an expression from being known, and what to look at next."""
        match expression:
            case ast.Attribute(value=value, attr=attribute):
                return self._attribute(value, attribute, frame)
            case ast.Name():
                return self._name(expression, frame)
            case ast.Call(func=function):
                return self._call(expression, function, frame)
            case ast.Await(value=value) | ast.NamedExpr(value=value):
                return self._step(value, frame)
            case ast.IfExp() | ast.BoolOp():
                return f"neither alternative of `{shown(expression)}` is known", None
            case ast.Subscript():
                return f"`{shown(expression)}` is an element that is not followed", None
            case _:
                return f"`{shown(expression)}` is an expression that is not followed", None

    def _attribute(  # noqa: PLR0911 - one row per kind of value
        self, value: ast.expr, attribute: str, frame: Frame
    ) -> tuple[str, tuple[ast.expr, Frame] | None]:
        for inner in self._resolver.evaluate(value, frame):
            match inner:
                case ProjectInstance(of=of):
                    setting = self._setting(of, attribute)
                    if setting is not None:
                        line, node, inside = setting
                        told = f"`{shown(value)}.{attribute}` is set{self._at_line(of, line)} from `{shown(node)}`"
                        return told, (node, inside)
                    return f"nothing that was read sets `{attribute}` of {of.scope.qualname} to a known client", None
                case ProjectClass(scope=scope):
                    return f"`{attribute}` of the class {scope.qualname} is not known", None
                case ProjectModule(location=location):
                    source = self._resolver.project.sources.get(location)
                    where = source.path if source is not None else location
                    return f"`{attribute}` of {where} could not be followed to a client", None
                case Text():
                    return f"`{shown(value)}` is a text, not a client", None
                case Unknown():
                    continue
                case _:
                    return f"`{shown(value)}` is no client", None
        return f"`{shown(value)}` is not known", (value, frame)

    def _setting(self, of: ProjectClass, attribute: str) -> tuple[int, ast.expr, Frame] | None:
        """Where a method of a class sets an attribute of its first parameter."""
        for node, _ in of.scope.names.definitions:
            if isinstance(node, ast.ClassDef):
                continue
            for (_, name), bindings in of.scope.child(node).names.attributes.items():
                for binding in bindings if name == attribute else ():
                    if isinstance(binding.source, Assigned):
                        frame = Frame(binding.scope, binding.block)
                        return getattr(binding.node, "lineno", 0), binding.source.value, frame
        return None

    def _at_line(self, of: ProjectClass, line: int) -> str:
        source = self._resolver.project.sources.get(of.scope.owner)
        return f" at {source.path}:{line}" if source is not None else ""

    def _call(self, call: ast.Call, function: ast.expr, frame: Frame) -> tuple[str, tuple[ast.expr, Frame] | None]:
        for value in self._resolver.evaluate(function, frame):
            match value:
                case External(name=name):
                    return f"what it gives is not known: {self._of_external(name)}", None
                case ProjectFunction(scope=scope):
                    where = self._at(scope.owner, scope.node)
                    returns = next(iter(scope.names.returns), None)
                    told = f"what {scope.qualname or 'a lambda'}{where} returns is no known client"
                    return told, (returns[0], Frame(scope, returns[1])) if returns is not None else None
                case ProjectClass(scope=scope):
                    return f"`{shown(call)}` makes the project's {scope.qualname}, which is no client", None
                case Member():
                    return f"`{shown(call)}` gives a response, or what scan does not follow", None
                case _:
                    continue
        return f"what `{shown(function)}` gives is not known", (function, frame)

    def _name(self, name: ast.Name, frame: Frame) -> tuple[str, tuple[ast.expr, Frame] | None]:
        found = lookup(name.id, frame, (name.lineno, name.col_offset))
        if found is None:
            return f"`{name.id}` is bound by nothing in the file", None
        for binding in found[1]:
            if any(isinstance(value, Unknown) for value in self._resolver.bound(binding)):
                return self._binding(name.id, binding)
        return f"`{name.id}` is no client", None

    def _binding(  # noqa: C901, PLR0911 - one row per kind of binding
        self, name: str, binding: Binding
    ) -> tuple[str, tuple[ast.expr, Frame] | None]:
        inside = Frame(binding.scope, binding.block)
        line = getattr(binding.node, "lineno", binding.position[0])
        match binding.source:
            case Assigned(value=value, unpack=()):
                return f"`{name}` is assigned on line {line} from `{shown(value)}`", (value, inside)
            case Assigned(value=value):
                return f"`{name}` is unpacked on line {line} from `{shown(value)}`", None
            case Entered(value=value):
                return f"`{name}` is what `with {shown(value)}` on line {line} enters", (value, inside)
            case Parameter(annotation=ast.expr() as annotation) | Annotated(annotation=annotation):
                return f"`{name}` is annotated `{shown(annotation)}`, which is no client class that scan knows", None
            case Parameter():
                function = getattr(binding.scope.node, "name", "a lambda")
                return f"`{name}` is an unannotated parameter of {function}, and no known client is seen passed", None
            case Imported(module=module, level=level, name=member):
                return self._import(name, binding, f"{'.' * level}{module}", member), None
            case Defined():
                return f"`{name}` is defined on line {line}, and is no client", None
            case Iterated(iterable=iterable):
                return f"`{name}` is each element of `{shown(iterable)}` on line {line}", (iterable, inside)
            case Augmented():
                return f"`{name}` is changed in place on line {line}", None
            case Opaque() | Iterated():
                return f"`{name}` is bound on line {line} by an exception or a pattern, which is not followed", None

    def _import(self, name: str, binding: Binding, module: str, member: str | None) -> str:
        source = binding.source
        level = source.level if isinstance(source, Imported) else 0
        location = self._resolver.project.find(module.lstrip("."), level, binding.scope.owner)
        if location is None:
            return f"`{name}` is imported from {module}, which is neither a known library nor among the files read"
        read = self._resolver.project.sources.get(location)
        where = read.path if read is not None else module
        return f"`{name}` is imported from {where}, where `{member or name}` could not be followed to a client"


def shown(expression: ast.expr) -> str:
    """An expression as text, cut when it is long."""
    text = " ".join(ast.unparse(expression).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def steps(reasons: list[str]) -> Iterator[tuple[str, str]]:
    """Reasons as rows of an explanation: the first says why, the others what lies behind it."""
    yield from (("why" if not index else "as", reason) for index, reason in enumerate(reasons))
