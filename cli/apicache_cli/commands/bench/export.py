"""`apicache bench export`: a scenario file's benchmark for a tool that spreads it over machines."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from apicache.errors import InputError
from apicache_cli import output
from apicache_cli.bench_reports import write


def command(
    *,
    file: Annotated[Path, typer.Argument(help="Scenario file (YAML).")],
    tool: Annotated[str, typer.Option("--to", metavar="TOOL", help="Whom to hand it to: locust.")],
    app: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:ATTRIBUTE", help="The application's cache; else `app` of [tool.apicache] in pyproject.toml."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--output", metavar="PATH", help="The file to write; by default locustfile.py here.")
    ] = None,
) -> None:
    """Write a locustfile whose workers call through apicache, and whose master merges their histograms.

    A file that another hand wrote is not overwritten. Makes no call; exits 2 for what is wrong with FILE.
    """
    from apicache_scenarios import exporting  # noqa: PLC0415 - not for `--help`
    from apicache_scenarios.application import load_application  # noqa: PLC0415 - as above
    from apicache_scenarios.load.scenario_run import plan_of_file  # noqa: PLC0415 - as above
    from apicache_scenarios.load.settings import FileSettings  # noqa: PLC0415 - as above

    target = (to or Path(exporting.default_target(tool))).absolute()
    if target.exists() and not target.read_text(encoding="utf-8", errors="replace").startswith(exporting.mark(tool)):
        raise InputError(f"{target} is there and was not written by this command; give another --output")
    with contextlib.redirect_stdout(sys.stderr):  # the application may print while it is imported
        cache = load_application(app, Path.cwd())
        plan = plan_of_file(FileSettings(path=file, application=app, working_directory=Path.cwd()), cache)
    asked = exporting.Asked(
        scenarios=file.absolute(), application=app, working_directory=Path.cwd(), target=target, plan=plan
    )
    write(target, exporting.exported(tool, asked))
    output.stdout().print(f"wrote {target.name}; type: locust -f {target.name} --help", markup=False, soft_wrap=True)
