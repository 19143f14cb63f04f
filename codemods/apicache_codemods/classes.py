"""The project's classes: their attributes, wherever set, their instances, and which of them are clients."""

import ast
from typing import TypeGuard

import msgspec

from apicache_codemods.annotations import Annotations
from apicache_codemods.arguments import argument
from apicache_codemods.bindings import Binding, Defined
from apicache_codemods.blocks import Block
from apicache_codemods.detector import Catalogue, Constructor, Wrapper
from apicache_codemods.evaluator import Evaluator, united
from apicache_codemods.functions import Functions, decorators, is_property
from apicache_codemods.scopes import Frame, Scope, final
from apicache_codemods.values import (
    UNKNOWN,
    Client,
    External,
    Member,
    ProjectClass,
    ProjectFunction,
    ProjectInstance,
    Unknown,
    Value,
    Values,
)

_SETTINGS = "BaseSettings"


class Classes:
    """Attribute look-up on the project's classes, and what annotations say."""

    def __init__(self, evaluator: Evaluator, functions: Functions, catalogue: Catalogue) -> None:
        self._evaluator = evaluator
        self._functions = functions
        self._catalogue = catalogue
        self._instances: dict[Scope, Client | ProjectInstance] = {}
        self._client_bases: dict[Scope, str | None] = {}
        self._written: dict[Scope, dict[str, list[Binding]]] = {}
        self._annotations = Annotations(evaluator, self, catalogue)

    def forget(self) -> None:
        """Forget what may be worth more now."""
        self._instances.clear()
        self._client_bases.clear()

    def bases(self, of: ProjectClass) -> Values:
        """What a class's bases are worth, in order."""
        node = of.scope.node
        frame = Frame(of.scope.parent or of.scope)
        if not isinstance(node, ast.ClassDef):
            return ()
        return tuple(value for base in node.bases for value in self._evaluator.evaluate(base, frame))

    def client_base(self, of: ProjectClass) -> str | None:
        """The library class that a project class derives from, at any depth."""
        if of.scope not in self._client_bases:
            self._client_bases[of.scope] = None  # a class that derives from itself derives from no client
            for base in self.bases(of):
                found = self.client_base(base) if isinstance(base, ProjectClass) else None
                if self._makes_client(base):
                    found = base.name
                if found is not None:
                    self._client_bases[of.scope] = found
                    break
        return self._client_bases[of.scope]

    def instance(self, of: ProjectClass) -> Client | ProjectInstance:
        """An instance of a class of the project, made by no call that is known."""
        if of.scope not in self._instances:
            base = self.client_base(of)
            self._instances[of.scope] = ProjectInstance(of) if base is None else self.client(base, project_class=of)
        return self._instances[of.scope]

    def client(
        self,
        class_name: str,
        constructed: ast.Call | None = None,
        frame: Frame | None = None,
        project_class: ProjectClass | None = None,
    ) -> Client:
        """A client of a library's class, or of the variant of it that the arguments decide on."""
        if constructed is not None and frame is not None:
            class_name = self._variant(class_name, constructed, frame)
        library, constructor = self._catalogue.constructors[class_name]
        detector = self._catalogue.by_library[library]
        wrapped_by = self._catalogue.wrapped.get(class_name)
        return Client(library, detector, class_name, constructor, constructed, frame, project_class, wrapped_by)

    def made(self, class_name: str, call: ast.Call, frame: Frame) -> Values:
        """What calling a constructor gives; unknown when its arguments decide that it is no client."""
        client = self.client(class_name, call, frame)
        constructor = client.constructor
        useful = constructor.calls is None or constructor.calls or constructor.opens or constructor.holds
        return (client,) if useful else (UNKNOWN,)

    def _variant(self, class_name: str, call: ast.Call, frame: Frame) -> str:
        for variant in self._catalogue.constructors[class_name][1].variants:
            given = [(argument(call, where), value) for where, value in variant.arguments]
            if all(self._is_constant(expression, value, frame) for expression, value in given):
                return variant.class_name
        return class_name

    def _is_constant(self, expression: ast.expr | None, value: str | bool, frame: Frame) -> bool:  # noqa: FBT001 - data
        if expression is None or isinstance(value, bool):
            return isinstance(expression, ast.Constant) and expression.value is value
        parts = self._evaluator.text(expression, frame).parts
        if value.endswith(("/", ":")):
            return bool(parts) and isinstance(parts[0], str) and parts[0].startswith(value)
        return parts == (value,)

    def wrapped(self, name: str, call: ast.Call, frame: Frame) -> Values:
        """What a wrapper gives: the client it is passed, marked as wrapped."""
        library, wrapper = self._catalogue.wrappers[name]
        given = [expression for where in wrapper.client if (expression := argument(call, where)) is not None]
        if not given:
            return (UNKNOWN,)
        values = self._evaluator.evaluate(given[0], frame)
        if all(isinstance(value, Unknown) for value in values) and argument(call, wrapper.client[0]) is not None:
            values = tuple(self.client(name) for name in wrapper.takes) or values
        return tuple(self._in_wrapper(value, library, wrapper) for value in values)

    def _in_wrapper(self, value: Value, library: str, wrapper: Wrapper) -> Value:
        match value:
            case Client():
                return msgspec.structs.replace(value, wrapped_by=library, completions=wrapper.completions)
            case Member(client=client, path=path):
                return Member(msgspec.structs.replace(client, wrapped_by=library), path)
            case External(name=name) if name in self._catalogue.functions:
                inner, request = self._catalogue.functions[name]
                detector = self._catalogue.by_library[inner]
                calls = dict.fromkeys(wrapper.completions, request)
                constructor = Constructor(is_async=request.is_async, base_url=detector.base_url, calls=calls)
                return Client(inner, detector, name, constructor, wrapped_by=library)
            case _:
                return UNKNOWN

    def _makes_client(self, base: Value) -> TypeGuard[External]:
        """Whether a class that derives from `base` is a client."""
        if not isinstance(base, External) or base.name not in self._catalogue.constructors:
            return False
        return not self._catalogue.constructors[base.name][1].abstract

    def attribute_names(self, of: ProjectClass) -> set[str]:
        """The names that a class itself and its methods set on it or on its instances."""
        return {*of.scope.bindings, *self._instance_writes(of.scope)}

    def attribute(self, of: ProjectClass, name: str, bound: ProjectInstance | ProjectClass | Client) -> Values:
        """An attribute of a class, or of an instance of it when `bound` is one; empty when nothing sets it."""
        return self._attribute(of, name, bound, set())

    def _attribute(
        self, of: ProjectClass, name: str, bound: ProjectInstance | ProjectClass | Client, seen: set[Scope]
    ) -> Values:
        if of.scope in seen:
            return ()
        seen.add(of.scope)
        found: list[Values] = []
        if name in of.scope.bindings:
            found += [self._class_level(binding, bound) for binding in final(name, of.scope)]
        found += [self._evaluator.bound(binding) for binding in self._instance_writes(of.scope).get(name, ())]
        if found:
            return united(*found)
        return self.inherited(of, name, bound, seen)

    def inherited(
        self,
        of: ProjectClass,
        name: str,
        bound: ProjectInstance | ProjectClass | Client,
        seen: set[Scope] | None = None,
    ) -> Values:
        """An attribute that a class gets from its bases; a call method when one of them is a library's client."""
        for base in self.bases(of):
            if isinstance(base, ProjectClass):
                found = self._attribute(base, name, bound, seen if seen is not None else {of.scope})
                if found:
                    return found
            elif self._makes_client(base):
                client = bound if isinstance(bound, Client) else self.client(base.name, project_class=of)
                return (Member(client, (name,)),)
        return ()

    def _class_level(self, binding: Binding, bound: ProjectInstance | ProjectClass | Client) -> Values:
        if not isinstance(binding.source, Defined) or isinstance(binding.source.node, ast.ClassDef):
            return self._evaluator.bound(binding)
        node = binding.source.node
        scope = binding.scope.child(node)
        if is_property(node) and not isinstance(bound, ProjectClass):
            return self._functions.returned(ProjectFunction(scope, bound))
        if "staticmethod" in decorators(node):
            return (ProjectFunction(scope),)
        unbound = isinstance(bound, ProjectClass) and "classmethod" not in decorators(node)
        return (ProjectFunction(scope, None if unbound else bound),)

    def _instance_writes(self, scope: Scope) -> dict[str, list[Binding]]:
        """What the class's methods assign to attributes of their first parameter."""
        if scope not in self._written:
            written: dict[str, list[Binding]] = {}
            for node, _ in scope.names.definitions:
                if isinstance(node, ast.ClassDef):
                    continue
                arguments = [*node.args.posonlyargs, *node.args.args]
                if not arguments:
                    continue
                for (holder, name), bindings in scope.child(node).names.attributes.items():
                    if holder == arguments[0].arg:
                        written.setdefault(name, []).extend(bindings)
            self._written[scope] = written
        return self._written[scope]

    def annotated(self, annotation: ast.expr, frame: Frame) -> Values:
        """What a name annotated so is an instance of."""
        return self._annotations.read(annotation, frame)

    def proxied(self, of: ProjectClass, name: str, bound: ProjectInstance | ProjectClass | Client) -> Values:
        """An attribute that `__getattr__` looks up in another object: `return getattr(self._client, name)`."""
        found: list[Values] = []
        for method in self.attribute(of, "__getattr__", bound):
            if isinstance(method, ProjectFunction):
                for value, block in method.scope.names.returns:
                    found.append(self._delegated(value, name, method.scope, block))
        return united(*found)

    def _delegated(self, returned: ast.expr, name: str, scope: Scope, block: Block) -> Values:
        parameters = getattr(scope.node, "args", None)
        names = [each.arg for each in parameters.args[1:]] if isinstance(parameters, ast.arguments) else []
        match returned:
            case ast.Call(func=ast.Name(id="getattr"), args=[holder, ast.Name(id=wanted), *_]) if [wanted] == names:
                values = self._evaluator.evaluate(holder, Frame(scope, block))
                return united(*(self._evaluator.attribute(value, name) for value in values))
            case _:
                return ()

    def is_settings(self, of: ProjectClass) -> bool:
        """Whether a class reads its fields from the environment."""
        bases = self.bases(of)
        return any(isinstance(base, External) and base.name.endswith(_SETTINGS) for base in bases) or any(
            isinstance(base, ProjectClass) and base.scope is not of.scope and self.is_settings(base) for base in bases
        )
