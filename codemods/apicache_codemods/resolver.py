"""What an expression is worth, across the whole project, without running anything: a demand-driven evaluation.

`Resolver.evaluate(expression, frame)` follows names to what binds them (`scopes`), imports to other modules
(`project`), attributes to classes (`classes`), calls to what functions return (`functions`), and gives the alternatives
(`values`). Nothing is evaluated that no call site asks for. Cycles and very deep chains end as `Unknown`.
"""

import ast
from collections.abc import Callable, Container
from typing import Any

from apicache_codemods import texts
from apicache_codemods.bindings import (
    Annotated,
    Assigned,
    Augmented,
    Binding,
    Defined,
    Entered,
    Imported,
    Opaque,
    Parameter,
)
from apicache_codemods.callers import Callers
from apicache_codemods.classes import Classes
from apicache_codemods.detector import Catalogue
from apicache_codemods.evaluator import united
from apicache_codemods.functions import Functions, decorators, outside
from apicache_codemods.project import Project
from apicache_codemods.scopes import Frame, Scope, final, lookup
from apicache_codemods.values import (
    UNKNOWN,
    Client,
    External,
    Generated,
    Inherited,
    Literal,
    Member,
    Nothing,
    Prepared,
    ProjectClass,
    ProjectFunction,
    ProjectInstance,
    ProjectModule,
    Text,
    Unknown,
    Value,
    Values,
    join,
    text_of,
)

