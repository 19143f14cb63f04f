"""What the RAG service is made of: queries, results, and what is injected."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from apicache import identity
from apicache.errors import InputError


class RAGQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One query, and everything that its answer depends on."""

    query_text: str
    operation: str = "query"
    parameters: Mapping[str, Any] = {}
    top_k: int = 5
    filters: Mapping[str, Any] = {}


class RAGResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one query."""

    success: bool
    documents: list[Any] = []
    answer: Any = None
    error: str | None = None
    """What failed: the kind (`timeout`, or an exception's class), never the exception's text, which may hold anything.
    The logger `apicache` tells that, without credentials, as a warning."""
    from_cache: bool = False
    seconds: float = 0.0
    """Wall time that this answer took."""
    metadata: dict[str, Any] = {}


class BatchedRAGRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Queries about one profile; raises InputError for a bound that admits none."""

    profile_id: int | str
    queries: Sequence[RAGQuery]
    batch_size: int = 50
    """Queries that are begun before the ones after them."""
    max_concurrency: int = 10
    """Queries under way at a time."""
    timeout: float | None = 30.0
    """Seconds that each query may take; None: no limit."""

    def __post_init__(self) -> None:
        for name, bound in (("batch_size", self.batch_size), ("max_concurrency", self.max_concurrency)):
            if bound < 1:
                raise InputError(f"{name}={bound} is not at least 1")
        if self.timeout is not None and self.timeout <= 0:
            raise InputError(f"timeout={self.timeout} is no time at all; give seconds, or None for no limit")


class IRAGQueryExecutor(ABC):
    """Answers queries."""

    @property
    def namespace(self) -> str:
        """What sets its answers apart from other executors' in a cache that they share: its class, here.

        Executors of one class that answer differently (from two indexes) each need another one.
        """
        return f"{type(self).__module__}.{type(self).__qualname__}"

    @abstractmethod
    async def execute_query(self, profile_id: int | str, query: RAGQuery) -> RAGResult:
        """The query's result; what it raises becomes a failed one."""


class IRAGCache(ABC):
    """Keeps results by key: see `rag_key`."""

    @abstractmethod
    async def get(self, key: str) -> RAGResult | None:
        """The result, the caller's own copy; None for none."""

    @abstractmethod
    async def set(self, key: str, result: RAGResult) -> None:
        """Keep a result, in the place of an older one."""


class IRAGMetrics(ABC):
    """Counts what the service does; is told kinds and lengths, never contents."""

    @abstractmethod
    def record_query(self, seconds: float, *, from_cache: bool, error: str | None) -> None:
        """A query was answered, or failed with an error of that kind."""

    @abstractmethod
    def record_batch(self, queries: int, distinct: int, seconds: float) -> None:
        """A batch ended, of so many queries, so many of them distinct."""

    @abstractmethod
    def record_cache_error(self, kind: str) -> None:
        """The cache failed, or took too long, and was gone without."""


def rag_key(namespace: str, profile_id: int | str, query: RAGQuery) -> str | None:
    """64 hexadecimal digits, of an executor's namespace, the profile and everything in the query.

    None when something in the query has no content to compare.
    """
    parameters = [query.query_text, query.parameters, query.top_k, query.filters]
    try:
        key = identity.key_of(
            operation=query.operation,
            version="1",
            namespace=namespace,
            scope=profile_id,
            credentials=None,
            parameters=parameters,
        )
    except Exception:  # noqa: BLE001 - a parameter may be any object: the query is then executed each time
        return None
    return key.hex()
