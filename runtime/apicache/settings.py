"""Where the cache lives and whether it is on: environment, then `[tool.apicache]`, then defaults."""

import hashlib
import logging
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import platformdirs

from apicache.errors import InputError, did_you_mean
from apicache.modes import MODES, Mode

_log = logging.getLogger("apicache")


def project_file(start: Path) -> Path | None:
    """The nearest `pyproject.toml` in `start` or above it."""
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            return file
    return None


def project_table(file: Path | None) -> Mapping[str, Any]:
    """The `[tool.apicache]` table of a project file, empty without one; raises InputError if it cannot be read."""
    if file is None:
        return {}
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    tools = document.get("tool", {})
    table = tools.get("apicache", {}) if isinstance(tools, dict) else None
    if not isinstance(table, dict):
        raise InputError(f"{file}: [tool.apicache] is not a table")
    return table


def _table_for_calls() -> tuple[Path | None, Mapping[str, Any]]:
    """As `project_table`, but a broken file is reported and passed over: it must not make a call fail."""
    try:
        file = project_file(Path.cwd())
        return file, project_table(file)
    except (InputError, OSError) as error:
        _log.warning("configuration passed over: %s", error)
        return None, {}


def cache_directory() -> Path:
    """The disk tier's folder.

    `APICACHE_DIR`, else the configured `dir` or `.apicache/` beside the project file, else the user's cache folder.
    """
    given = os.environ.get("APICACHE_DIR")
    if given:
        return Path(given).expanduser()
    file, table = _table_for_calls()
    if file is not None:
        return file.parent / Path(str(table.get("dir", ".apicache"))).expanduser()
    # One folder for each working directory: programs that share no project must not share answers.
    place = hashlib.sha256(os.fsencode(Path.cwd())).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("apicache")) / place


def mode() -> Mode:
    """`APICACHE`, else the configured `mode`, else off inside a pytest run and on elsewhere.

    A word that is not known switches the cache off and says so: the safe side of a typing mistake.
    """
    given = os.environ.get("APICACHE") or _table_for_calls()[1].get("mode")
    if given is None:
        # Both: the variables reach child processes, the module may be imported outside a run.
        named = "PYTEST_VERSION" in os.environ or "PYTEST_CURRENT_TEST" in os.environ
        under_pytest = named and "pytest" in sys.modules
        return "off" if under_pytest else "on"
    if given in MODES:
        return cast("Mode", given)
    _log.warning("mode %r is not known, the cache is off; %s", given, did_you_mean(str(given), MODES))
    return "off"
