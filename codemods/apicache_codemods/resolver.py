"""What an expression is worth, across the whole project, without running anything: a demand-driven evaluation.

`Resolver.evaluate(expression, frame)` follows names to what binds them (`scopes`), imports to other modules
(`project`), attributes to classes (`classes`), calls to what functions return (`functions`), and gives the alternatives
(`values`). Nothing is evaluated that no call site asks for. Cycles and very deep chains end as `Unknown`.
"""

import ast
from collections.abc import Callable, Container
from typing import Any

from apicache_codemods import texts
from apicache_codemods.arguments import Elsewhere, with_partial
from apicache_codemods.attributes import Attributes
from apicache_codemods.bindings import (
    Annotated,
    Assigned,
    Augmented,
    Binding,
    Comprehension,
    Defined,
    Entered,
    Imported,
    Iterated,
    Opaque,
    Parameter,
)
from apicache_codemods.callers import Callers
from apicache_codemods.classes import Classes
from apicache_codemods.containers import ANY, Containers
from apicache_codemods.detector import Catalogue, Request
from apicache_codemods.evaluator import united
from apicache_codemods.functions import Functions
from apicache_codemods.imports import Imports
from apicache_codemods.parameters import Parameters
from apicache_codemods.project import Project
from apicache_codemods.scopes import Frame, Scope, lookup
from apicache_codemods.standard import Standard, setting
from apicache_codemods.values import (
    UNKNOWN,
    Client,
    Collection,
    External,
    Generated,
    Inherited,
    Literal,
    Member,
    Nothing,
    Partial,
    Prepared,
    Producer,
    ProjectClass,
    ProjectFunction,
    ProjectInstance,
    Text,
    Unknown,
    Value,
    Values,
    grown,
    join,
    literal,
    text_of,
)
from apicache_codemods.written import Written

_DEEPEST = 40  # chains in real code stay under ten; each level takes a handful of Python's stack frames
_MOST = 12  # alternatives kept of one expression
_CALLED_ITSELF = "()"
_ENTERING = {"enter_context", "enter_async_context"}


