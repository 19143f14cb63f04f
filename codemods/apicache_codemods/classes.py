"""The project's classes: their attributes, wherever set, their instances, and which of them are clients."""

import ast

from apicache_codemods.bindings import Binding, Defined
from apicache_codemods.detector import Catalogue
from apicache_codemods.evaluator import Evaluator, united
from apicache_codemods.functions import Functions, decorators, is_property
from apicache_codemods.scopes import Frame, Scope, final
from apicache_codemods.values import (
    NOTHING,
    UNKNOWN,
    Client,
    External,
    Member,
    ProjectClass,
    ProjectFunction,
    ProjectInstance,
    Values,
)

_UNIONS = {"Optional", "Union"}
_WRAPPERS = {"Annotated", "ClassVar", "Final", "Required", "NotRequired", "ReadOnly"}
_YIELDING = {"Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator"}


class Classes:
    """Attribute look-up on the project's classes, and what annotations say."""

    def __init__(self, evaluator: Evaluator, functions: Functions, catalogue: Catalogue) -> None:
        self._evaluator = evaluator
        self._functions = functions
        self._catalogue = catalogue
        self._instances: dict[Scope, Client | ProjectInstance] = {}
        self._client_bases: dict[Scope, str | None] = {}
        self._written: dict[Scope, dict[str, list[Binding]]] = {}
        self._annotated: dict[str, Client] = {}

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
                if isinstance(base, External) and base.name in self._catalogue.constructors:
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
        """A client of a library's class."""
        library, constructor = self._catalogue.constructors[class_name]
        detector = self._catalogue.by_library[library]
        return Client(library, detector, class_name, constructor, constructed, frame, project_class)

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
            elif isinstance(base, External) and base.name in self._catalogue.constructors:
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
        """What a name annotated so is an instance of: a client, or an instance of a project class; else unknown."""
        match annotation:
            case ast.Constant(value=None):
                return (NOTHING,)
            case ast.Constant(value=str() as written):
                return self._written_annotation(written, frame)
            case ast.BinOp(op=ast.BitOr(), left=left, right=right):
                return united(self.annotated(left, frame), self.annotated(right, frame))
            case ast.Subscript(value=head, slice=inner):
                return self._subscripted(head, inner, frame)
            case ast.Name() | ast.Attribute():
                return united(*(self._instance_of(value) for value in self._evaluator.evaluate(annotation, frame)))
            case _:
                return (UNKNOWN,)

    def _written_annotation(self, written: str, frame: Frame) -> Values:
        try:
            parsed = ast.parse(written.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return (UNKNOWN,)
        return self.annotated(parsed, Frame(frame.scope))

    def _subscripted(self, head: ast.expr, inner: ast.expr, frame: Frame) -> Values:
        name = head.attr if isinstance(head, ast.Attribute) else getattr(head, "id", "")
        members = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
        if name in _UNIONS:
            return united(*(self.annotated(member, frame) for member in members))
        return self.annotated(members[0], frame) if name in _WRAPPERS | _YIELDING and members else (UNKNOWN,)

    def _instance_of(self, value: object) -> Values:
        if isinstance(value, ProjectClass):
            return (self.instance(value),)
        if isinstance(value, External) and value.name in self._catalogue.constructors:
            if value.name not in self._annotated:
                self._annotated[value.name] = self.client(value.name)
            return (self._annotated[value.name],)
        return (UNKNOWN,)
