"""The operations module of a package: written anew, or extended when it already exists.

It holds `api_cache`, the clients and values that its operations need, and one function per operation. It imports
libraries only, never the modules that import it.
"""

import json
import sys
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import libcst as cst

from apicache_codemods.rewriting.definitions import Ambient, Definition, read_at_each_call
from apicache_codemods.rewriting.edits import LINE_LIMIT, laid_out
from apicache_codemods.rewriting.generalise import free_name
from apicache_codemods.rewriting.placing import Import, with_imports
from apicache_codemods.rewriting.render import render, replaced
from apicache_codemods.rewriting.terms import Carried, Outside, Referred, Term, code_of

CACHE_NAME: Final = "api_cache"
INDENT: Final = "    "
_DOCSTRING: Final = '"""External API calls as cached operations, written by `apicache migrate` and yours to edit."""'
_RUNTIME: Final = Import("apicache", "UnifiedAPICache")
_PER_EVENT_LOOP: Final = Outside("apicache", "per_event_loop")
_CALL: Final = "_the_call_"
_CLIENT: Final = "_the_client_"


@dataclass(slots=True)
class OperationsModule:
    """One operations module in the making; `import_name` is what its sites import it by."""

    path: str
    import_name: str
    existing: cst.Module | None = None
    taken: set[str] = field(default_factory=set)
    """The names that the module binds."""
    known: dict[Hashable, str] = field(default_factory=dict)
    """Names by what they stand for: qualified names of imports, keys of assigned terms."""
    factories: dict[Hashable, str] = field(default_factory=dict)
    """Names of functions that give the running event loop's client, by the key of its constructor."""
    is_late: bool = False
    """Whether importing it reads what others may set while they are imported: it is imported after them."""
    imports: list[Import] = field(default_factory=list)
    assignments: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.existing is None:
            self.taken |= {CACHE_NAME, "UnifiedAPICache"}
            self.imports.append(_RUNTIME)

    @property
    def changed(self) -> bool:
        """Whether anything was added to what existed before."""
        return bool(self.assignments or self.functions)

    def imported(self, meaning: Outside) -> str:
        """The expression for a module or a member of one, imported when it was not."""
        known = self.known.get(meaning.dotted)
        if known is not None:
            return known
        if meaning.name is None:
            name = meaning.module
            top = name.partition(".")[0]
            wanted = Import(meaning.module)
            if top in self.taken and self.known.get(top) != top:
                name = free_name(name.replace(".", "_"), self.taken)
                wanted = Import(meaning.module, alias=name)
        else:
            name = free_name(meaning.name, self.taken)
            wanted = Import(meaning.module, meaning.name, None if name == meaning.name else name)
        self.imports.append(wanted)
        self.taken.add(wanted.bound)
        self.known[meaning.dotted] = name
        return name

    def carried(self, meaning: Carried) -> str:
        """The expression for a value that a site's module assigns once, assigned here when it was not."""
        return self.assigned(meaning.name, meaning.term, ())

    def referred(self, meaning: Referred) -> str:
        """The expression that reads a value in its own module, imported when it was not."""
        key = ("module", meaning.location)
        known = self.known.get(key)
        if known is None:
            package, _, name = meaning.module.rpartition(".")
            known = free_name(name, self.taken)
            alias = None if known == name else known
            self.imports.append(Import(package, name, alias) if package else Import(name, alias=alias))
            self.taken.add(known)
            self.known[key] = known
            self.is_late = True
        return f"{known}.{meaning.name}"

    def assigned(self, wanted: str, term: Term, comments: Iterable[str]) -> str:
        """The name under which this module holds the value of a closed term."""
        known = self.known.get(term.key)
        if known is not None:
            return known
        code = code_of(render(term, {}, self))
        name = free_name(wanted, self.taken)
        self.taken.add(name)
        self.known[term.key] = name
        self.assignments.append("".join(f"{comment}\n" for comment in comments) + f"{name} = {code}\n")
        return name

    def factory(self, wanted: str, term: Term) -> str:
        """The name of the function that gives the running event loop's own client, whose constructor is `term`."""
        known = self.factories.get(term.key)
        if known is not None:
            return known
        made = cst.ensure_type(render(term, {}, self), cst.Call)
        maker = code_of(made) if made.args else code_of(made.func)
        wrapper = self.imported(_PER_EVENT_LOOP)
        name = free_name(wanted, self.taken)
        self.taken.add(name)
        self.factories[term.key] = name
        self.assignments.append(f"{name} = {wrapper}({'lambda: ' if made.args else ''}{maker})\n")
        return name

    def adopt(self, name: str, module: str, term: Term) -> None:
        """Import a client, whose constructor is `term`, from the module that assigns it."""
        if term.key in self.known:
            return
        free = free_name(name, self.taken)
        self.imports.append(Import(module, name, None if free == name else free))
        self.is_late = True
        self.taken.add(free)
        self.known[term.key] = free

    def define(self, definition: Definition, operation_names: Collection[str]) -> str:
        """Add an operation; gives its name, which no operation of `operation_names` has."""
        placed = self._placed(definition)
        name = free_name(definition.wanted_name, {*self.taken, *operation_names})
        self.taken.add(name)
        keyword = "async def" if definition.is_async else "def"
        waiting = "await " if definition.is_async else ""
        parameters = ", ".join(parameter.name for parameter in definition.generalisation.parameters)
        body = [f"return {waiting}{_CALL}"]
        if _CLIENT in placed:
            entering = "async with" if definition.is_async else "with"
            body = [f"{entering} {_CLIENT} as {definition.client.name}:", *_indented(body)]
        lines = [
            self._decorator(name, definition),
            f"{keyword} {name}({parameters}):",
            *_indented(_docstring(definition)),
            *_indented(body),
        ]
        skeleton = cst.parse_module("\n".join(lines) + "\n")
        finder = _Placeholders()
        skeleton.visit(finder)
        self.functions.append(replaced(skeleton, {node: placed[node.value] for node in finder.found}).code)
        return name

    def _placed(self, definition: Definition) -> dict[str, cst.BaseExpression]:
        """The call, and the constructor of a client that is opened around it, by their placeholders."""
        client = definition.client
        placed: dict[str, cst.BaseExpression] = {}
        if client.constructor is None:
            holder = self.imported(Outside(client.library))
        elif client.from_factory:
            holder = f"{self.factory(client.name, client.constructor)}()"
        elif client.entered:
            holder = client.name
            placed[_CLIENT] = render(client.constructor, {}, self)
        else:
            holder = self.assigned(client.name, client.constructor, client.comments)
            self.is_late = self.is_late or bool(client.read_once)
        placed[_CALL] = self._call(f"{holder}.{'.'.join(client.path)}", definition)
        return placed

    def _call(self, function: str, definition: Definition) -> cst.Call:
        """The call with parameters in its holes, on several lines when it was or when it would be long."""
        call = definition.call
        changed: dict[cst.CSTNode, cst.CSTNode] = {}
        for term in call.arguments.values():
            rendered = render(term, definition.generalisation.holes, self)
            if rendered is not term.node:
                changed[term.node] = rendered
        node = replaced(call.node, changed).with_changes(func=cst.parse_expression(function), lpar=[], rpar=[])
        code = code_of(node)
        if "\n" in code or len(INDENT) * 2 + len("return await ") + len(code) > LINE_LIMIT:
            return laid_out(node, INDENT, trailing_comma=True)
        return node

    def _decorator(self, name: str, definition: Definition) -> str:
        options = [f'"{name}"']
        if definition.ttl is not None:
            options.append(f'ttl="{definition.ttl}"')
        if definition.returns_json:
            options.append('returns="json"')
        options += self._scope(definition)
        line = f"@{CACHE_NAME}.operation({', '.join(options)})"
        if len(line) <= LINE_LIMIT:
            return line
        return f"@{CACHE_NAME}.operation(\n" + "".join(f"{INDENT}{option},\n" for option in options) + ")"

    def _scope(self, definition: Definition) -> list[str]:
        """The option that keeps apart what the call answers under one key, tenant or setting and under another.

        What the call reads is asked for at each call, what its client read when it was built, once like there.
        """
        each_time = read_at_each_call(definition.call.arguments, definition.client)
        read = [self._reading(ambient) for ambient in dict.fromkeys(each_time or definition.client.read_once)]
        if not read:
            return []
        head = "scope=lambda: " if each_time else "scope="
        line = f"{head}[{', '.join(read)}]"
        if len(INDENT) + len(line) < LINE_LIMIT:
            return [line]
        return [f"{head}[\n" + "".join(f"{INDENT * 2}{entry},\n" for entry in read) + f"{INDENT}]"]

    def _reading(self, ambient: Ambient) -> str:
        if isinstance(ambient, Referred):
            return self.referred(ambient)
        return f"{self.imported(Outside('os'))}.getenv({json.dumps(ambient)})"

    def content(self, own_packages: frozenset[str]) -> bytes:
        """The module's bytes with everything that was added."""
        added = "".join(self.assignments)
        functions = "".join(f"\n\n{function}" for function in self.functions)
        if self.existing is None:
            head = f"{_DOCSTRING}\n\n{_import_lines(self.imports, own_packages)}\n{CACHE_NAME} = UnifiedAPICache()\n"
            return (head + added + functions).encode()
        body = with_imports(self.existing.body, self.imports, len(self.existing.body), own_packages)
        module = self.existing.with_changes(body=body)
        newline = module.default_newline
        head = module.code.rstrip("\r\n") + newline
        tail = (f"\n{added}" if added else "") + functions
        return (head + tail.replace("\n", newline)).encode(module.encoding)


