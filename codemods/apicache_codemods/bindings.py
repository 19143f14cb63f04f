"""What binds a name: the kinds of binding, and the walk over a scope's statements that records them.

Only statements are walked, never the inside of expressions (except for walruses, in modules that hold one): that
keeps the resolver cheaper than parsing.
"""

import ast
from bisect import bisect_left
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from apicache_codemods.blocks import COMPOUND, LOOP_BODY, Block, inner_blocks

if TYPE_CHECKING:
    from apicache_codemods.scopes import Scope

Position: TypeAlias = tuple[int, int]
"""Line (1-based) and column (0-based, UTF-8 bytes), as `ast` counts."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
ScopeNode: TypeAlias = ast.Module | ast.ClassDef | Function | Comprehension

START: Position = (0, 0)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_PUTTING = frozenset({"append", "add", "set", "put", "put_nowait", "appendleft"})


class Assigned(msgspec.Struct, frozen=True):
    """Bound to an expression's value; `unpack` are the indexes taken from it (`a, b = value` binds b by `(1,)`)."""

    value: ast.expr
    unpack: tuple[int, ...] = ()
    annotation: ast.expr | None = None


class Entered(msgspec.Struct, frozen=True):
    """Bound to what `with value as name` enters."""

    value: ast.expr


class Annotated(msgspec.Struct, frozen=True):
    """Declared by annotation alone: `client: httpx.Client`."""

    annotation: ast.expr


class Augmented(msgspec.Struct, frozen=True):
    """Changed in place: `url += "/users"`."""

    target: ast.expr
    operator: ast.operator
    value: ast.expr


class Imported(msgspec.Struct, frozen=True):
    """Imported: module `module` (with `level` leading dots), or its member `name`."""

    module: str
    level: int = 0
    name: str | None = None


class Defined(msgspec.Struct, frozen=True):
    """A function or class definition."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a function; `index` counts positional ones, None for keyword-only, `*args` and `**kwargs`."""

    name: str
    index: int | None
    annotation: ast.expr | None
    default: ast.expr | None


class Iterated(msgspec.Struct, frozen=True):
    """Bound to each element of `iterable` in turn; `unpack` are the indexes taken from an element."""

    iterable: ast.expr
    unpack: tuple[int, ...] = ()


class Opaque(msgspec.Struct, frozen=True):
    """Bound to something no resolver follows: an exception, a pattern's capture."""


Source: TypeAlias = Assigned | Entered | Annotated | Augmented | Imported | Defined | Parameter | Iterated | Opaque


class Binding(msgspec.Struct, frozen=True, eq=False):
    """One place where a name, or an attribute of a name, is bound; `scope` is where its expressions are evaluated."""

    source: Source
    node: ast.AST
    scope: "Scope"
    position: Position
    block: Block


class Item(msgspec.Struct, frozen=True, eq=False):
    """A value put into a collection, under `key` if that is known."""

    key: ast.expr | None
    value: ast.expr
    scope: "Scope"
    block: Block


class Names(msgspec.Struct, eq=False):
    """What a scope's own statements bind, return and hold."""

    bindings: dict[str, list[Binding]] = msgspec.field(default_factory=dict)
    attributes: dict[tuple[str, str], list[Binding]] = msgspec.field(default_factory=dict)
    """What is assigned to attributes of names: `self.client = ...` under `("self", "client")`, `self.local.http = ...`
    under `("self.local", "http")`."""
    items: dict[str, list[Item]] = msgspec.field(default_factory=dict)
    """What is put into collections, by how they are written: `clients[name] = ...`, `self.clients.append(...)`."""
    moved: dict[str, list[Binding]] = msgspec.field(default_factory=dict)
    """Bindings that `global` or `nonlocal` moves out of this scope."""
    outward: dict[str, Literal["global", "nonlocal"]] = msgspec.field(default_factory=dict)
    stars: list[Imported] = msgspec.field(default_factory=list)
    returns: list[tuple[ast.expr, Block]] = msgspec.field(default_factory=list)
    yields: list[tuple[ast.expr, Block]] = msgspec.field(default_factory=list)
    definitions: list[tuple[Definition, Block]] = msgspec.field(default_factory=list)


def walk(scope: "Scope") -> Names:
    """Everything the statements of `scope` bind; nested functions and classes are recorded, not entered."""
    recorder = _Recorder(scope)
    node = scope.node
    if isinstance(node, COMPREHENSIONS):
        for generator in node.generators:
            recorder.target(generator.target, Iterated(generator.iter), generator.target, ())
    elif isinstance(node, ast.Lambda):
        recorder.parameters(node.args)
        recorder.names.returns.append((node.body, ()))
    else:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            recorder.parameters(node.args)
        recorder.statements(node.body)
    return recorder.finish()


