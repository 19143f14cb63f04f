"""Whether an operation can reach a site's client, and how: by its library, by moving it, by opening its own."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

import libcst as cst

from apicache_codemods.bindings import Assigned, Entered, Imported
from apicache_codemods.detector import load_detectors
from apicache_codemods.project import Module
from apicache_codemods.rewriting.definitions import ClientUse
from apicache_codemods.rewriting.generalise import MismatchError
from apicache_codemods.rewriting.mentions import stem_of
from apicache_codemods.rewriting.names import Names, assignment_parts, only_binding, top_level_assignments
from apicache_codemods.rewriting.rules_place import is_test_path
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.terms import Openness, Term, code_of
from apicache_codemods.scopes import lookup

_CLOSING = frozenset({"close", "aclose"})


@dataclass(frozen=True, slots=True)
class Home:
    """Where a client is assigned: a name at the top level of a module."""

    module: Module
    name: str


@dataclass(frozen=True, slots=True)
class Reach:
    """How an operation reaches the client; `home` is set for one that moves, `opened` for one that a `with` opens."""

    use: ClientUse
    home: Home | None = None
    opened: ast.With | ast.AsyncWith | None = None


class Clients:
    """Finds out how the clients of sites can be reached from an operations module."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._homes: dict[tuple[str, str], ClientUse | MismatchError] = {}
        self._known_paths = {source.path for source in names.analysis.resolver.project.sources.values()}

    def reach(self, subject: Subject) -> Reach:
        """How the site's client is reached; raises MismatchError with the reason when it cannot be."""
        holder = subject.resolved.client.holder
        if holder == "library":
            return self._library(subject)
        if holder in {"global", "imported"}:
            home = self.home(subject)
            return Reach(self._moved(subject, home), home=home)
        if holder == "with":
            return self._opened(subject)
        if holder == "expression":
            made = self._from_factory(subject)
            if made is not None:
                return made
        written = ast.unparse(subject.resolved.client.expression)
        raise MismatchError(f"its client {written!r} is known only where the call stands")

    def _library(self, subject: Subject) -> Reach:
        library = subject.site.library
        root = subject.call.func
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name):
            raise MismatchError("how it reaches its library is not seen")
        by = self._names.mentions.replaced(subject.module, root.id)
        if by is not None:
            raise MismatchError(f"{root.id!r} is replaced in {by}")
        found = lookup(root.id, subject.resolved.frame, (root.lineno, root.col_offset))
        binding = only_binding(subject.module, root.id)
        if found is None or found[0].kind != "module" or binding is None or not isinstance(binding.source, Imported):
            raise MismatchError(f"{root.id!r} is imported only where the call stands, or conditionally")
        return Reach(ClientUse(("library", library), library, subject.path, library))

    def home(self, subject: Subject) -> Home:
        """Where the site's client is assigned; raises MismatchError when that is not certain."""
        expression = subject.resolved.client.expression
        if not isinstance(expression, ast.Name):
            raise MismatchError("its client is not a name")
        return self.home_of(subject.module, expression.id)

    def home_of(self, module: Module, name: str) -> Home:
        """Where the client that a module knows as `name` is assigned; raises MismatchError when that is not certain."""
        project = self._names.analysis.resolver.project
        while True:
            binding = only_binding(module, name)
            by = self._names.mentions.replaced(module, name)
            if by is not None:
                raise MismatchError(f"its client {name!r} is replaced in {by}")
            if binding is None:
                raise MismatchError(f"its client {name!r} is bound in more than one place, or conditionally")
            if not isinstance(binding.source, Imported):
                return Home(module, name)
            source = binding.source
            location = project.find(source.module, source.level, module.location)
            origin = project.module(location) if location is not None else None
            if origin is None or source.name is None:
                raise MismatchError(f"where its client {name!r} comes from is not known")
            module, name = origin, source.name

    def _moved(self, subject: Subject, home: Home) -> ClientUse:
        """The client as the operations module would assign it."""
        key = (home.module.path, home.name)
        if key not in self._homes:
            try:
                self._homes[key] = self._checked(subject, home)
            except MismatchError as error:
                self._homes[key] = error
        known = self._homes[key]
        if isinstance(known, MismatchError):
            raise MismatchError(str(known))
        return replace(known, path=subject.path)

    def _checked(self, subject: Subject, home: Home) -> ClientUse:
        binding = only_binding(home.module, home.name)
        client = subject.resolved.client
        if (
            binding is None
            or not isinstance(binding.source, Assigned)
            or binding.source.value is not client.constructed
        ):
            raise MismatchError(f"its client {home.name!r} is not assigned from its constructor")
        term = self._names.term_of_assignment(home.module, home.name)
        if term is None or term.openness is not Openness.CLOSED:
            raise MismatchError(f"its client {home.name!r} is built from what only its module knows")
        self._check_uses(home, client.library)
        key = ("client", term.key)
        use = ClientUse(key, client.library, (), home.name, term, comments=self._comments(home))
        if use.read_once:
            effect = _effect_before(home.module, binding.position[0])
            if effect is not None:
                raise MismatchError(
                    f"its client {home.name!r} is built after line {effect}, which may set what it reads"
                )
            # Another client of the same form may have been built when the environment was another one.
            use = replace(use, key=(*key, home.module.location))
        return use

    def _comments(self, home: Home) -> tuple[str, ...]:
        tree = self._names.trees.of(home.module)
        for statement in top_level_assignments(tree.module) if tree is not None else ():
            if assignment_parts(statement)[0] == home.name:
                return tuple(line.comment.value for line in statement.leading_lines if line.comment is not None)
        return ()

    def _check_uses(self, home: Home, library: str) -> None:
        """Refuse a client that is used for more than calls: it may be changed, or told apart by identity."""
        for module, node in self._uses(home):
            parent = self._names.parents(module).get(node)
            if isinstance(parent, ast.Attribute) and self._is_call(module, parent, library):
                continue
            line = getattr(node, "lineno", 0)
            raise MismatchError(f"its client {home.name!r} is used for more than calls ({module.path}:{line})")
        for path in self._names.mentions.places(home.module, home.name):
            if path not in self._known_paths and not is_test_path(path):
                raise MismatchError(f"its client {home.name!r} is used in {path}, which was not given")

    def _uses(self, home: Home) -> Iterator[tuple[Module, ast.AST]]:
        """Every place of the given files that names the client."""
        project = self._names.analysis.resolver.project
        stem = stem_of(home.module)
        for location, source in project.sources.items():
            if home.name not in source.text or not (location == home.module.location or stem in source.text):
                continue
            module = project.module(location)
            if module is None:
                continue
            by_name = module is home.module or self._imports(module, home)
            for node in ast.walk(module.tree):
                named = isinstance(node, ast.Name) and node.id == home.name and isinstance(node.ctx, ast.Load)
                if (named and by_name) or _is_member(node, home, stem):
                    yield module, node

    def _imports(self, module: Module, home: Home) -> bool:
        project = self._names.analysis.resolver.project
        return any(
            isinstance(binding.source, Imported)
            and project.find(binding.source.module, binding.source.level, module.location) == home.module.location
            for binding in module.scope.bindings.get(home.name, [])
        )

    def _is_call(self, module: Module, attribute: ast.Attribute, library: str) -> bool:
        parents = self._names.parents(module)
        path = [attribute.attr]
        node: ast.AST = attribute
        while isinstance(parent := parents.get(node), ast.Attribute):
            path.append(parent.attr)
            node = parent
        called = isinstance(parent, ast.Call) and parent.func is node
        return called and (".".join(path) in load_detectors()[library].calls or path[0] in _CLOSING)

    def _from_factory(self, subject: Subject) -> Reach | None:
        """A client that a factory of the operations module gives: `client()`."""
        expression = subject.resolved.client.expression
        if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Name):
            return None
        name = expression.func.id
        term = factory_term(subject.module, name, self._names)
        if term is None or term.openness is not Openness.CLOSED:
            return None
        use = ClientUse(("client", term.key), subject.site.library, subject.path, name, term, from_factory=True)
        if use.read_once:
            raise MismatchError(f"its client {name!r} is built from what may be another thing by then")
        return Reach(use)

    def _opened(self, subject: Subject) -> Reach:
        client = subject.resolved.client
        binding, expression = client.binding, client.expression
        if (
            binding is None
            or not isinstance(binding.node, ast.With | ast.AsyncWith)
            or not isinstance(expression, ast.Name)
        ):
            raise MismatchError("how its client is opened is not seen")
        statement, name = binding.node, expression.id
        source = binding.source
        if not isinstance(source, Entered) or source.value is not client.constructed:
            raise MismatchError(f"its client {name!r} is not opened where it is built")
        if _repeated(subject, statement):
            raise MismatchError(f"its client {name!r} is opened once for many calls")
        if statement not in subject.within_function or len(statement.items) != 1:
            raise MismatchError(f"its client {name!r} is opened together with something else")
        term = self._constructor_term(subject)
        if term.openness is not Openness.CLOSED:
            raise MismatchError(f"its client {name!r} is built from what only its function knows")
        use = ClientUse(("opened", term.key), client.library, subject.path, name, term, entered=True)
        return Reach(use, opened=statement)

    def _constructor_term(self, subject: Subject) -> Term:
        """The term of the constructor in `with httpx.Client(...) as client`."""
        constructed = subject.resolved.client.constructed
        if constructed is None:
            raise MismatchError("its client's constructor is not seen")
        tree = self._names.trees.of(subject.module)
        located = tree.calls.get(span_in(subject.module, constructed)) if tree is not None else None
        if located is None:
            raise MismatchError("its client's constructor is not found")
        return self._names.at_site(subject).term(located.call, "client")