class _Placeholders(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[cst.Name] = []

    def visit_Name(self, node: cst.Name) -> None:  # noqa: N802 - LibCST
        if node.value in {_CALL, _CLIENT}:
            self.found.append(node)


def _docstring(definition: Definition) -> list[str]:
    head = f'"""{definition.endpoint}'
    names = _listed(definition.replaced)
    one_line = f'{head}, for {names}."""'
    if len(INDENT) + len(one_line) <= LINE_LIMIT:
        return [one_line]
    return [f"{head}.", "", "For:", *(f"- {name}" for name in definition.replaced), '"""']


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"{INDENT}{line}" if line else "" for line in lines]


def _import_lines(imports: Iterable[Import], own_packages: frozenset[str]) -> str:
    """The imports in the usual three sections: standard library, libraries, the project."""
    sections: dict[int, list[Import]] = {}
    for wanted in dict.fromkeys(imports):
        top = wanted.module.partition(".")[0]
        section = 2 if top in own_packages else 0 if top in sys.stdlib_module_names else 1
        sections.setdefault(section, []).append(wanted)
    return "\n".join("".join(f"{line}\n" for line in _section(sections[number])) for number in sorted(sections))


def _section(imports: Iterable[Import]) -> list[str]:
    """The lines of one section: `import` statements first, then one `from` statement a module."""
    plain = sorted(each.code for each in imports if each.name is None)
    members: dict[str, list[str]] = {}
    for each in imports:
        if each.name is not None:
            members.setdefault(each.module, []).append(each.code.partition(" import ")[2])
    return plain + [f"from {module} import {', '.join(sorted(members[module]))}" for module in sorted(members)]
