"""`apicache migrate`: rewrite call sites to cached calls, or say for each why not."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from apicache.errors import InputError
from apicache_cli import __version__, output
from apicache_cli.migrate_review import review
from apicache_cli.migrate_text import print_changes, print_explanation, print_migration, print_recovery, print_reverting
from apicache_codemods.migrate import MigrationPlan, Preparation, journal_at, prepare, write
from apicache_codemods.migration_formats import MigrationContext, check, known, render
from apicache_codemods.migration_words import run_words
from apicache_codemods.replacing import write_text
from apicache_codemods.reverting.plan import plan_revert
from apicache_codemods.rewriting.git_tree import uncommitted
from apicache_codemods.rewriting.suite import Suite, SuiteRun
from apicache_codemods.rewriting.transaction import recover, transaction, undo
from apicache_codemods.rewriting.verdicts import Place, Verdict
from apicache_codemods.rewriting.verifying import Verifier

WOULD_CHANGE = 1
TEXT = "text"
FORMATS = (TEXT, *known())
_NAMED = 3


def command(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Python files and folders; the working directory when none is given.")
    ] = None,
    *,
    apply: Annotated[bool, typer.Option("--write", help="Apply the changes; without it they are only shown.")] = False,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask at each call, then apply what was agreed to.")
    ] = False,
    check_only: Annotated[bool, typer.Option("--check", help="Exit 1 when there is something to change.")] = False,
    verify: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND", help='Your tests, such as "pytest -q"; calls that break them stay as they are.'
        ),
    ] = None,
    verify_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long one run of the tests may take.")
    ] = 600.0,
    undo_last: Annotated[
        bool, typer.Option("--undo", help="Give the files of the last run their bytes from before it.")
    ] = False,
    revert: Annotated[
        bool, typer.Option("--revert", help="Take apicache out of the code again: plain calls, no operations.")
    ] = False,
    explain_place: Annotated[
        str | None,
        typer.Option("--explain", metavar="PATH:LINE", help="What becomes of the call there, and why; no report."),
    ] = None,
    style: Annotated[
        Literal["auto", "operation", "wrap"],
        typer.Option(help="operation: registered operations only; wrap: cached_api_call around the call only."),
    ] = "auto",
    operations_module: Annotated[
        Path | None,
        typer.Option(help="Where operations are registered; api_operations.py in the calls' common package otherwise."),
    ] = None,
    format: Annotated[str, typer.Option(help=f"How the result is printed: {', '.join(FORMATS)}.")] = TEXT,  # noqa: A002 - the option's name
    output_file: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the report to a file, not to stdout.")
    ] = None,
) -> None:
    """Rewrite external calls to cached calls: a diff on stdout, which `git apply` takes, or the files with --write.

    Each call left as it is has a code and a reason, on stderr. Nothing of the project is imported or run, but for the
    command that --verify names. Exit codes: 0 fine, 1 --check found something to change, 2 bad input.
    """
    check(format, (TEXT,))
    writes = apply or interactive
    _check_options(
        {
            "--write": apply,
            "--interactive": interactive,
            "--check": check_only,
            "--undo": undo_last,
            "--revert": revert,
            "--explain": explain_place is not None,
        },
        reports=format != TEXT or output_file is not None,
        verifies=verify is not None,
    )
    root, given = Path.cwd(), paths or [Path()]
    if undo_last:
        print_changes("restored", undo(journal_at(root)))
        return
    print_recovery(recover(journal_at(root)))
    if revert:
        _revert(given, root, writes=apply, checks=check_only)
        return
    preparation = _prepared(given, root, style, operations_module)
    if explain_place is not None:
        print_explanation(preparation, explain_place, root)
        return
    if writes:
        _warn_of_git(root)
    runs: list[SuiteRun] = []
    suite = Suite(verify, root, verify_timeout) if verify is not None else None
    migration = _done(preparation, suite, runs, interactive=interactive, applies=writes)
    if format == TEXT and output_file is None:
        print_migration(migration, applied=writes)
    else:
        context = MigrationContext(version=__version__, applied=writes, runs=tuple(runs))
        _report(migration, context, format, output_file)
    if check_only and migration.changes:
        raise typer.Exit(WOULD_CHANGE)


_TOGETHER = {frozenset({"--revert", "--write"}), frozenset({"--revert", "--check"})}


def _check_options(given: Mapping[str, bool], *, reports: bool, verifies: bool) -> None:
    asked = frozenset(option for option, is_given in given.items() if is_given)
    if len(asked) > 1 and asked not in _TOGETHER:
        if asked == {"--write", "--check"}:
            raise InputError("both --write and --check were given; give --check to look, --write to change")
        raise InputError(f"{' and '.join(sorted(asked))} were given together; give one of them")
    if verifies and (not asked & {"--write", "--interactive"} or "--revert" in asked):
        raise InputError("--verify runs the tests on the rewritten files; give --write or --interactive with it")
    if reports and asked & {"--undo", "--revert", "--explain"}:
        raise InputError(f"{next(iter(asked))} prints no report; leave out --format and --output")


def _prepared(
    paths: list[Path], root: Path, style: Literal["auto", "operation", "wrap"], place: Path | None
) -> Preparation:
    console = output.stderr()
    with console.status("reading and rewriting") if console.is_terminal else nullcontext():
        return prepare(paths, root, style=style, operations_module=place)


def _done(
    preparation: Preparation, suite: Suite | None, runs: list[SuiteRun], *, interactive: bool, applies: bool
) -> MigrationPlan:
    """The plan, written if it is to be: what was agreed to, and what the tests pass with."""
    left_out = review(preparation) if interactive else {}
    migration = preparation.plan(left_out)
    if suite is not None and migration.changes:
        return _verified(preparation, suite, runs, left_out)
    if applies:
        write(migration)
    return migration


def _verified(
    preparation: Preparation, suite: Suite, runs: list[SuiteRun], left_out: Mapping[Place, Verdict]
) -> MigrationPlan:
    console = output.stderr()

    def tell(run: SuiteRun) -> None:
        runs.append(run)
        console.print(run_words(run), soft_wrap=True, markup=False)

    with transaction(journal_at(preparation.root)) as written:
        verifier = Verifier(preparation.plan, written, suite, tell)
        verifier.before()
        found = verifier.verify(left_out)
    return preparation.plan({**left_out, **found.reverted})


def _revert(paths: list[Path], root: Path, *, writes: bool, checks: bool) -> None:
    if writes:
        _warn_of_git(root)
    reverting = plan_revert(paths, root)
    if writes:
        write(reverting)
    print_reverting(reverting, applied=writes)
    if checks and reverting.changes:
        raise typer.Exit(WOULD_CHANGE)


def _report(migration: MigrationPlan, context: MigrationContext, format_name: str, file: Path | None) -> None:
    if format_name != TEXT:
        text = render(format_name, migration, context)
    else:
        text = migration.patch().decode(errors="surrogateescape")
    if file is None:
        typer.echo(text.encode(errors="backslashreplace"), nl=False)
    else:
        write_text(file, text)


def _warn_of_git(root: Path) -> None:
    files = uncommitted(root)
    if files:
        named = ", ".join(files[:_NAMED]) + (f" and {len(files) - _NAMED:,} more" if len(files) > _NAMED else "")
        output.stderr().print(
            f"warning: the git tree has uncommitted changes ({named}); commit them first, and git diff shows what "
            "migrate did. apicache migrate --undo takes it back either way",
            soft_wrap=True,
            markup=False,
        )
