"""A benchmark's result in the form that is asked for, printed or written to a file."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from apicache.errors import InputError
from apicache_cli import __version__, output

if TYPE_CHECKING:
    from apicache_scenarios.load.result import BenchResult

TEXT = "text"


class Form:
    """How a result is shown. Bad names, prices and rates raise InputError at once, before a run."""

    def __init__(self, name: str, *, to: Path | None, price_per_call: float | None, rate: float | None) -> None:
        """`to` is a file in place of stdout, `price_per_call` in US dollars, `rate` in requests a second."""
        from apicache_scenarios.reporting import formats  # noqa: PLC0415 - not for `--help`
        from apicache_scenarios.reporting.costs import Pricing  # noqa: PLC0415 - as above

        formats.check(name, (TEXT,))
        if to is not None and not to.absolute().parent.is_dir():
            raise InputError(f"--output {to} cannot be written: no folder {to.absolute().parent}")
        self._name, self._to = name, to
        self._pricing: Pricing = Pricing(per_call=price_per_call, rate=rate)

    def show(self, result: "BenchResult") -> None:
        """Print the result, or write it whole into the file."""
        if self._name == TEXT:
            self._show_text(result)
            return
        from apicache_scenarios.reporting import formats  # noqa: PLC0415 - as above
        from apicache_scenarios.reporting.report import report_of  # noqa: PLC0415 - as above

        rendered = formats.render(self._name, report_of(result, __version__, self._pricing))
        if self._to is None:
            typer.echo(rendered, nl=False)
        else:
            write(self._to, rendered)

    def _show_text(self, result: "BenchResult") -> None:
        if self._to is None:
            self._print(output.stdout(), result)
            return
        text = io.StringIO()
        self._print(Console(file=text, highlight=False, width=120), result)
        write(self._to, text.getvalue())

    def _print(self, console: Console, result: "BenchResult") -> None:
        from apicache_cli.bench_text import print_result  # noqa: PLC0415 - as above
        from apicache_scenarios.reporting.report import report_of  # noqa: PLC0415 - as above
        from apicache_scenarios.reporting.words import cost_lines  # noqa: PLC0415 - as above

        print_result(console, result)
        report = report_of(result, __version__, self._pricing)
        lines = [*cost_lines(report.cost)]
        for line in (*lines, *(report.cost.assumptions if lines else ())):
            console.print(line, markup=False)
        for sentence in () if report.miss_ratio is None else report.miss_ratio.sentences:
            console.print(sentence, markup=False)


def write(path: Path, text: str, option: str = "--output") -> None:
    """Write a file whole, or leave what there was; raises InputError where it cannot be written."""
    partial = path.with_name(f"{path.name}.part")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{option} {path} cannot be written: {error.strerror}") from error


def read_saved(path: Path) -> "BenchResult":
    """A result that `apicache bench --save` wrote; raises InputError for anything else."""
    import msgspec  # noqa: PLC0415 - as above

    from apicache_scenarios.load.result import load  # noqa: PLC0415 - as above

    try:
        return load(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; apicache bench --save {path} writes it") from error
    except msgspec.DecodeError as error:
        raise InputError(f"{path} is no result of apicache bench --save: {error}") from error
