"""`apicache scan`: which external calls a project makes, which are duplicates, and what the rules say."""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from apicache.errors import InputError
from apicache_cli import __version__, output
from apicache_cli.scan_answers import print_comparison, print_explanation
from apicache_cli.scan_text import print_report
from apicache_codemods.analysis import Analysis, analyse
from apicache_codemods.analysis import Progress as OnProgress
from apicache_codemods.baselines import baseline_text, held_against, read_baseline
from apicache_codemods.comparing import compare
from apicache_codemods.configuration import scan_options
from apicache_codemods.excerpts import Sources
from apicache_codemods.explaining import explain
from apicache_codemods.model import ScanReport
from apicache_codemods.replacing import write_text
from apicache_codemods.report_formats import ReportContext, check, known, render
from apicache_codemods.report_words import counted
from apicache_codemods.rule import selected
from apicache_codemods.scan import FailOn, ScanOptions, report, scan
from apicache_codemods.scenario_text import literal_calls, scenario_text

FOUND = 1
FAILING = {"error", "warning"}
TEXT = "text"
FORMATS = (TEXT, *known())


def command(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Python files and folders; the working directory when none is given.")
    ] = None,
    *,
    format: Annotated[str, typer.Option(help=f"How the result is printed: {', '.join(FORMATS)}.")] = TEXT,  # noqa: A002 - the option's name
    output_file: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the result to a file, not to stdout.")
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(metavar="CODES", help="Only these rules: AC001,AC004 or AC00; may be repeated.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="CODES", help="Not these rules; wins over --select.")
    ] = None,
    baseline: Annotated[Path | None, typer.Option(metavar="FILE", help="Findings in this file are not new.")] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Write the findings to the --baseline file.")
    ] = False,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(help="Exit 1 for a warning or an error: `any`, `new` (not in the baseline), or `never`."),
    ] = None,
    emit_scenarios: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the calls whose arguments are literals as scenarios for `warm`."),
    ] = None,
    explain_place: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="PATH:LINE",
            help="How the call there was resolved, or why it is no call site; no report.",
        ),
    ] = None,
    compare_grep: Annotated[
        bool, typer.Option("--compare-grep", help="What a plain grep finds falsely and misses; no report.")
    ] = False,
) -> None:
    """Find the calls of external APIs, which of them are duplicates, and what to do about them.

    Nothing is imported or run. Files that cannot be read are named, the rest goes on. Exit codes: 0 fine, 1 there are
    findings that --fail-on names, 2 bad input.
    """
    root, given = Path.cwd(), paths or [Path()]
    check(format, (TEXT,))
    if explain_place is not None or compare_grep:
        if format != TEXT or baseline is not None or emit_scenarios is not None or (explain_place and compare_grep):
            raise InputError(
                "--explain and --compare-grep print no report; give each of them with paths and --output only"
            )
        _answer(explain_place, _analysed(given, root, scan_options(root)), root, output_file)
        return
    options = _options(scan_options(root), select, ignore, baseline, fail_on)
    if update_baseline and options.baseline is None:
        raise InputError("--update-baseline was given without a file; add --baseline FILE")
    rules = selected(options.select, options.ignore)
    found = _scanned(given, root, options, emit_scenarios)
    if update_baseline and options.baseline is not None:
        write_text(options.baseline, baseline_text(found.findings))
        _note(f"{counted(len(found.findings), 'finding')} in {options.baseline}")
    if options.baseline is not None:
        found = held_against(found, read_baseline(options.baseline))
    context = ReportContext(
        version=__version__,
        paths=tuple(map(str, given)),
        sources=Sources(root),
        rules={rule.code: rule for rule in rules},
        baseline=str(options.baseline) if options.baseline is not None else None,
    )
    if format == TEXT:
        _print(lambda console: print_report(console, found, context), output_file)
    else:
        _write(render(format, found, context), output_file)
    if _fails(found, options.fail_on):
        raise typer.Exit(FOUND)


def _check_alone(format_name: str, other: Path | None, *, both: bool) -> None:
    if both or format_name != TEXT or other is not None:
        raise InputError("--explain and --compare-grep print no report; give one of them, with paths and --output only")


def _options(
    configured: ScanOptions,
    select: Sequence[str] | None,
    ignore: Sequence[str] | None,
    baseline: Path | None,
    fail_on: FailOn | None,
) -> ScanOptions:
    """What was typed, else what the project's configuration says."""
    return msgspec.structs.replace(
        configured,
        select=_codes(select) if select is not None else configured.select,
        ignore=_codes(ignore) if ignore is not None else configured.ignore,
        baseline=baseline or configured.baseline,
        fail_on=fail_on or configured.fail_on,
    )


def _codes(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(code.strip() for each in given for code in each.split(",") if code.strip())


def _scanned(paths: Sequence[Path], root: Path, options: ScanOptions, emit_scenarios: Path | None) -> ScanReport:
    if emit_scenarios is None:
        with _progress(output.stderr()) as advance:
            return scan(paths, root, options, advance)
    analysis = _analysed(paths, root, options)
    entries = literal_calls(analysis)
    if entries:
        write_text(emit_scenarios, scenario_text(entries))
        _note(f"{counted(len(entries), 'scenario')} in {emit_scenarios}, for apicache warm once their operations exist")
    else:
        _note(f"no call has literal arguments only: {emit_scenarios} is not written")
    return report(analysis, options)


def _analysed(paths: Sequence[Path], root: Path, options: ScanOptions) -> Analysis:
    with _progress(output.stderr()) as advance:
        return analyse(paths, root, advance, exclude=options.exclude, declared=options.declared)


def _answer(place: str | None, analysis: Analysis, root: Path, output_file: Path | None) -> None:
    """Print the explanation of a place, or else the comparison with grep."""
    if place is not None:
        calls = explain(place, analysis, root)
        _print(lambda console: print_explanation(console, calls), output_file)
    else:
        comparison = compare(analysis)
        _print(lambda console: print_comparison(console, comparison), output_file)


def _print(show: Callable[[Console], None], output_file: Path | None) -> None:
    """Let `show` print on stdout, or into a file."""
    if output_file is None:
        show(output.stdout())
        return
    printed = io.StringIO()
    show(Console(file=printed, highlight=False, force_terminal=False))
    write_text(output_file, printed.getvalue())


def _write(text: str, output_file: Path | None) -> None:
    """A rendered report, as UTF-8 whatever the locale says."""
    if output_file is None:
        typer.echo(text.encode(errors="backslashreplace"), nl=False)
    else:
        write_text(output_file, text)


def _note(text: str) -> None:
    output.stderr().print(text, soft_wrap=True, markup=False)


def _fails(found: ScanReport, fail_on: FailOn) -> bool:
    counted_ones = [finding for finding in found.findings if finding.severity in FAILING]
    if fail_on == "new":
        return any(finding.new for finding in counted_ones)
    return fail_on == "any" and bool(counted_ones)


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[OnProgress | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading files", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance
