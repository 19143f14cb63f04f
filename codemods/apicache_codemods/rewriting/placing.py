"""Putting an import into a module where it runs before its first use and after everything it may depend on."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import libcst as cst


@dataclass(frozen=True, slots=True)
class Import:
    """`from module import name as alias`; `import module` when `name` is None."""

    module: str
    name: str | None = None
    alias: str | None = None

    @property
    def bound(self) -> str:
        """The name it binds."""
        return self.alias or self.name or self.module.partition(".")[0]

    @property
    def code(self) -> str:
        """The statement's source."""
        tail = f" as {self.alias}" if self.alias else ""
        return f"import {self.module}{tail}" if self.name is None else f"from {self.module} import {self.name}{tail}"


def with_imports(
    body: Sequence[cst.BaseStatement],
    imports: Sequence[Import],
    limit: int,
    own_packages: frozenset[str],
    late: Collection[str] = (),
) -> list[cst.BaseStatement]:
    """The statements with `imports` among them, none at or after index `limit`, where one of them is first needed.

    An import of a module that is already imported from is joined with that statement. Others follow the last import of
    their section: `own_packages` are the top-level names of the project's own section. Modules of `late` are imported
    after all others.
    """
    statements = list(body)
    for wanted in imports:
        joined = _joined(statements, wanted, limit)
        if joined is None:
            if wanted.module in late:
                _put(statements, _last(statements, limit), _statement(wanted), own_packages)
            else:
                _insert(statements, _place(statements, wanted, limit, own_packages), wanted, own_packages)
            limit += 1
        else:
            index, statement = joined
            statements[index] = statement
    return statements


def _joined(
    statements: Sequence[cst.BaseStatement], wanted: Import, limit: int
) -> tuple[int, cst.SimpleStatementLine] | None:
    """The statement that already imports from the module, with the name added; None when there is none to add to."""
    for index, statement in enumerate(statements[:limit]):
        parts = imported_parts(statement)
        if len(parts) != 1 or not isinstance(statement, cst.SimpleStatementLine):
            continue
        part = parts[0]
        if any(_binds(alias, part, wanted) for alias in _aliases(part)):
            return index, statement
        if not isinstance(part, cst.ImportFrom) or isinstance(part.names, cst.ImportStar) or wanted.name is None:
            continue
        if part.relative or dotted(part.module) != wanted.module or part.lpar is not None:
            continue
        names = [cst.ImportAlias(name=alias.name, asname=alias.asname) for alias in part.names]
        names = sorted([*names, _alias(wanted)], key=lambda alias: dotted(alias.name).lower())
        return index, statement.with_changes(body=[part.with_changes(names=names)])
    return None


def _binds(alias: cst.ImportAlias, part: cst.Import | cst.ImportFrom, wanted: Import) -> bool:
    bound = alias.evaluated_alias or (alias.evaluated_name if wanted.name else alias.evaluated_name.partition(".")[0])
    if bound != wanted.bound:
        return False
    if isinstance(part, cst.ImportFrom):
        return not part.relative and dotted(part.module) == wanted.module and alias.evaluated_name == wanted.name
    return wanted.name is None and alias.evaluated_name == wanted.module


def _place(statements: Sequence[cst.BaseStatement], wanted: Import, limit: int, own_packages: frozenset[str]) -> int:
    """After the last import of its section, or of one before it, at the head of the module; else at the top.

    Where other code runs between the imports (`sys.path.insert`), after the last of them.
    """
    section = _section(wanted.module, own_packages)
    top = 0
    last = after_section = None
    for index, statement in enumerate(statements[:limit]):
        if _is_docstring(statement, index) or _is_future(statement):
            top = index + 1
        elif imported_parts(statement):
            last = index + 1
            if _section_of(statement, own_packages) <= section:
                after_section = index + 1
        elif not isinstance(statement, cst.SimpleStatementLine | cst.If | cst.Try):
            break
    if last is None:
        return top
    start = top if after_section is None else after_section
    return start if all(imported_parts(statement) for statement in statements[start:last]) else last


def _insert(statements: list[cst.BaseStatement], index: int, wanted: Import, own_packages: frozenset[str]) -> None:
    """Insert before those imports of its section that sort after it; the first of a section keeps its blank line."""
    place = index
    while place > 0 and _sorts_after(statements[place - 1], wanted, own_packages):
        place -= 1
        if getattr(statements[place], "leading_lines", ()):
            break
    new = _statement(wanted)
    if place < index:
        displaced = cst.ensure_type(statements[place], cst.SimpleStatementLine)
        new = new.with_changes(leading_lines=displaced.leading_lines)
        statements[place] = displaced.with_changes(leading_lines=[])
        statements.insert(place, new)
        _separate(statements, place, own_packages)
    else:
        _put(statements, place, new, own_packages)


