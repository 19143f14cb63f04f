"""Reading an operations module that already exists: its names, and its operations as definitions to join."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from apicache_codemods.bindings import Assigned, Imported
from apicache_codemods.project import Module, Project
from apicache_codemods.rewriting.candidates import Candidate, Candidates
from apicache_codemods.rewriting.clients import factory_term
from apicache_codemods.rewriting.generalise import MismatchError, Parameter, bind
from apicache_codemods.rewriting.names import Names, only_binding
from apicache_codemods.rewriting.operations_module import CACHE_NAME, OperationsModule
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.terms import Carried, Inside, Openness, Outside, Referred, is_ambient


@dataclass(frozen=True, slots=True)
class ExistingOperation:
    """A registered operation whose body is one call."""

    name: str
    parameters: tuple[str, ...]
    returns_json: bool
    definition: Candidate

    def arguments(self, candidate: Candidate) -> tuple[Parameter, ...]:
        """What the candidate passes for each parameter; raises MismatchError when it is no instance of it."""
        endpoints = {each.subject.site.endpoint for each in (self.definition, candidate)}
        if self.definition.kind != candidate.kind or len(endpoints) != 1:
            raise MismatchError("it is another call")
        if not self._in_same_loop(candidate):
            raise MismatchError("its client may live in another event loop than the operation's")
        if self.returns_json and candidate.decoding is None:
            raise MismatchError("the operation gives the decoded body")
        bound = bind(self.definition.call, candidate.call, self.parameters)
        order = [term for argument in candidate.call.arguments.values() for term in argument.walk()]
        names = sorted(bound, key=lambda name: next(i for i, term in enumerate(order) if term is bound[name]))
        return tuple(Parameter(name, (bound[name],)) for name in names)

    def _in_same_loop(self, candidate: Candidate) -> bool:
        """Whether the operation's client can stand in for the candidate's: a connection belongs to one event loop."""
        mine, its = self.definition.reach, candidate.reach
        if not candidate.subject.site.is_async or its.home is None or its.use.read_once:
            return True  # of what is read once, the kind names the home
        return mine.use.from_factory or mine.home == its.home


def operations_modules(project: Project) -> list[Module]:
    """The project's modules that assign `api_cache` from `UnifiedAPICache`."""
    texts = ((location, source.text) for location, source in project.sources.items())
    modules = (project.module(location) for location, text in texts if "UnifiedAPICache" in text and CACHE_NAME in text)
    return [module for module in modules if module is not None and _assigns_cache(module)]


def _assigns_cache(module: Module) -> bool:
    binding = only_binding(module, CACHE_NAME)
    return binding is not None and isinstance(binding.source, Assigned)


def opened(module: Module, import_name: str, names: Names) -> OperationsModule | None:
    """An existing operations module, ready to be extended; None when its file cannot be edited."""
    tree = names.trees.of(module)
    if tree is None:
        return None
    made = OperationsModule(
        path=module.source.absolute,
        import_name=import_name,
        existing=tree.module,
        taken=set(module.scope.bindings),
    )
    for name in module.scope.bindings:
        binding = only_binding(module, name)
        if binding is None:
            continue
        if isinstance(binding.source, Imported):
            meaning = names.of_module(module, name)
            if isinstance(meaning, Outside):
                made.known[meaning.dotted] = name
            elif isinstance(meaning, Carried):
                made.known[meaning.term.key] = name
            elif isinstance(meaning, Inside):
                made.known["module", meaning.location] = name
            source = binding.source
            found = names.analysis.resolver.project.find(source.module, source.level, module.location)
            made.is_late = made.is_late or found is not None
            continue
        factory = factory_term(module, name, names)
        if factory is not None:
            made.factories[factory.key] = name
        term = names.term_of_assignment(module, name)
        if term is not None and term.openness is Openness.CLOSED and term.label[0] != "value":
            made.known[term.key] = name
            made.is_late = made.is_late or is_ambient(term)
    return made


def operations_of(module: Module, subjects: Iterable[Subject], candidates: Candidates) -> list[ExistingOperation]:
    """The module's operations that call one client method each; others are left as they are."""
    found = []
    for subject in subjects:
        function = subject.function
        if subject.module is not module or function is None:
            continue
        registered = next((each for each in map(_registration, function.decorator_list) if each is not None), None)
        if registered is None or not _returns_only(subject, function):
            continue
        try:
            definition = candidates.of(subject)
        except MismatchError:
            continue
        name, returns, scope = registered
        if not _tells_apart(scope, definition):
            continue
        parameters = tuple(argument.arg for argument in (*function.args.args, *function.args.kwonlyargs))
        found.append(ExistingOperation(name, parameters, returns == "json", definition))
    return found


def _registration(decorator: ast.expr) -> tuple[str, object, ast.expr | None] | None:
    """Name, `returns` and `scope` of `@cache.operation("name", returns=..., scope=...)`."""
    match decorator:
        case ast.Call(
            func=ast.Attribute(attr="operation"), args=[ast.Constant(value=str() as name)], keywords=keywords
        ):
            given = {keyword.arg: keyword.value for keyword in keywords}
            returns = given.get("returns")
            return name, returns.value if isinstance(returns, ast.Constant) else None, given.get("scope")
        case _:
            return None


def _tells_apart(scope: ast.expr | None, definition: Candidate) -> bool:
    """Whether an operation's scope names what its calls read, and asks each time for what they read each time."""
    each_time = definition.read_at_each_call
    wanted = {read.name if isinstance(read, Referred) else read for read in each_time or definition.reach.use.read_once}
    if not wanted:
        return True
    if scope is None or (each_time and not isinstance(scope, ast.Lambda)):
        return False
    texts = {node.value for node in ast.walk(scope) if isinstance(node, ast.Constant)}
    return wanted <= texts | {node.attr for node in ast.walk(scope) if isinstance(node, ast.Attribute)}


def _returns_only(subject: Subject, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the function's body, its docstring aside, is `return call`, perhaps inside the `with` of its client."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    if len(body) == 1 and isinstance(body[0], ast.With | ast.AsyncWith):
        body = body[0].body
    if len(body) != 1 or not isinstance(body[0], ast.Return):
        return False
    value = body[0].value
    return (value.value if isinstance(value, ast.Await) else value) is subject.call