class Resolver:
    """Evaluates expressions of one project; everything it found is remembered.

    `enters` says which modules, by location, it may look into; what lies in others is unknown. A resolver of clients
    need not parse modules that no client is in. `callers`, if given, say what is passed for unannotated parameters.
    """

    def __init__(
        self, project: Project, catalogue: Catalogue, enters: Container[str], callers: Callers | None = None
    ) -> None:
        self.project = project
        self.catalogue = catalogue
        self.functions = Functions(self)
        self.classes = Classes(self, self.functions, catalogue)
        self._imports = Imports(self, project, enters)
        self._attributes = Attributes(self, self._imports, self.classes, callers)
        self._parameters = Parameters(self, callers)
        self.written = Written(project)
        self._containers = Containers(self, self.written)
        self._standard = Standard(self, self._containers)
        self._known: dict[ast.expr, Values] = {}
        self._active: set[object] = set()
        self._doubtful: set[ast.expr] = set()
        """Those of `_known` that may be worth more when `enters` has grown."""
        self.doubts = 0
        self._depth = 0
        self._by_type: dict[type[ast.expr], Callable[[Any, Frame], Values]] = {
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
            ast.Constant: self._constant,
            ast.JoinedStr: self._joined,
            ast.BinOp: self._binary,
            ast.Subscript: self._subscript,
            ast.BoolOp: self._either,
            ast.IfExp: self._either,
            ast.Await: self._inner,
            ast.NamedExpr: self._inner,
            ast.Lambda: self._lambda,
            ast.Tuple: self._display,
            ast.List: self._display,
            ast.Dict: self._display,
            ast.Set: self._set,
            ast.ListComp: self._comprehension,
            ast.SetComp: self._comprehension,
            ast.DictComp: self._comprehension,
            ast.GeneratorExp: self._comprehension,
            Elsewhere: self._elsewhere,
        }

    def forget(self) -> None:
        """Forget what may be worth more now, because `enters` has grown."""
        for expression in self._doubtful:
            del self._known[expression]
        self._doubtful.clear()
        self.functions.forget()
        self.classes.forget()

    def doubt(self) -> None:
        """Note that what is being evaluated may be worth more when `enters` has grown."""
        self.doubts += 1

    def evaluate(self, expression: ast.expr, frame: Frame) -> Values:
        """The alternatives an expression may be worth where it stands; at least one."""
        known = self._known.get(expression)
        if known is not None:
            if expression in self._doubtful:
                self.doubts += 1
            return known
        evaluate = self._by_type.get(type(expression))
        if evaluate is None:
            return (UNKNOWN,)
        if self._depth >= _DEEPEST or expression in self._active:
            self.doubts += 1
            return (UNKNOWN,)
        before = self.doubts
        self._active.add(expression)
        self._depth += 1
        try:
            values = evaluate(expression, frame) or (UNKNOWN,)
        finally:
            self._depth -= 1
            self._active.discard(expression)
        if len(values) > _MOST:
            values = (*values[:_MOST], UNKNOWN)
        self._known[expression] = values
        if self.doubts != before:
            self._doubtful.add(expression)
        return values

    def text(self, expression: ast.expr, frame: Frame) -> Text:
        """The text an expression is worth, a hole when it is none or not one."""
        return text_of(self.evaluate(expression, frame))

    def elements(self, value: Value) -> Values:
        """What a container may hold."""
        return self._containers.element(value, ANY)

    def bound(self, binding: Binding) -> Values:  # noqa: C901, PLR0911 - one row per kind of binding
        """The alternatives one binding may bind."""
        frame = Frame(binding.scope, binding.block)
        match binding.source:
            case Assigned() as source:
                return self._assigned(source, frame)
            case Entered(value=value):
                return united(*(self._enter(entered) for entered in self.evaluate(value, frame)))
            case Annotated(annotation=annotation):
                return self.classes.annotated(annotation, frame)
            case Augmented(target=target, operator=ast.Add(), value=value):
                return (grown(self.text(target, frame), self.text(value, frame)),)
            case Imported() as imported:
                return self._imports.imported(imported, binding.scope)
            case Defined(node=ast.ClassDef() as node):
                return (ProjectClass(binding.scope.child(node)),)
            case Defined(node=node):
                return (ProjectFunction(binding.scope.child(node)),)
            case Parameter() as parameter:
                return self._parameters.of(parameter, binding)
            case Iterated(iterable=iterable, unpack=unpack):
                return self._unpacked(self._containers.iterated(iterable, frame), unpack)
            case Opaque() | Augmented():
                return (UNKNOWN,)

    def attribute(self, value: Value, name: str) -> Values:
        """What an attribute of a value is worth; at least one alternative."""
        return self._attributes.of(value, name)

    def annotated(self, annotation: ast.expr, frame: Frame) -> Values:
        """What a value annotated so is an instance of."""
        return self.classes.annotated(annotation, frame)

    def _assigned(self, source: Assigned, frame: Frame) -> Values:
        values = self._unpacked(self.evaluate(source.value, frame), source.unpack)
        if source.annotation is not None and all(isinstance(value, Unknown | Nothing) for value in values):
            declared = self.classes.annotated(source.annotation, frame)
            return united(declared, values)
        return values

    def _unpacked(self, values: Values, unpack: tuple[int, ...]) -> Values:
        for index in unpack:
            values = united(*(self._containers.element(value, index) for value in values))
        return values

    def _enter(self, value: Value) -> Values:
        match value:
            case Client() | Member():
                return (value,)
            case Generated():
                return self.functions.entered(value)
            case ProjectInstance(of=of):
                for name in ("__aenter__", "__enter__"):
                    for method in self.classes.attribute(of, name, value):
                        if isinstance(method, ProjectFunction):
                            return self.functions.returned(method)
                return (value,)
            case _:
                return (UNKNOWN,)

    def _constant(self, expression: ast.Constant, _: Frame) -> Values:
        return (texts.constant(expression.value),)

    def _name(self, expression: ast.Name, frame: Frame) -> Values:
        found = lookup(expression.id, frame, (expression.lineno, expression.col_offset))
        if found is not None:
            return united(*(self.bound(binding) for binding in reversed(found[1])))
        return self._imports.starred(frame.scope.module, expression.id) or (External(f"builtins.{expression.id}"),)

    def _attribute(self, expression: ast.Attribute, frame: Frame) -> Values:
        found = united(*(self.attribute(value, expression.attr) for value in self.evaluate(expression.value, frame)))
        if found == (UNKNOWN,):
            return self._written_on(expression, frame) or found
        return found

    def _written_on(self, expression: ast.Attribute, frame: Frame) -> Values:
        """What is assigned to an attribute of an object that is nothing known: of `threading.local()`."""
        return united(*(self.bound(binding) for binding in self.written.attributes(expression, frame)))

    def _call(self, expression: ast.Call, frame: Frame) -> Values:
        function = expression.func
        if isinstance(function, ast.Attribute):
            if function.attr in _ENTERING and expression.args:
                return united(*(self._enter(value) for value in self.evaluate(expression.args[0], frame)))
            receiver = self.evaluate(function.value, frame)
            if any(isinstance(value, Text) for value in receiver):
                return (texts.method_result(text_of(receiver), function.attr, expression, self._texts_in(frame)),)
            held = self._containers.method(receiver, expression, frame)
            if held is not None:
                return held
        return united(*(self.called(value, expression, frame) for value in self.evaluate(function, frame)))

    def called(self, callee: Value, call: ast.Call, frame: Frame) -> Values:  # noqa: PLR0911 - as above
        """What calling a value gives."""
        match callee:
            case External(name=name):
                return self._called_external(name, call, frame)
            case ProjectClass() as of:
                base = self.classes.client_base(of)
                made = self.classes.instance(of) if base is None else self.classes.client(base, call, frame, of)
                return (made,)
            case ProjectFunction():
                return self.functions.called(callee, call, frame)
            case Client(constructor=constructor) if _CALLED_ITSELF in constructor.opens:
                return self.classes.made(constructor.opens[_CALLED_ITSELF], call, frame)
            case Prepared():
                return (callee,)
            case Producer(made=made):
                return made
            case Partial(function=function):
                return self.called(function, with_partial(callee, call), frame)
            case Member():
                return self._called_member(callee, call, frame)
            case _:
                return (UNKNOWN,)

    def _called_member(self, callee: Member, call: ast.Call, frame: Frame) -> Values:
        client = callee.client
        opened = client.constructor.opens.get(".".join(callee.path))
        if opened is not None:
            return self.classes.made(opened, call, frame)
        match callee.path:
            case (name,) if name in client.detector.same_client or name in {"__enter__", "__aenter__"}:
                return (client,)
            case ("prepare_request",) if call.args:
                return self.evaluate(call.args[0], frame)
            case (name,) if name in client.detector.requests:
                return (Prepared(client.detector.requests[name], call, frame, client),)
            case _:
                return (UNKNOWN,)

    def _called_external(self, name: str, call: ast.Call, frame: Frame) -> Values:
        if name in self.catalogue.constructors:
            return self.classes.made(name, call, frame)
        if name in self.catalogue.wrappers:
            return self.classes.wrapped(name, call, frame)
        if name in self.catalogue.requests:
            return (Prepared(self.catalogue.requests[name], call, frame),)
        if name in self.catalogue.statements:
            return (Prepared(Request(method=self.catalogue.statements[name], url=""), call, frame),)
        return self._super(frame.scope) if name == "builtins.super" else self._standard.called(name, call, frame)

    def _super(self, scope: Scope) -> Values:
        function = scope.function
        owner = function.parent if function is not None else None
        return (Inherited(ProjectClass(owner)),) if owner is not None and owner.kind == "class" else (UNKNOWN,)

    def _joined(self, expression: ast.JoinedStr, frame: Frame) -> Values:
        return (texts.formatted(expression, self._texts_in(frame)),)

    def _binary(self, expression: ast.BinOp, frame: Frame) -> Values:
        match expression:
            case ast.BinOp(op=ast.Add()):
                return (texts.concatenated(expression, self._texts_in(frame)),)
            case ast.BinOp(op=ast.Mod(), left=left, right=right):
                return (texts.interpolated(self.text(left, frame), right, self._texts_in(frame)),)
            case ast.BinOp(op=ast.Div(), left=left, right=right):
                return (join(self.text(left, frame), literal("/"), self.text(right, frame)),)
            case ast.BinOp(op=ast.BitOr(), left=left, right=right):
                return united(self.evaluate(left, frame), self.evaluate(right, frame))
            case _:
                return (UNKNOWN,)

    def _texts_in(self, frame: Frame) -> texts.Evaluate:
        return lambda expression: self.text(expression, frame)

    def _subscript(self, expression: ast.Subscript, frame: Frame) -> Values:
        index = expression.slice
        if isinstance(index, ast.Constant) and isinstance(index.value, str):
            for value in self.evaluate(expression.value, frame):
                if isinstance(value, External) and (value.name == "os.environ" or index.value.isupper()):
                    return (setting(index.value),)
        generic = tuple(value for value in self.evaluate(expression.value, frame) if self._is_class(value))
        return generic or self._containers.subscript(expression, frame)

    def _is_class(self, value: Value) -> bool:
        """Whether subscribing a value is naming a generic class: `psycopg.Connection[DictRow]`."""
        return isinstance(value, ProjectClass) or (
            isinstance(value, External) and value.name in self.catalogue.constructors
        )

    def _either(self, expression: ast.BoolOp | ast.IfExp, frame: Frame) -> Values:
        match expression:
            case ast.BoolOp(op=ast.Or(), values=values):
                return united(*(self.evaluate(value, frame) for value in values))
            case ast.BoolOp(values=values):
                return self.evaluate(values[-1], frame)
            case ast.IfExp(body=body, orelse=orelse):
                return united(self.evaluate(body, frame), self.evaluate(orelse, frame))

    def _inner(self, expression: ast.Await | ast.NamedExpr, frame: Frame) -> Values:
        return self.evaluate(expression.value, frame)

    def _lambda(self, expression: ast.Lambda, frame: Frame) -> Values:
        return (ProjectFunction(frame.scope.child(expression)),)

    def _display(self, expression: ast.Tuple | ast.List | ast.Dict, frame: Frame) -> Values:
        return (Literal(expression, frame),)

    def _set(self, expression: ast.Set, frame: Frame) -> Values:
        return (Collection(united(*(self.evaluate(element, frame) for element in expression.elts))),)

    def _comprehension(self, expression: Comprehension, frame: Frame) -> Values:
        return self._containers.comprehension(expression, frame)

    def _elsewhere(self, expression: Elsewhere, _: Frame) -> Values:
        return self.evaluate(expression.value, expression.frame)