def _statement(wanted: Import) -> cst.SimpleStatementLine:
    return cst.ensure_type(cst.parse_statement(wanted.code), cst.SimpleStatementLine)


def _put(
    statements: list[cst.BaseStatement], place: int, new: cst.SimpleStatementLine, own_packages: frozenset[str]
) -> None:
    if place > 0 and _needs_gap(statements[place - 1], new, own_packages):
        new = new.with_changes(leading_lines=[cst.EmptyLine(indent=False)])
    statements.insert(place, new)
    _separate(statements, place, own_packages)


def _last(statements: Sequence[cst.BaseStatement], limit: int) -> int:
    """The place after the last import among the statements that a module begins with."""
    place = 0
    for index, statement in enumerate(statements[:limit]):
        if _is_docstring(statement, index) or imported_parts(statement):
            place = index + 1
        elif not isinstance(statement, cst.SimpleStatementLine | cst.If | cst.Try):
            break
    return place


def _needs_gap(before: cst.BaseStatement, new: cst.SimpleStatementLine, own_packages: frozenset[str]) -> bool:
    if not imported_parts(before) or _is_future(before):
        return True
    own = _section_of(new, own_packages) == _OWN
    return own and _section_of(before, own_packages) != _OWN


def _sorts_after(statement: cst.BaseStatement, wanted: Import, own_packages: frozenset[str]) -> bool:
    """Whether a statement of the same section belongs below: `import` before `from`, then by name."""
    parts = imported_parts(statement)
    if (
        len(parts) != 1
        or _is_future(statement)
        or _section_of(statement, own_packages) != _section(wanted.module, own_packages)
    ):
        return False
    if any(line.comment is not None for line in getattr(statement, "leading_lines", ())):
        return False
    part = parts[0]
    if isinstance(part, cst.ImportFrom):
        return wanted.name is None or (not part.relative and dotted(part.module).lower() > wanted.module.lower())
    return wanted.name is None and part.names[0].evaluated_name.lower() > wanted.module.lower()


def _separate(statements: list[cst.BaseStatement], index: int, own_packages: frozenset[str]) -> None:
    """Blank lines after a new import, where what follows has none and is of another kind."""
    if index + 1 >= len(statements):
        return
    follower = statements[index + 1]
    lines = list(getattr(follower, "leading_lines", ()))
    if lines and lines[0].comment is None:
        return
    if imported_parts(follower):
        wanted = int(_section_of(follower, own_packages) > _section_of(statements[index], own_packages))
    else:
        wanted = 2 if isinstance(follower, cst.FunctionDef | cst.ClassDef) else 1
    statements[index + 1] = follower.with_changes(leading_lines=[*[cst.EmptyLine(indent=False)] * wanted, *lines])


_STANDARD, _LIBRARIES, _OWN = range(3)


def _section(module: str, own_packages: frozenset[str]) -> int:
    top = module.partition(".")[0]
    if top in own_packages:
        return _OWN
    return _STANDARD if top in sys.stdlib_module_names else _LIBRARIES


def _section_of(statement: cst.BaseStatement, own_packages: frozenset[str]) -> int:
    part = imported_parts(statement)[0]
    if isinstance(part, cst.ImportFrom):
        return _OWN if part.relative else _section(dotted(part.module), own_packages)
    return _section(part.names[0].evaluated_name, own_packages)


def imported_parts(statement: cst.CSTNode) -> list[cst.Import | cst.ImportFrom]:
    """The imports of a statement line that holds nothing else; empty for any other statement."""
    if not isinstance(statement, cst.SimpleStatementLine):
        return []
    parts = [part for part in statement.body if isinstance(part, cst.Import | cst.ImportFrom)]
    return parts if len(parts) == len(statement.body) else []


def dotted(node: cst.Attribute | cst.Name | cst.BaseExpression | None) -> str:
    """The text of a dotted name; empty for None."""
    if isinstance(node, cst.Attribute):
        return f"{dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def _aliases(part: cst.Import | cst.ImportFrom) -> Sequence[cst.ImportAlias]:
    return () if isinstance(part.names, cst.ImportStar) else part.names


def _alias(wanted: Import) -> cst.ImportAlias:
    asname = cst.AsName(name=cst.Name(wanted.alias)) if wanted.alias else None
    return cst.ImportAlias(name=cst.Name(wanted.name or ""), asname=asname)


def _is_future(statement: cst.BaseStatement) -> bool:
    return any(
        isinstance(part, cst.ImportFrom) and dotted(part.module) == "__future__" for part in imported_parts(statement)
    )


def _is_docstring(statement: cst.BaseStatement, index: int) -> bool:
    return (
        index == 0
        and isinstance(statement, cst.SimpleStatementLine)
        and len(statement.body) == 1
        and isinstance(statement.body[0], cst.Expr)
        and isinstance(statement.body[0].value, cst.SimpleString | cst.ConcatenatedString)
    )
