"""What is done around a fork, and when the interpreter ends, for objects that may be gone by then.

Bound methods are held weakly and leave with their objects; the interpreter, which forgets no hook, is given one for
each moment. There is no lock: adding to a dict, copying it and taking from it are each one step, so that a fork at any
moment leaves the child whole hooks and nothing to wait for.
"""

import atexit
import functools
import itertools
import os
import weakref
from collections.abc import Callable
from typing import Any, Final


class _Hooks:
    """The bound methods of one moment, with their arguments, in the order in which they were added."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._hooks: dict[int, tuple[weakref.ref[Any], Callable[..., object], tuple[Any, ...]]] = {}

    def add(self, method: Any, *arguments: Any) -> bool:
        """Whether it is the first one ever."""
        number = next(self._numbers)
        # Not a WeakMethod: the interpreter's end finds those half gone, and reports them.
        owner = weakref.ref(method.__self__, lambda _gone: self._hooks.pop(number, None))
        self._hooks[number] = (owner, method.__func__, arguments)
        return number == 0

    def run(self, *, latest_first: bool = False) -> None:
        """Call each whose object lives, whatever the others raise; raises that as a group."""
        hooks = list(self._hooks.copy().values())
        errors: list[BaseException] = []
        for reference, function, arguments in reversed(hooks) if latest_first else hooks:
            owner = reference()
            if owner is None:
                continue
            try:
                function(owner, *arguments)
            except BaseException as error:  # noqa: BLE001 - the interpreter reports it; the others have their locks to renew
                errors.append(error)
        if errors:
            raise BaseExceptionGroup("hooks of a cache failed", errors)


_before: Final = _Hooks()
_in_parent: Final = _Hooks()
_in_child: Final = _Hooks()
_at_exit: Final = _Hooks()


def on_fork(
    in_child: Callable[[], object],
    *,
    before: Callable[[], object] | None = None,
    in_parent: Callable[[], object] | None = None,
) -> None:
    """Have bound methods called around every fork of this process: those before it in reverse order, as `os` does."""
    for hooks, method in ((_in_child, in_child), (_before, before), (_in_parent, in_parent)):
        if method is not None:
            hooks.add(method)


def on_exit(method: Callable[..., object], *arguments: Any) -> None:
    """Have a bound method called when the interpreter ends, the latest first, as `atexit` does."""
    if _at_exit.add(method, *arguments):  # not at import: what is to come before it has registered itself by now
        atexit.register(_at_exit.run, latest_first=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=functools.partial(_before.run, latest_first=True),
        after_in_parent=_in_parent.run,
        after_in_child=_in_child.run,
    )
