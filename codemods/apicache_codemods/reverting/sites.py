"""One call of the cache as a plain call: which edit does it, or why none does."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import libcst as cst

from apicache_codemods.reverting.bringing import Bringing, is_factory
from apicache_codemods.reverting.file_work import FileWork, Made, Opening
from apicache_codemods.reverting.inlining import (
    CannotInlineError,
    arguments_of,
    check_order,
    decoded,
    names_in,
    plain_call,
    substituted,
    unwrapped,
)
from apicache_codemods.reverting.operations import Operation
from apicache_codemods.reverting.uses import Use
from apicache_codemods.rewriting.edits import Located
from apicache_codemods.rewriting.generalise import free_name
from apicache_codemods.rewriting.placing import Import

SYNC, ASYNC = "cached_api_call_sync", "cached_api_call"
_SCOPES = (cst.Lambda, cst.ListComp, cst.SetComp, cst.DictComp, cst.GeneratorExp)


class StaysError(Exception):
    """Why a use of apicache is left as it is."""


@dataclass
class Sites:
    """Edits the calls of caches; `operations` are those of the project by name."""

    operations: Mapping[str, Sequence[Operation]]
    bringing: Bringing
    inlined: list[Operation] = field(default_factory=list)
    called: list[Operation] = field(default_factory=list)
    """Operations of which some call became one of the function itself."""

    def revert(self, work: FileWork, use: Use, call: ast.Call, located: Located) -> None:
        """Note the edit; raises StaysError when there is none."""
        names = [keyword.arg for keyword in call.keywords]
        if call.args and not isinstance(call.args[0], ast.Starred):
            work.calls[located.call] = unwrapped
        elif "operation" in names and None not in names and not call.args:
            self._operation(work, use, call, located)
        else:
            raise StaysError("its arguments are hidden in * or **")
        work.handled.add(use)

    def _operation(self, work: FileWork, use: Use, call: ast.Call, located: Located) -> None:
        given = next(keyword.value for keyword in call.keywords if keyword.arg == "operation")
        name = given.value if isinstance(given, ast.Constant) else None
        found = self.operations.get(name, ()) if isinstance(name, str) else ()
        if len(found) != 1:
            said = "is apicache's own, or registered elsewhere" if not found else "is registered more than once"
            raise StaysError(f"the operation {name!r} {said}" if name else "its operation is not a text")
        operation = found[0]
        awaiting = located.around[0] if isinstance(located.around[0], cst.Await) else None
        is_async = use.meaning == ASYNC
        if operation.is_async and not is_async:
            raise StaysError(f"the operation {operation.name!r} is async, and called without await")
        if is_async and awaiting is None and (operation.returns_json or not operation.is_async):
            raise StaysError("it is handed on without being awaited")
        try:
            make = self._inlined(work, operation, located)
            self.inlined.append(operation)
        except CannotInlineError:
            make = self._plain(work, operation)
            self.called.append(operation)
        _note(work, operation, located.call, awaiting, make, is_async=is_async)

    def _inlined(self, work: FileWork, operation: Operation, located: Located) -> Made:
        """What makes the expression; raises CannotInlineError. Tried here, for the edit itself must not fail."""
        body, origin = operation.body, self.bringing.works[operation.module.location]
        if body is None:
            raise CannotInlineError("the operation does more than to return one call")
        if operation.is_async and not body.is_awaited:
            raise CannotInlineError("the operation returns what it does not await")
        given = arguments_of(located.call, operation)
        check_order(body, given)
        own = {*given, *((body.client,) if body.client is not None else ())}
        substituted(body.value, given, cst.Name)
        read = names_in(body.value) + (names_in(body.opened.items[0].item) if body.opened is not None else [])
        for name in read:
            self.bringing.need(name, operation.module, work, own)
        factories = {name for name in read if is_factory(origin.uses, name)}
        client = free_name(body.client, work.taken) if body.client is not None else None
        if client is not None:
            self._opens(work, operation, located, client)

        def renamed(name: str) -> cst.BaseExpression:
            if name == body.client and client is not None:
                return cst.Name(client)
            return self.bringing.bring(name, origin, work)

        return lambda call: substituted(body.value, arguments_of(call, operation), renamed, factories)

    def _opens(self, work: FileWork, operation: Operation, located: Located, client: str) -> None:
        """Put the statement into the `with` that the operation opens its client by."""
        statement = _statement(located)
        body, origin = operation.body, self.bringing.works[operation.module.location]
        if statement is None or statement in work.openings or body is None or body.opened is None:
            raise CannotInlineError("its statement cannot go into the with that opens its client")
        if operation.is_async and not isinstance(located.around[0], cst.Await):
            raise CannotInlineError("it is awaited elsewhere")
        opened = body.opened

        def make(call: cst.Call) -> cst.With:
            item = opened.items[0]
            arguments = arguments_of(call, operation)
            value = substituted(item.item, arguments, lambda name: self.bringing.bring(name, origin, work))
            named = cst.AsName(name=cst.Name(client))
            return opened.with_changes(items=[item.with_changes(item=value, asname=named)])

        work.openings[statement] = Opening(make, located.call)

    def _plain(self, work: FileWork, operation: Operation) -> Made:
        """The call of the function itself, which the decorator returns as it is."""
        function = operation.function.name
        if operation.module is not work.uses.module:
            function = work.imported(Import(self.bringing.layout.import_name(operation.module), function))
        elif function in work.uses.bound_inside:
            raise StaysError(f"{function!r} means something else there")
        return lambda call: plain_call(function, call)


def _note(
    work: FileWork, operation: Operation, call: cst.Call, awaiting: cst.Await | None, make: Made, *, is_async: bool
) -> None:
    """Replace the call, or the await around it where that is not the same any more."""
    if operation.returns_json:
        plain = make

        def make(call: cst.Call) -> cst.BaseExpression:
            return decoded(plain(call), awaited=operation.is_async)

    if is_async and awaiting is not None and (operation.returns_json or not operation.is_async):
        work.awaits[awaiting] = (call, make)
    else:
        work.calls[call] = make


def _statement(located: Located) -> cst.SimpleStatementLine | None:
    """The statement line around a call that holds nothing else, in a block of its own lines."""
    for index, node in enumerate(located.around):
        if isinstance(node, _SCOPES):
            return None
        if isinstance(node, cst.SimpleStatementLine):
            is_alone = len(node.body) == 1 and isinstance(located.around[index + 1], cst.IndentedBlock)
            return node if is_alone else None
    return None
