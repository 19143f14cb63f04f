"""Copies of an exception, for callers that each raise it: a raise lengthens its traceback, a handler may add notes."""

import contextlib
import copy
from types import WrapperDescriptorType


def own_error(error: BaseException) -> BaseException:
    """Another exception of the same type, arguments, attributes, cause and context; the same one for want of it."""
    with contextlib.suppress(Exception):  # whatever its class raises when it is built or read
        copied = _copied(error)
        if type(copied) is type(error) and copied.args == error.args and str(copied) == str(error):
            copied.__cause__, copied.__context__ = error.__cause__, error.__context__
            copied.__suppress_context__ = error.__suppress_context__
            return copied.with_traceback(error.__traceback__)
    return error


def _copied(error: BaseException) -> BaseException:
    kind = type(error)
    if isinstance(kind.__init__, WrapperDescriptorType):  # written in C, as OSError's: its state is in no `__dict__`
        return copy.copy(error)
    copied = kind.__new__(kind, *error.args)  # its own `__init__` may take other arguments, or do more than that
    vars(copied).update(vars(error))
    return copied
