"""One trustworthy cache in front of a code base's external API calls.

The functions here act on the process-wide cache, `UnifiedAPICache()`. They are loaded when first asked for (PEP 562):
the tools, which need a module or two of this package, do not load the runtime with them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apicache.process_wide import *  # noqa: F403 - its __all__ is the surface, written once
else:

    def __getattr__(name: str) -> Any:
        import importlib.machinery  # noqa: PLC0415 - with the runtime; asyncio loads it, `importlib.util` is 1 ms more

        place = globals()["__path__"]
        if importlib.machinery.PathFinder.find_spec(f"{__name__}.{name}", place):  # `from apicache import adapters`
            raise AttributeError(name)
        process_wide = importlib.import_module("apicache.process_wide")
        if name not in process_wide.__all__ and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(process_wide, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
