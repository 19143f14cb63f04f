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
        return _files_of(self.package)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; only its own file is imported."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = self._module(cmd_name)
        if hasattr(module, "__path__") and not hasattr(module, "command"):
            return _group(cmd_name, module)
        return _single(cmd_name, module)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with, and what is left of them.

        A folder that is a command itself (`command` in its `__init__`) is a group where the next argument names one of
        its files: `apicache bench` and `apicache bench compare`.
        """
        if len(args) > 1 and args[0] in self.list_commands(ctx):
            module = self._module(args[0])
            if args[1] in _files_of(module):
                return args[0], _group(args[0], module), args[1:]
        return super().resolve_command(ctx, args)

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.package.__name__}.{name}")


def _files_of(package: ModuleType) -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(getattr(package, "__path__", ())))


def _single(name: str, module: ModuleType) -> Any:
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    # Imported with a command only: it brings in the runtime, which `--version` does without.
    guard = importlib.import_module("apicache_cli.guard")
    below = _files_of(module)
    epilog = f"More: apicache {name} {', '.join(below)}; see each one's --help." if below else None
    single.command(name=name, epilog=epilog)(guard.guarded(module.command))
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