class _Recorder:
    """Records the bindings of one scope; `finish` sorts them and moves those declared `global` or `nonlocal`."""

    def __init__(self, scope: "Scope") -> None:
        self.scope = scope
        self.names = Names()

    def finish(self) -> Names:
        names = self.names
        for bindings in names.bindings.values():
            if len(bindings) > 1:
                bindings.sort(key=lambda binding: binding.position)
        for name in names.outward:
            moved = names.bindings.pop(name, None)
            if moved is not None:
                names.moved[name] = moved
        return names

    def statements(self, body: list[ast.stmt]) -> None:
        # A stack, not recursion: an `elif` chain nests as deep as it is long.
        lines = self.scope.traits.walrus_lines
        waiting: list[tuple[list[ast.stmt], Block]] = [(body, ())]
        while waiting:
            block_body, block = waiting.pop()
            for statement in block_body:
                self.statement(statement, block)
                if isinstance(statement, COMPOUND):
                    waiting.extend(inner_blocks(statement, block))
                if lines and _covers(statement, lines):
                    self.walruses(statement, block)

    def bind(self, name: str, source: Source, node: ast.AST, position: Position, block: Block) -> None:
        self.names.bindings.setdefault(name, []).append(Binding(source, node, self.scope, position, block))

    def parameters(self, arguments: ast.arguments) -> None:
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
        for index, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
            source = Parameter(argument.arg, index, argument.annotation, default)
            self.bind(argument.arg, source, argument, START, ())
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            self.bind(argument.arg, Parameter(argument.arg, None, argument.annotation, default), argument, START, ())
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                self.bind(rest.arg, Opaque(), rest, START, ())

    def target(self, target: ast.expr, source: Source, node: ast.AST, block: Block) -> None:
        """Bind a target: a name, an attribute of a name, or a tuple of targets."""
        position = _end(node)
        match target:
            case ast.Name(id=name):
                self.bind(name, source, node, position, block)
            case ast.Attribute(value=ast.Name(id=holder), attr=attribute):
                binding = Binding(source, node, self.scope, position, block)
                self.names.attributes.setdefault((holder, attribute), []).append(binding)
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id=holder), attr=between), attr=attribute):
                binding = Binding(source, node, self.scope, position, block)
                self.names.attributes.setdefault((f"{holder}.{between}", attribute), []).append(binding)
            case ast.Subscript(value=collection, slice=key) if isinstance(source, Assigned) and not source.unpack:
                self.put(collection, key, source.value, block)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                starred = next((i for i, each in enumerate(elements) if isinstance(each, ast.Starred)), len(elements))
                for index, element in enumerate(elements):
                    self.target(element, _part(source, index) if index < starred else Opaque(), node, block)
            case ast.Starred(value=inner):
                self.target(inner, Opaque(), node, block)
            case _:
                return

    def statement(self, statement: ast.stmt, block: Block) -> None:  # noqa: C901, PLR0912 - one row per kind
        match statement:
            case ast.Assign():
                for target in statement.targets:
                    self.target(target, Assigned(statement.value), statement, block)
                self.yielded(statement.value, block)
            case ast.AnnAssign(value=None):
                self.target(statement.target, Annotated(statement.annotation), statement, block)
            case ast.AnnAssign(value=ast.expr() as value):
                source = Assigned(value, annotation=statement.annotation)
                self.target(statement.target, source, statement, block)
            case ast.AugAssign():
                source_of = Augmented(statement.target, statement.op, statement.value)
                self.target(statement.target, source_of, statement, block)
            case ast.Import():
                self.imports(statement, block)
            case ast.ImportFrom():
                self.members(statement, block)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                if not _is_accessor(statement):
                    position = (statement.lineno, statement.col_offset)
                    self.bind(statement.name, Defined(statement), statement, position, block)
                self.names.definitions.append((statement, block))
            case ast.Return(value=ast.expr() as value):
                self.names.returns.append((value, block))
            case ast.Expr(value=value):
                self.yielded(value, block)
                self.filled(value, block)
            case ast.Global() | ast.Nonlocal():
                kind: Literal["global", "nonlocal"] = "global" if isinstance(statement, ast.Global) else "nonlocal"
                self.names.outward.update(dict.fromkeys(statement.names, kind))
            case _:
                self.compound(statement, block)

    def compound(self, statement: ast.stmt, block: Block) -> None:
        match statement:
            case ast.With() | ast.AsyncWith():
                for item in statement.items:
                    if item.optional_vars is not None:
                        self.entered(item, item.optional_vars, statement, block)
            case ast.For() | ast.AsyncFor():
                inside = (*block, (statement.lineno, statement.col_offset, LOOP_BODY))
                self.target(statement.target, Iterated(statement.iter), statement.target, inside)
            case ast.Try() | ast.TryStar():
                for handler in statement.handlers:
                    if handler.name is not None:
                        self.bind(handler.name, Opaque(), handler, (handler.lineno, handler.col_offset), block)
            case ast.Match():
                for case in statement.cases:
                    self.captures(case.pattern, block)
            case _:
                return

    def entered(self, item: ast.withitem, target: ast.expr, statement: ast.With | ast.AsyncWith, block: Block) -> None:
        position = _end(target)
        source = Entered(item.context_expr)
        match target:
            case ast.Name(id=name):
                self.bind(name, source, statement, position, block)
            case ast.Attribute(value=ast.Name(id=holder), attr=attribute):
                binding = Binding(source, statement, self.scope, position, block)
                self.names.attributes.setdefault((holder, attribute), []).append(binding)
            case _:
                self.target(target, Opaque(), target, block)

    def captures(self, pattern: ast.pattern, block: Block) -> None:
        for node in ast.walk(pattern):
            name = getattr(node, "rest", None) if isinstance(node, ast.MatchMapping) else getattr(node, "name", None)
            if isinstance(name, str):
                self.bind(name, Opaque(), node, (pattern.lineno, pattern.col_offset), block)

    def imports(self, statement: ast.Import, block: Block) -> None:
        position = (statement.lineno, statement.col_offset)
        for alias in statement.names:
            if alias.asname is None:
                top = alias.name.partition(".")[0]
                self.bind(top, Imported(top), statement, position, block)
            else:
                self.bind(alias.asname, Imported(alias.name), statement, position, block)

    def members(self, statement: ast.ImportFrom, block: Block) -> None:
        position = (statement.lineno, statement.col_offset)
        module = statement.module or ""
        for alias in statement.names:
            if alias.name == "*":
                self.names.stars.append(Imported(module, statement.level))
            else:
                source = Imported(module, statement.level, alias.name)
                self.bind(alias.asname or alias.name, source, statement, position, block)

    def yielded(self, value: ast.expr, block: Block) -> None:
        if isinstance(value, ast.Yield) and value.value is not None:
            self.names.yields.append((value.value, block))

    def put(self, collection: ast.expr, key: ast.expr | None, value: ast.expr, block: Block) -> None:
        """Note what is put into a collection that is a name or an attribute of one."""
        match collection:
            case ast.Name(id=written):
                pass
            case ast.Attribute(value=ast.Name(id=holder), attr=attribute):
                written = f"{holder}.{attribute}"
            case _:
                return
        self.names.items.setdefault(written, []).append(Item(key, value, self.scope, block))

    def filled(self, value: ast.expr, block: Block) -> None:
        match value:
            case ast.Call(func=ast.Attribute(value=collection, attr=method), args=[first]) if method in _PUTTING:
                self.put(collection, None, first, block)
            case ast.Call(func=ast.Attribute(value=collection, attr="setdefault"), args=[key, second]):
                self.put(collection, key, second, block)
            case _:
                return

    def walruses(self, statement: ast.stmt, block: Block) -> None:
        waiting: list[ast.AST] = [
            part
            for part in ast.iter_child_nodes(statement)
            if isinstance(part, ast.expr | ast.withitem | ast.match_case)
        ]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.NamedExpr):
                self.target(node.target, Assigned(node.value), node, block)
            if not isinstance(node, ast.Lambda | ast.stmt):
                waiting.extend(ast.iter_child_nodes(node))


def _is_accessor(definition: Definition) -> bool:
    """Whether a definition adds to a property (`@client.setter`) and so leaves the name worth what it was."""
    return any(
        isinstance(decorator, ast.Attribute)
        and decorator.attr in {"setter", "deleter"}
        and isinstance(decorator.value, ast.Name)
        and decorator.value.id == definition.name
        for decorator in definition.decorator_list
    )


def _covers(statement: ast.stmt, lines: tuple[int, ...]) -> bool:
    index = bisect_left(lines, statement.lineno)
    return index < len(lines) and lines[index] <= (statement.end_lineno or statement.lineno)


def _part(source: Source, index: int) -> Source:
    match source:
        case Assigned(value=value, unpack=unpack):
            return Assigned(value, (*unpack, index))
        case Iterated(iterable=iterable, unpack=unpack):
            return Iterated(iterable, (*unpack, index))
        case _:
            return Opaque()


def _end(node: ast.AST) -> Position:
    """Where a node ends: its own right side must not see what it binds."""
    end_line, end_column = getattr(node, "end_lineno", None), getattr(node, "end_col_offset", None)
    return (end_line, end_column) if end_line is not None and end_column is not None else START
