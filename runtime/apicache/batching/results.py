"""What a batched function takes and gives: which of its results is which item's."""

import contextlib
import copy
from collections.abc import Hashable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple

import msgspec

from apicache.batching.own_errors import own_error
from apicache.errors import ApicacheError, UnencodableError
from apicache.planning import IMMUTABLE
from apicache.policy import Policy
from apicache.tagged import canonical

_NOTHING: Final = object()
_HINT: Final = "return one result for each item, in their order, or a mapping from item to result"


class BatchResultError(ApicacheError):
    """A batched function returned no result for an item: `position` is its place in the batch of `size`, from 0."""

    def __init__(self, operation: str, position: int, size: int, told: str) -> None:
        super().__init__(
            f"operation {operation!r} has no result for the item at position {position} of its batch of {size}: "
            f"the function returned {told}; {_HINT}"
        )
        self.operation, self.position, self.size = operation, position, size


class BatchForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a batched function is called."""

    operation: str
    items: str
    """The function's parameter that takes the list."""
    over: str
    """The operation's parameter that takes an item."""
    index: str | None = None
    """The key or attribute of a result that tells the place of its item; None: the results come in the items' order."""


class Result(NamedTuple):
    """What one item's caller gets."""

    value: Any
    error: BaseException | None = None
    traceback: TracebackType | None = None
    size: int = 1
    """How many items the batch had."""


def failed(error: BaseException, size: int) -> list[Result]:
    """One error for all items; a copy of it for each but the first, for callers may change what they catch."""
    errors = [error, *(own_error(error) for _ in range(size - 1))]
    return [Result(None, each, error.__traceback__, size) for each in errors]


def matched(form: BatchForm, items: Sequence[Any], answer: Any) -> list[Result]:
    """Each item's own result; an error where there is none, and where an exception stands in its place."""
    found, told = _found(form, items, answer)
    handed: set[int] = set()
    size = len(items)
    return [
        _result(value, handed, size)
        if value is not _NOTHING
        else Result(None, BatchResultError(form.operation, position, size, told), size=size)
        for position, value in enumerate(found)
    ]


def _found(form: BatchForm, items: Sequence[Any], answer: Any) -> tuple[list[Any], str]:
    """A value or nothing for each item, and what the function returned, in words that tell no content."""
    size = len(items)
    if isinstance(answer, Mapping):
        return [_in_mapping(answer, item) for item in items], f"a mapping of {len(answer)}"
    is_listed = all(hasattr(answer, name) for name in ("__len__", "__iter__", "__getitem__"))  # an array is no Sequence
    if not is_listed or isinstance(answer, str | bytes | bytearray):
        return [_NOTHING] * size, f"a {type(answer).__name__}"
    results = list(answer)
    told = f"{len(results)} results"
    if form.index is not None:
        return _by_index(form.index, results, size), f"{told}, none of whose {form.index!r} is its place"
    return results if len(results) == size else [_NOTHING] * size, told


def _in_mapping(answer: Mapping[Any, Any], item: Any) -> Any:
    try:
        return answer.get(item, _NOTHING)
    except TypeError:  # an item that cannot be a key
        return _NOTHING


def _by_index(name: str, results: Sequence[Any], size: int) -> list[Any]:
    """Results by the place that each tells; a place that two of them tell has none: which is its own is not known."""
    found: list[Any] = [_NOTHING] * size
    seen: set[int] = set()
    for result in results:
        place = result.get(name) if isinstance(result, Mapping) else getattr(result, name, None)
        if type(place) is int and 0 <= place < size:
            found[place] = _NOTHING if place in seen else result
            seen.add(place)
    return found


def _result(value: Any, handed: set[int], size: int) -> Result:
    """As the function gave it; a copy of an object that is another item's too, for each caller may change its own."""
    if isinstance(value, BaseException):
        error = own_error(value) if id(value) in handed else value
        handed.add(id(value))
        return Result(None, error, value.__traceback__, size)
    if type(value) not in IMMUTABLE:
        if id(value) in handed:
            with contextlib.suppress(Exception):  # such as a database's row, which nobody can change either
                value = copy.deepcopy(value)
        handed.add(id(value))
    return Result(value, size=size)


def are_alike(one: Any, other: Any) -> bool:
    """Whether two equal items are the same for a key too. Those that have none are not: nobody can tell."""
    try:
        return canonical(one) == canonical(other)
    except (UnencodableError, OverflowError, UnicodeEncodeError):
        return False


def partition(policy: Policy) -> Hashable:
    """What keeps the calls of one owner, or of one version, out of the others' batches."""
    try:
        return canonical([policy.current_scope(), policy.namespace, policy.version])
    except Exception:  # noqa: BLE001 - of the scope's own function, or no content: no key, and nothing in common
        return object()


def separated(part: Hashable, rest: Mapping[str, Any]) -> tuple[Hashable, Mapping[str, Any]]:
    """What calls of one batch agree in, and the parameters as they are now: their owner may change them meanwhile."""
    try:
        key = (part, canonical(rest))
    except (UnencodableError, OverflowError, UnicodeEncodeError):  # a client, a connection: the same one
        return (part, *((name, id(value)) for name, value in sorted(rest.items()))), rest
    if IMMUTABLE.issuperset(map(type, rest.values())):
        return key, rest
    try:
        return key, copy.deepcopy(rest)
    except Exception:  # noqa: BLE001 - what cannot be copied, whatever it raises, is nobody else's to share
        return (object(),), rest