_REPEATING = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)


def _repeated(subject: Subject, statement: ast.AST) -> bool:
    """Whether the call stands in a loop inside the `with`: an operation would open a client each time round."""
    inside = set(ast.walk(statement))
    return any(isinstance(node, _REPEATING) and node in inside for node in subject.within_function)


def _is_member(node: ast.AST, home: Home, stem: str) -> bool:
    """Whether a node is `module.client`, by the name that the client's module is usually called by."""
    if not isinstance(node, ast.Attribute) or node.attr != home.name:
        return False
    return ast.unparse(node.value).rpartition(".")[2] == stem


def factory_term(module: Module, name: str, names: Names) -> Term | None:
    """The constructor behind `name = per_event_loop(AsyncClient)` or `name = cache(Client)`; None for anything else."""
    tree = names.trees.of(module)
    for statement in top_level_assignments(tree.module) if tree is not None else ():
        target, value = assignment_parts(statement)
        if target != name or not isinstance(value, cst.Call) or len(value.args) != 1:
            continue
        if code_of(value.func).rpartition(".")[2] not in {"per_event_loop", "cache"}:
            continue
        maker = value.args[0].value
        made = maker.body if isinstance(maker, cst.Lambda) else cst.Call(func=maker)
        return names.in_module(module).term(made, name)
    return None


def span_in(module: Module, node: ast.expr) -> tuple[int, int, int, int]:
    """Where an expression stands, in characters."""
    last = node.end_lineno or node.lineno
    return (
        node.lineno,
        module.column(node.lineno, node.col_offset),
        last,
        module.column(last, node.end_col_offset or 0),
    )


def _effect_before(module: Module, line: int) -> int | None:
    """The line of a statement above `line` that does something at import (`load_dotenv()`); None when none does."""
    for statement in module.tree.body:
        if statement.lineno >= line:
            return None
        if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant):
            return statement.lineno
        if isinstance(statement, ast.Assign) and any(isinstance(target, ast.Subscript) for target in statement.targets):
            return statement.lineno
    return None
