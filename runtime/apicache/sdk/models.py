"""Pydantic models that SDKs answer with, as plain data and back.

A model is stored field by field, so that what differs in each answer (an id, how long it took) can be told from the
answer. The fields' values are stored as `apicache.records` does: by the state that pydantic itself pickles, for classes
of the library's own modules only.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from apicache.adapter import Snapshot
from apicache.records import RecordTypes

_NOTHING: Final[frozenset[str]] = frozenset()


class ModelStore:
    """The `snapshot` and `replay` of an adapter whose answers are pydantic models."""

    def __init__(
        self,
        kinds: Mapping[Any, Callable[[Any], str | None]],
        *,
        modules: tuple[str, ...],
        volatile: frozenset[str] = _NOTHING,
    ) -> None:
        """`kinds` are the answers' classes, each with what tells why one must not be stored.

        Classes of `modules`, and of what lies under them, may stand in an answer. Fields that are `volatile` do not
        count when two answers are compared.
        """
        self._kinds = kinds
        self._named = {kind.__name__: kind for kind in kinds}
        self._records = RecordTypes((), modules)
        self._volatile = volatile

    def snapshot(self, response: Any) -> Snapshot | None:
        """The model's state; None for any other object."""
        refusal = self._kinds.get(type(response))
        if refusal is None:
            return None
        return Snapshot(data=self.taken_apart(response), refusal=refusal(response), lifetime=None)

    def taken_apart(self, model: Any) -> dict[str, Any]:
        """The plain data of a model; raises UnencodableError for what would not come back exactly."""
        kind = type(model)
        state = vars(model)
        names = [name for name in state if name in kind.__pydantic_fields__]
        rest = {name: value for name, value in state.items() if name not in kind.__pydantic_fields__}
        encode = self._records.encode
        fields = {name: encode(state[name]) for name in names}
        return {
            "model": kind.__name__,
            "fields": {name: data for name, data in fields.items() if name not in self._volatile},
            "volatile": {name: data for name, data in fields.items() if name in self._volatile},
            "order": names,
            "shell": encode(_shell(kind, model, rest)),
        }

    def replay(self, data: Any, context: Any) -> Any:  # noqa: ARG002 - the adapter's shape
        """A new model of the same class in the same state."""
        decode = self._records.decode
        fields = {**data["fields"], **data["volatile"]}
        shell = decode(data["shell"])
        if type(shell) is not self._named[data["model"]]:
            raise ValueError(f"a stored {data['model']} whose class is another")
        own = vars(shell)
        rest = dict(own)
        own.clear()
        own.update({name: decode(fields[name]) for name in data["order"]})
        own.update(rest)
        return shell


def _shell(kind: Any, model: Any, rest: dict[str, Any]) -> Any:
    """The model without its fields."""
    shell = object.__new__(kind)
    shell.__setstate__(
        {
            "__dict__": rest,
            "__pydantic_fields_set__": model.__pydantic_fields_set__,
            "__pydantic_extra__": model.__pydantic_extra__,
            "__pydantic_private__": model.__pydantic_private__,
        }
    )
    return shell
