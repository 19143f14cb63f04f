"""What an attribute of a value is worth."""

from typing import TYPE_CHECKING

from apicache_codemods.callers import Callers
from apicache_codemods.classes import Classes
from apicache_codemods.evaluator import united
from apicache_codemods.imports import Imports
from apicache_codemods.standard import setting
from apicache_codemods.values import (
    UNKNOWN,
    Client,
    External,
    Inherited,
    Member,
    Prepared,
    ProjectClass,
    ProjectInstance,
    ProjectModule,
    Text,
    Unknown,
    Value,
    Values,
)

if TYPE_CHECKING:
    from apicache_codemods.resolver import Resolver


class Attributes:
    """Looks attributes up; `callers` knows the classes that derive from a class."""

    def __init__(self, resolver: "Resolver", imports: Imports, classes: Classes, callers: Callers | None) -> None:
        self._resolver = resolver
        self._imports = imports
        self._classes = classes
        self._callers = callers
        self._active: set[tuple[ProjectClass, str]] = set()

    def of(self, value: Value, name: str) -> Values:  # noqa: C901, PLR0911 - one row per kind of value
        """What an attribute of a value is worth; at least one alternative."""
        match value:
            case ProjectModule(location=location):
                return self._imports.member(location, name) or (UNKNOWN,)
            case External(name=outer):
                return (External(f"{outer}.{name}"),)
            case Client(project_class=ProjectClass() as of):
                return self._classes.attribute(of, name, value) or (Member(value, (name,)),)
            case Member(client=client, path=path):
                return (Member(client, (*path, name)),)
            case ProjectClass() as of:
                return self._classes.attribute(of, name, of) or (UNKNOWN,)
            case ProjectInstance():
                return self._instance_attribute(value, name) or (UNKNOWN,)
            case Client(project_class=None):
                return (self._client_attribute(value, name),)
            case Inherited(of=of):
                return self._classes.inherited(of, name, self._classes.instance(of)) or (UNKNOWN,)
            case Prepared():
                return (value,)  # `request.prepare()` sends the same as the request
            case Text() if name == "value":  # a member of an enumeration of texts
                return (value,)
            case _:
                return (UNKNOWN,)

    def _instance_attribute(self, instance: ProjectInstance, name: str) -> Values:
        of = instance.of
        found = self._classes.attribute(of, name, instance)
        if found and not all(isinstance(value, Unknown) and value.parameter is None for value in found):
            return found
        if name.startswith("__"):
            return found
        if self._classes.is_settings(of):
            return (setting(name.upper()),)
        return self._classes.proxied(of, name, instance) or self._of_derived(of, name) or found

    def _of_derived(self, of: ProjectClass, name: str) -> Values:
        """An attribute that only classes which derive from a class set."""
        key = (of, name)
        self._resolver.doubt()
        if self._callers is None or key in self._active:
            return ()
        self._active.add(key)
        try:
            derived = list(self._callers.derived(of, self._resolver))
            found = (self._classes.attribute(each, name, self._classes.instance(each)) for each in derived)
            return united(*(tuple(value for value in values if not isinstance(value, Unknown)) for values in found))
        finally:
            self._active.discard(key)

    def _client_attribute(self, client: Client, name: str) -> Value:
        held = client.constructor.holds.get(name)
        return Member(client, (name,)) if held is None else self._classes.client(held)
