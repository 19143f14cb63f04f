"""Editing one file with LibCST: calls, collapsed statements, dropped `with` blocks, assignments and imports.

Everything not edited keeps its bytes: line ends, tabs, form feeds, byte order mark, encoding, a missing last newline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from apicache_codemods.rewriting.terms import code_of

LINE_LIMIT = 100
"""Columns; a rewritten call that would be longer is laid out one argument a line."""

Span = tuple[int, int, int, int]
"""First line (1-based) and column, last line and column, in characters: where a call expression stands."""


@dataclass(frozen=True, slots=True)
class Located:
    """A call expression and the nodes around it, innermost first."""

    call: cst.Call
    around: tuple[cst.CSTNode, ...]


class SourceTree:
    """A parsed file in which calls are found by where they stand.

    Raises ParserSyntaxError for what LibCST cannot read.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.module = cst.parse_module(content)
        self.faithful = self.module.bytes == content

    @cached_property
    def positions(self) -> Mapping[cst.CSTNode, CodeRange]:
        """Where every node stands."""
        return MetadataWrapper(self.module, unsafe_skip_copy=True).resolve(PositionProvider)

    @cached_property
    def calls(self) -> Mapping[Span, Located]:
        """Every call expression by where it stands."""
        finder = _Finder(self.positions)
        self.module.visit(finder)
        return finder.found


class _Finder(cst.CSTVisitor):
    def __init__(self, positions: Mapping[cst.CSTNode, CodeRange]) -> None:
        super().__init__()
        self.positions = positions
        self.stack: list[cst.CSTNode] = []
        self.found: dict[Span, Located] = {}

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Call):
            self.found[span_of(self.positions[node])] = Located(node, tuple(reversed(self.stack)))
        self.stack.append(node)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:  # noqa: ARG002 - LibCST's signature
        self.stack.pop()


def span_of(position: CodeRange) -> Span:
    """A LibCST position as a span."""
    return (position.start.line, position.start.column, position.end.line, position.end.column)


@dataclass(frozen=True, slots=True)
class WrapEdit:
    """`client.post(url)` becomes `function(client.post, url)`.

    `column` is where the call's code begins, plus what follows it on its line; `inner_column` where its first argument
    stands.
    """

    call: cst.Call
    function: str
    column: int
    inner_column: int


@dataclass(frozen=True, slots=True)
class OperationEdit:
    """The call becomes `function(operation="name", parameter=value, ...)`; `column` is where its code begins."""

    call: cst.Call
    function: str
    operation: str
    arguments: tuple[tuple[str, cst.BaseExpression], ...]
    column: int


@dataclass(slots=True)
class FileEdits:
    """Everything to be done to one file; nodes are those of its `SourceTree`."""

    calls: list[WrapEdit | OperationEdit] = field(default_factory=list)
    collapsed: dict[cst.BaseStatement, cst.BaseStatement | None] = field(default_factory=dict)
    """A statement that assigns a response -> the `return response.json()` right after it; None for a statement that is
    `return call.json()` itself."""
    dropped: set[cst.BaseStatement] = field(default_factory=set)
    unwrapped: set[cst.With] = field(default_factory=set)
    """`with` statements whose body takes their place."""
    comments: dict[cst.BaseStatement, list[cst.Comment]] = field(default_factory=dict)
    """Comments from inside calls that became operations, by the statement above which they are kept."""


def apply(tree: SourceTree, edits: FileEdits) -> cst.Module:
    """The module after the edits, imports not yet seen to."""
    changed = tree.module.visit(_Editor(edits, tree.module.default_indent))
    return cst.ensure_type(changed, cst.Module)