_DEEPEST = 40  # chains in real code stay under ten; each level takes a handful of Python's stack frames
_MOST = 12  # alternatives kept of one expression
_COPIES = {"contextlib.closing", "contextlib.aclosing", "copy.copy", "copy.deepcopy"}
_SAME = {*_COPIES, "apicache.per_event_loop", "functools.cache"}
_ENTERING = {"enter_context", "enter_async_context"}
_FROM_CLASS = {"__new__", "__init_subclass__", "__class_getitem__"}


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
        self._enters = enters
        self._callers = callers
        self.functions = Functions(self)
        self.classes = Classes(self, self.functions, catalogue)
        self._known: dict[ast.expr, Values] = {}
        self._active: set[object] = set()
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
        }

    def forget(self) -> None:
        """Forget what was found, because `enters` has grown."""
        self._known.clear()
        self.functions = Functions(self)
        self.classes = Classes(self, self.functions, self.catalogue)

    def evaluate(self, expression: ast.expr, frame: Frame) -> Values:
        """The alternatives an expression may be worth where it stands; at least one."""
        known = self._known.get(expression)
        if known is not None:
            return known
        evaluate = self._by_type.get(type(expression))
        if evaluate is None or self._depth >= _DEEPEST or expression in self._active:
            return (UNKNOWN,)
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
        return values

    def text(self, expression: ast.expr, frame: Frame) -> Text:
        """The text an expression is worth, a hole when it is none or not one."""
        return text_of(self.evaluate(expression, frame))

    def bound(self, binding: Binding) -> Values:  # noqa: PLR0911 - one row per kind of binding
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
                return (join(self.text(target, frame), self.text(value, frame)),)
            case Imported() as imported:
                return self._imported(imported, binding.scope)
            case Defined(node=ast.ClassDef() as node):
                return (ProjectClass(binding.scope.child(node)),)
            case Defined(node=node):
                return (ProjectFunction(binding.scope.child(node)),)
            case Parameter() as parameter:
                return self._parameter(parameter, binding)
            case Opaque() | Augmented():
                return (UNKNOWN,)

    def annotated(self, annotation: ast.expr, frame: Frame) -> Values:
        """What a value annotated so is an instance of."""
        return self.classes.annotated(annotation, frame)

    def member(self, location: str, name: str) -> Values:
        """What a name of a project module is worth; empty when the module has no such name."""
        key = (location, name)
        if key in self._active:
            return ()
        self._active.add(key)
        try:
            return self._member(location, name)
        finally:
            self._active.discard(key)

    def _member(self, location: str, name: str) -> Values:
        module = self.project.module(location) if location in self._enters else None
        if module is not None and name in module.scope.bindings:
            found = united(*(self.bound(binding) for binding in final(name, module.scope)))
            if found:
                return found
        inner = f"{location}/{name}"
        if self.project.exists(inner):
            return (ProjectModule(inner),)
        return self._starred(module.scope, name) if module is not None else ()

    def _starred(self, scope: Scope, name: str) -> Values:
        for star in scope.names.stars:
            origin = self.project.find(star.module, star.level, scope.owner)
            if origin is not None:
                found = self.member(origin, name)
                if found:
                    return found
            elif star.module.partition(".")[0] in self.project.libraries:
                return (External(f"{star.module}.{name}"),)
        return ()

    def _imported(self, imported: Imported, scope: Scope) -> Values:
        location = self.project.find(imported.module, imported.level, scope.owner)
        if imported.name is None:
            return (ProjectModule(location),) if location is not None else (External(imported.module),)
        if location is None:
            return (External(f"{imported.module}.{imported.name}"),)
        return self.member(location, imported.name)

    def _assigned(self, source: Assigned, frame: Frame) -> Values:
        values = self.evaluate(source.value, frame)
        for index in source.unpack:
            values = united(*(self._element(value, index) for value in values))
        if source.annotation is not None and all(isinstance(value, Unknown | Nothing) for value in values):
            declared = self.classes.annotated(source.annotation, frame)
            return united(declared, values)
        return values

    def _element(self, value: Value, index: object) -> Values:
        if not isinstance(value, Literal):
            return (UNKNOWN,)
        node = value.node
        if isinstance(node, ast.Dict):
            for key, item in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == index:
                    return self.evaluate(item, value.frame)
            return (UNKNOWN,)
        starred = any(isinstance(element, ast.Starred) for element in node.elts)
        if isinstance(index, int) and not starred and -len(node.elts) <= index < len(node.elts):
            return self.evaluate(node.elts[index], value.frame)
        return (UNKNOWN,)

    def _parameter(self, parameter: Parameter, binding: Binding) -> Values:
        scope = binding.scope
        owner = scope.parent
        kinds = decorators(scope.node)
        if parameter.index == 0 and owner is not None and owner.kind == "class" and "staticmethod" not in kinds:
            of = ProjectClass(owner)
            from_class = "classmethod" in kinds or getattr(scope.node, "name", "") in _FROM_CLASS
            return (of,) if from_class else (self.classes.instance(of),)
        unknown = Unknown(binding)
        if parameter.annotation is not None:
            declared = self.classes.annotated(parameter.annotation, outside(scope))
            if any(not isinstance(value, Unknown | Nothing) for value in declared):
                return declared
        found: list[Value] = []
        if parameter.default is not None:
            found.extend(self.evaluate(parameter.default, outside(scope)))
        if parameter.annotation is None:
            found.extend(self._passed(binding))
        # A text is what some callers pass: which one, the call that is asked about decides.
        return united(tuple(value for value in found if not isinstance(value, Text | Nothing | Unknown)), (unknown,))

    def _passed(self, parameter: Binding) -> Values:
        """What callers pass for a parameter."""
        if self._callers is None or parameter in self._active:
            return ()
        self._active.add(parameter)
        try:
            callers = list(self._callers.of(parameter.scope, self))
            return united(*(self.functions.argument(parameter, *caller) for caller in callers))
        finally:
            self._active.discard(parameter)

    def _enter(self, value: Value) -> Values:
        match value:
            case Client():
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
            return united(*(self.bound(binding) for binding in found[1]))
        return self._starred(frame.scope.module, expression.id) or (External(f"builtins.{expression.id}"),)

    def _attribute(self, expression: ast.Attribute, frame: Frame) -> Values:
        return united(*(self.attribute(value, expression.attr) for value in self.evaluate(expression.value, frame)))

    def attribute(self, value: Value, name: str) -> Values:  # noqa: C901, PLR0911 - one row per kind of value
        """What an attribute of a value is worth; at least one alternative."""
        match value:
            case ProjectModule(location=location):
                return self.member(location, name) or (UNKNOWN,)
            case External(name=outer):
                return (External(f"{outer}.{name}"),)
            case Client(project_class=None):
                return (Member(value, (name,)),)
            case Client(project_class=ProjectClass() as of):
                return self.classes.attribute(of, name, value) or (Member(value, (name,)),)
            case Member(client=client, path=path):
                return (Member(client, (*path, name)),)
            case ProjectClass() as of:
                return self.classes.attribute(of, name, of) or (UNKNOWN,)
            case ProjectInstance(of=of):
                return self.classes.attribute(of, name, value) or (UNKNOWN,)
            case Inherited(of=of):
                return self.classes.inherited(of, name, self.classes.instance(of)) or (UNKNOWN,)
            case Prepared():
                return (value,)  # `request.prepare()` sends the same as the request
            case Text() if name == "value":  # a member of an enumeration of texts
                return (value,)
            case _:
                return (UNKNOWN,)

    def _call(self, expression: ast.Call, frame: Frame) -> Values:
        function = expression.func
        if isinstance(function, ast.Attribute):
            if function.attr in _ENTERING and expression.args:
                return united(*(self._enter(value) for value in self.evaluate(expression.args[0], frame)))
            receiver = self.evaluate(function.value, frame)
            if any(isinstance(value, Text) for value in receiver):
                return (texts.method_result(text_of(receiver), function.attr, expression, self._texts_in(frame)),)
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
            case Member(client=client, path=(name,)) if name in client.detector.same_client:
                return (client,)
            case Member(client=client, path=("__enter__" | "__aenter__",)):
                return (client,)
            case Prepared():
                return (callee,)
            case Member(path=("prepare_request",)) if call.args:
                return self.evaluate(call.args[0], frame)
            case Member(client=client, path=(name,)) if name in client.detector.requests:
                return (Prepared(client.detector.requests[name], call, frame, client),)
            case _:
                return (UNKNOWN,)

    def _called_external(self, name: str, call: ast.Call, frame: Frame) -> Values:
        if name in self.catalogue.constructors:
            return (self.classes.client(name, call, frame),)
        if name in self.catalogue.requests:
            return (Prepared(self.catalogue.requests[name], call, frame),)
        if name == "builtins.super":
            return self._super(frame.scope)
        return self._of_first(name, call.args[0], frame) if call.args else (UNKNOWN,)

    def _of_first(self, name: str, first: ast.expr, frame: Frame) -> Values:
        if name == "typing.cast":
            return self.classes.annotated(first, frame)
        if name == "builtins.str":
            return (self.text(first, frame),)
        return self.evaluate(first, frame) if name in _SAME else (UNKNOWN,)

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
            case ast.BinOp(op=ast.BitOr(), left=left, right=right):
                return united(self.evaluate(left, frame), self.evaluate(right, frame))
            case _:
                return (UNKNOWN,)

    def _texts_in(self, frame: Frame) -> texts.Evaluate:
        return lambda expression: self.text(expression, frame)

    def _subscript(self, expression: ast.Subscript, frame: Frame) -> Values:
        if not isinstance(expression.slice, ast.Constant):
            return (UNKNOWN,)
        index = expression.slice.value
        return united(*(self._element(value, index) for value in self.evaluate(expression.value, frame)))

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
