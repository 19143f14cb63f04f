"""Find and import the application whose cache is warmed."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from apicache import UnifiedAPICache
from apicache.errors import InputError
from apicache.settings import project_file, project_table
from apicache_scenarios.format.problems import suggestion

EXAMPLE = "app.api_operations:api_cache"


def load_application(reference: str | None, directory: Path) -> UnifiedAPICache:
    """The cache that `module:attribute` names, imported with `directory` first on the import path.

    Without a reference, `app` of `[tool.apicache]` in the nearest pyproject.toml at or above `directory` is taken; that
    file's folder is importable too. Raises InputError when there is none, when the import fails (with its cause),
    or when the attribute is not a cache.
    """
    origin = "--app"
    if reference is None:
        file = project_file(directory)
        configured = project_table(file).get("app")
        if file is None or configured is None:
            raise InputError(
                f"no application given: add --app MODULE:ATTRIBUTE (such as {EXAMPLE}), "
                f'or app = "{EXAMPLE}" under [tool.apicache] in pyproject.toml'
            )
        if not isinstance(configured, str):
            raise InputError(f'{file}: app is {configured!r}; expected a text such as "{EXAMPLE}"')
        reference, origin = configured, str(file)
        _make_importable(file.parent)
    _make_importable(directory)
    module_name, _, attribute = reference.partition(":")
    if not (attribute and all(part.isidentifier() for part in module_name.split("."))):
        raise InputError(f"{origin} {reference!r}; expected MODULE:ATTRIBUTE, such as {EXAMPLE}{_as_module(reference)}")
    return _cache_in(_imported(module_name, directory), attribute)


def _make_importable(folder: Path) -> None:
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))


def _as_module(reference: str) -> str:
    """A file path, the usual slip, as the module it probably is."""
    path, _, attribute = reference.partition(":")
    if "/" not in path and not path.endswith(".py"):
        return ""
    module = path.removesuffix(".py").strip("./").replace("/", ".")
    return f"; did you mean '{module}:{attribute or 'api_cache'}'?"


def _imported(module_name: str, directory: Path) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(f"{missing}."):
            raise InputError(_import_failure(module_name, directory, error)) from error
        here = [path.stem for path in directory.glob("*") if path.suffix == ".py" or (path / "__init__.py").is_file()]
        known = suggestion(missing, here) if "." not in missing else ""
        raise InputError(f"no module {missing!r} for --app {module_name}, seen from {directory}{known}") from error
    except (Exception, SystemExit) as error:  # importing runs the application's own code, which may raise anything
        raise InputError(_import_failure(module_name, directory, error)) from error


def _import_failure(module_name: str, directory: Path, error: BaseException) -> str:
    """What the application's module raised, and the last of its own lines that led there."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(directory)]
    place = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    cause = "".join(traceback.format_exception_only(error)).strip()
    return f"importing {module_name!r} failed{place}: {cause}"


def _cache_in(module: ModuleType, attribute: str) -> UnifiedAPICache:
    found: object = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            caches = [known for known, value in vars(module).items() if isinstance(value, UnifiedAPICache)]
            hint = (
                suggestion(name, caches) or "; it holds no UnifiedAPICache: name the module that registers operations"
            )
            raise InputError(f"module {module.__name__!r} has no attribute {name!r}{hint}")
        found = getattr(found, name)
    if not isinstance(found, UnifiedAPICache):
        given = f"{module.__name__}:{attribute}"
        raise InputError(f"{given} is a {type(found).__name__}; expected a UnifiedAPICache, such as api_cache")
    return found