class _Editor(cst.CSTTransformer):
    def __init__(self, edits: FileEdits, indent: str) -> None:
        super().__init__()
        self.calls = {edit.call: edit for edit in edits.calls}
        self.edits = edits
        self.indent = indent
        self.returns = {follower for follower in edits.collapsed.values() if follower is not None}

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:  # noqa: N802 - LibCST
        edit = self.calls.get(original_node)
        if isinstance(edit, WrapEdit):
            return wrapped_call(updated_node, edit, self.indent)
        if isinstance(edit, OperationEdit):
            return operation_call(updated_node, edit, self.indent)
        return updated_node

    def leave_SimpleStatementLine(  # noqa: N802 - LibCST
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.RemovalSentinel:
        if original_node in self.edits.dropped or original_node in self.returns:
            return cst.RemoveFromParent()
        line = with_comments(updated_node, self.edits.comments.get(original_node, ()))
        if original_node in self.edits.collapsed:
            return _collapsed(line, self.edits.collapsed[original_node])
        return line

    def leave_With(  # noqa: N802 - LibCST
        self, original_node: cst.With, updated_node: cst.With
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        if original_node not in self.edits.unwrapped:
            return updated_node
        first, *rest = cst.ensure_type(updated_node.body, cst.IndentedBlock).body
        lines = [*updated_node.leading_lines, *getattr(first, "leading_lines", ())]
        statements: list[cst.BaseStatement] = [first.with_changes(leading_lines=lines), *rest]
        return cst.FlattenSentinel(statements)


def _collapsed(line: cst.SimpleStatementLine, follower: cst.BaseStatement | None) -> cst.SimpleStatementLine:
    """`response = await call` with the `return response.json()` after it, as `return await call`."""
    small = line.body[0]
    if isinstance(small, cst.Return):  # return (await call).json()
        decoded = cst.ensure_type(cst.ensure_type(small.value, cst.Call).func, cst.Attribute).value
        return line.with_changes(body=[small.with_changes(value=decoded.with_changes(lpar=[], rpar=[]))])
    if not isinstance(small, cst.Assign | cst.AnnAssign) or not isinstance(follower, cst.SimpleStatementLine):
        raise TypeError(f"a {type(small).__name__} cannot be collapsed")
    returned = line.with_changes(body=[cst.Return(value=small.value)])
    if returned.trailing_whitespace.comment is None:
        returned = returned.with_changes(trailing_whitespace=follower.trailing_whitespace)
    kept = [each for each in follower.leading_lines if each.comment is not None]
    return returned.with_changes(leading_lines=[*line.leading_lines, *kept])


_LINTER_COMMENTS = ("# noqa", "# type:", "# nosec", "# pylint:", "# pyright:", "# fmt:")


def comments_in(node: cst.CSTNode) -> list[cst.Comment]:
    """The comments inside a node, those to linters left out: what they excuse is gone."""
    finder = _Comments()
    node.visit(finder)
    return [comment for comment in finder.found if not comment.value.startswith(_LINTER_COMMENTS)]


class _Comments(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[cst.Comment] = []

    def visit_Comment(self, node: cst.Comment) -> None:  # noqa: N802 - LibCST
        self.found.append(node)


def with_comments(line: cst.SimpleStatementLine, comments: Sequence[cst.Comment]) -> cst.SimpleStatementLine:
    """The statement with `comments` on lines of their own above it."""
    if not comments:
        return line
    return line.with_changes(leading_lines=[*line.leading_lines, *(cst.EmptyLine(comment=each) for each in comments)])


def wrapped_call(call: cst.Call, edit: WrapEdit, indent: str) -> cst.Call:
    """The same call with the callable as the first argument of `edit.function`."""
    wrapped = _with_callable(call, edit, call.whitespace_before_args)
    multi_line = isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace)
    if comments_in(call):
        return wrapped
    if multi_line and len(call.args) > 1 and not any(map(_breaks_after, call.args[:-1])):
        packed = _with_callable(call, edit, cst.SimpleWhitespace(" "))
        inside = code_of(packed.with_changes(whitespace_before_args=cst.SimpleWhitespace("")))
        width = edit.inner_column + len(inside.split("\n", 1)[0]) - len(edit.function)
        return packed if width <= LINE_LIMIT else laid_out(wrapped, indent, trailing_comma=True)
    aligned = not multi_line and any(map(_breaks_after, call.args))
    code = code_of(wrapped)
    if aligned or ("\n" not in code and edit.column + len(code) > LINE_LIMIT):
        return laid_out(wrapped, indent, trailing_comma=True)
    return wrapped


def _with_callable(call: cst.Call, edit: WrapEdit, space: cst.BaseParenthesizableWhitespace) -> cst.Call:
    first = cst.Arg(value=call.func)
    if call.args:
        between = space if isinstance(space, cst.ParenthesizedWhitespace) else cst.SimpleWhitespace(" ")
        first = first.with_changes(comma=cst.Comma(whitespace_after=between))
    return call.with_changes(func=cst.Name(edit.function), args=[first, *call.args])


def _breaks_after(argument: cst.Arg) -> bool:
    """Whether the next argument stands on a line of its own, which is aligned with what will have moved."""
    return isinstance(argument.comma, cst.Comma) and isinstance(
        argument.comma.whitespace_after, cst.ParenthesizedWhitespace
    )


def operation_call(call: cst.Call, edit: OperationEdit, indent: str) -> cst.Call:
    """The call of the operation, on several lines when the original was or when the line would be too long."""
    equal = cst.AssignEqual(whitespace_before=cst.SimpleWhitespace(""), whitespace_after=cst.SimpleWhitespace(""))
    pairs = [("operation", cst.SimpleString(f'"{edit.operation}"')), *edit.arguments]
    arguments = [cst.Arg(keyword=cst.Name(name), value=value, equal=equal) for name, value in pairs]
    made = cst.Call(
        func=cst.parse_expression(edit.function), args=_separated(arguments), lpar=call.lpar, rpar=call.rpar
    )
    multi_line = isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace)
    if not multi_line and edit.column + len(code_of(made)) <= LINE_LIMIT:
        return made
    trailing = bool(call.args) and isinstance(call.args[-1].comma, cst.Comma) if multi_line else True
    return laid_out(made, indent, trailing_comma=trailing)


def _separated(arguments: Sequence[cst.Arg]) -> list[cst.Arg]:
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    return [*(argument.with_changes(comma=comma) for argument in arguments[:-1]), arguments[-1]]


def laid_out(call: cst.Call, indent: str, *, trailing_comma: bool) -> cst.Call:
    """The call with one argument a line."""
    inside = cst.ParenthesizedWhitespace(indent=True, last_line=cst.SimpleWhitespace(indent))
    end = cst.ParenthesizedWhitespace(indent=True)
    arguments = [
        argument.with_changes(comma=cst.Comma(whitespace_after=inside), whitespace_after_arg=cst.SimpleWhitespace(""))
        for argument in call.args
    ]
    if trailing_comma:
        last = arguments[-1].with_changes(comma=cst.Comma(whitespace_after=end))
    else:
        last = arguments[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT, whitespace_after_arg=end)
    return call.with_changes(args=[*arguments[:-1], last], whitespace_before_args=inside)
