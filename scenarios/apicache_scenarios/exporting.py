"""Benchmarks for other tools: one file in `exports/` each; nothing lists them.

A file has `written(asked) -> str`, and the constants `DEFAULT_TARGET` and `MARK`.
"""

import importlib
import pkgutil
from pathlib import Path

import msgspec

from apicache.errors import InputError, did_you_mean
from apicache_scenarios import exports
from apicache_scenarios.load.plan import RunPlan


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is handed over: a scenario file's benchmark. Paths are absolute; `application` as in `load_application`."""

    scenarios: Path
    application: str | None
    working_directory: Path
    target: Path
    """The file to be written."""
    plan: RunPlan


def known() -> tuple[str, ...]:
    """The names of the tools, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(exports.__path__)))


def exported(tool: str, asked: Asked) -> str:
    """The text of the file for a tool. Raises InputError for an unknown one."""
    check(tool)
    written: str = importlib.import_module(f"{exports.__name__}.{tool}").written(asked)
    return written


def check(tool: str) -> None:
    """Raise InputError for an unknown tool."""
    if tool not in known():
        raise InputError(
            f"unknown tool {tool!r}; {did_you_mean(tool, known())} Give --to with one of: {', '.join(known())}"
        )


def default_target(tool: str) -> str:
    """The usual name of the tool's file. Raises InputError for an unknown one."""
    check(tool)
    name: str = importlib.import_module(f"{exports.__name__}.{tool}").DEFAULT_TARGET
    return name


def mark(tool: str) -> str:
    """How a file that was written for a tool begins: what begins otherwise is not overwritten."""
    found: str = importlib.import_module(f"{exports.__name__}.{tool}").MARK
    return found
