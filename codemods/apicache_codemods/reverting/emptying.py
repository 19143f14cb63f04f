"""What remains of operations modules once their calls are plain: clients, plain functions, or nothing."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

import libcst as cst

from apicache_codemods.reverting.bringing import is_factory
from apicache_codemods.reverting.file_work import FileWork, assignment_of
from apicache_codemods.reverting.operations import Operation
from apicache_codemods.reverting.sites import Sites
from apicache_codemods.reverting.uses import CACHE, Use, meaning_of
from apicache_codemods.rewriting.layout import Layout
from apicache_codemods.rewriting.mentions import Mentions, stem_of
from apicache_codemods.rewriting.names import assignment_parts, top_level_assignments
from apicache_codemods.rewriting.placing import imported_parts
from apicache_codemods.rewriting.writing import FileChange

_CONSTRUCTOR = "UnifiedAPICache"


class Emptying:
    """Takes from operations modules what nobody needs any more, and gives every file's change."""

    def __init__(
        self,
        works: Mapping[str, FileWork],
        targets: frozenset[str],
        sites: Sites,
        mentions: Mentions,
        layout: Layout,
    ) -> None:
        self._works = works
        self._targets = targets
        self._sites = sites
        self._mentions = mentions
        self._layout = layout

    def settle(self, operations: Mapping[str, Sequence[Operation]]) -> None:
        """Decide what of the operations' functions and clients goes."""
        dropped: list[Operation] = []
        for registered in operations.values():
            for operation in registered:
                if operation.module.path in self._targets and not self._is_called(operation):
                    self._unregister(operation)
                    if self._is_replaced(operation):
                        dropped.append(operation)
        for operation in dropped:
            self._works[operation.module.location].dropped.add(operation.node)
        self._sites.bringing.settle(set(self._movable()))

    def _is_called(self, operation: Operation) -> bool:
        """Whether somebody still calls it by its name."""
        pattern = re.compile(rf"\boperation\s*=\s*['\"]{re.escape(operation.name)}['\"]")
        for work in self._works.values():
            text = "\n".join(work.uses.module.lines)
            gone = sum(use in work.handled for use in work.uses.found if self._calls(use, operation, work))
            if len(pattern.findall(text)) > gone:
                return True
        return False

    def _calls(self, use: Use, operation: Operation, work: FileWork) -> bool:
        lines = work.uses.module.lines
        call = next((node for node in _calls_of(work) if node.func is use.node), None)
        if call is None:
            return False
        source = "\n".join(lines[call.lineno - 1 : call.end_lineno])
        return re.search(rf"operation\s*=\s*['\"]{re.escape(operation.name)}['\"]", source) is not None

    def _unregister(self, operation: Operation) -> None:
        work = self._works[operation.module.location]
        index = operation.function.decorator_list.index(operation.decorator)
        work.decorators.add(operation.node.decorators[index])
        use = work.uses.of(operation.decorator.func)  # type: ignore[attr-defined] # a call, as operations_in saw
        work.handled.add(use)

    def _is_replaced(self, operation: Operation) -> bool:
        """Whether all its calls hold its body now, and nobody names its function."""
        if operation not in self._sites.inlined or operation in self._sites.called or operation.body is None:
            return False
        name = operation.function.name
        own = operation.module.source.text
        return not self._mentions.elsewhere(operation.module, name) and len(re.findall(rf"\b{name}\b", own)) <= (
            1 + own.count(f'"{name}"') + own.count(f"'{name}'")
        )

    def _movable(self) -> Iterator[tuple[str, str]]:
        """The names of operations modules that only the functions that go need, and nobody else imports."""
        for location, work in self._works.items():
            if not work.dropped or work.uses.module.path not in self._targets:
                continue
            loaded = _read(work.edited().code)
            for statement in top_level_assignments(work.tree.module):
                name = assignment_parts(statement)[0]
                if name is not None and name not in loaded and not self._mentions.elsewhere(work.uses.module, name):
                    yield location, name

    def changes(self, texts: Mapping[str, str]) -> Iterator[FileChange]:
        """Every file's change, those of operations modules last: by then it is known who still imports them."""
        after = dict(texts)
        works = [work for work in self._works.values() if work.uses.module.path in self._targets]
        registering = [work for work in works if any(use.meaning == _CONSTRUCTOR for use in work.uses.found)]
        for work in works:
            if work not in registering:
                change = self._changed(work)
                after[work.uses.module.path] = (change.after or b"").decode(errors="replace")
                yield change
        for work in registering:
            self._empty(work, after)
            yield self._changed(work, after)

    def _empty(self, work: FileWork, after: Mapping[str, str]) -> None:
        """Take away clients that moved or that nobody needs, and the cache itself."""
        module = work.uses.module
        loaded_before = _read(work.tree.module.code)
        for statement in list(top_level_assignments(work.tree.module)):
            name = assignment_parts(statement)[0] or ""
            if meaning_of(module, name, work.uses.project) == CACHE or self._mentions.elsewhere(module, name, after):
                continue
            has_moved = (module.location, name) in self._sites.bringing.moved
            loaded = _read(work.edited().code)
            if has_moved or (name in loaded_before and name not in loaded):
                work.dropped.add(statement)
                if is_factory(work.uses, name):
                    work.handled |= {use for use in work.uses.found if use.meaning == "per_event_loop"}
        for name in module.scope.bindings:
            assigning = assignment_of(work.tree, name)
            if assigning is None or meaning_of(module, name, work.uses.project) != CACHE:
                continue
            loaded = _read(work.edited().code)
            if name not in loaded and not self._mentions.elsewhere(module, name, after):
                work.dropped.add(assigning)
                work.handled |= {use for use in work.uses.found if use.meaning == _CONSTRUCTOR}

    def _changed(self, work: FileWork, after: Mapping[str, str] | None = None) -> FileChange:
        module = work.uses.module
        edited = work.edited()
        base = self._layout.base(module)
        content: bytes | None = work.finished(edited, self._layout.own_packages(base))
        if after is not None and work.dropped and _is_empty(edited) and not self._is_imported(work, after):
            content = None
        return FileChange(path=module.path, absolute=module.source.absolute, before=work.tree.content, after=content)

    def _is_imported(self, work: FileWork, after: Mapping[str, str]) -> bool:
        stem = re.escape(stem_of(work.uses.module))
        forms = (
            rf"from\s+[\w.]*\b{stem}\s+import",
            rf"import\s+[\w.]*\b{stem}\b",
            rf"from\s+[\w.]+\s+import\s.*\b{stem}\b",
        )
        pattern = re.compile(rf"^\s*(?:{'|'.join(forms)})", re.MULTILINE)
        return any(pattern.search(text) for path, text in after.items() if path != work.uses.module.path)


def _read(text: str) -> set[str]:
    """The names that a module's code reads, and the entries of `__all__`."""
    nodes = list(ast.walk(ast.parse(text)))
    listed = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return listed | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _calls_of(work: FileWork) -> Iterator["ast.Call"]:
    return (node for node in ast.walk(work.uses.module.tree) if isinstance(node, ast.Call))


def _is_empty(module: cst.Module) -> bool:
    """Whether a module holds nothing but a docstring and imports."""
    for index, statement in enumerate(module.body):
        if imported_parts(statement):
            continue
        is_text = (
            index == 0
            and isinstance(statement, cst.SimpleStatementLine)
            and isinstance(statement.body[0], cst.Expr)
            and isinstance(statement.body[0].value, cst.SimpleString)
        )
        if not is_text:
            return False
    return True
