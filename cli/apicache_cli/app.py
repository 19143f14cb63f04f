"""The root command: it finds the commands by their file names and imports only the one that runs."""

import importlib
import pkgutil
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from apicache_cli import __version__, commands


class CommandFiles(TyperGroup):
    """A group whose commands are the files of `package`, and whose groups are its folders."""

    package: ModuleType = commands

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base class's signature
        """The commands' names, from the folder's file names."""
        return sorted(module.name for module in pkgutil.iter_modules(self.package.__path__))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; only its own file is imported."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{self.package.__name__}.{cmd_name}")
        if hasattr(module, "__path__"):
            return _group(cmd_name, module)
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        # Imported with a command only: it brings in the runtime, which `--version` does without.
        guard = importlib.import_module("apicache_cli.guard")
        single.command(name=cmd_name)(guard.guarded(module.command))
        return typer.main.get_command(single)


def _group(name: str, package: ModuleType) -> Any:
    files = type("SubcommandFiles", (CommandFiles,), {"package": package})
    group = typer.Typer(
        name=name, cls=files, no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=package.__doc__
    )
    group.callback()(lambda: None)
    return typer.main.get_command(group)


app = typer.Typer(
    cls=CommandFiles, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer's callback signature
    if value:
        typer.echo(f"apicache {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """One trustworthy cache in front of a code base's external API calls: see, rewrite, warm, prove."""
