import asyncio
import contextlib
import os
import warnings
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple
from unittest import mock

from hypothesis import strategies as st

from adapter_drivers import _wire
from adapter_drivers._driver import Call, Driver, Variant

SECRET = "li-planted-77c2d9"
CHAT = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
MODELS = st.sampled_from(["openai/gpt-4o", "mistral/m-1"])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.sampled_from(["a", "b", ""])}),
    min_size=1,
    max_size=2,
)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "extra_headers": st.sampled_from([{"X-Tenant": "a"}, {"X-Tenant": "b"}, {"Authorization": "Bearer b"}]),
    "api_key": st.sampled_from(["a", "b"]),
    "never_heard_of": st.sampled_from([1, True, 1.0]),
}


class _Bound(NamedTuple):
    """The library, with the arguments that stand in for a client's settings."""

    library: ModuleType
    given: dict[str, Any]


def _loaded() -> ModuleType:
    """litellm, loaded when the first of its tests runs: it takes seconds. It shall not ask the network for prices."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    return litellm


class _LiteLLMDriver(Driver):
    variants = (
        {},
        {"base": "/other"},
        {"given": {"api_key": SECRET}},
        {"given": {"api_key": None}, "module": {"api_key": SECRET}},
        {"given": {"api_key": None}, "environment": {"OPENAI_API_KEY": SECRET}},
        {"environment": {"OPENAI_ORGANIZATION": "o"}},
        {"module": {"drop_params": True}},
        {"module": {"organization": "o"}},
        {"module": {"headers": {"X-Tenant": "a"}}},
        {"module": {"model_alias_map": {"openai/gpt-4o": "openai/gpt-4o-mini"}}},
        {"config": {"max_tokens": 5}},
    )
    failing: Variant = MappingProxyType({"base": "/status/400"})
    prefix = ""
    secret = SECRET
    ignored = ({"timeout": 3}, {"num_retries": 0}, {"temperature": None})
    arguments: Any

    @property
    def examples(self) -> list[Call]:
        return [
            (f"{self.prefix}completion", (), CHAT),
            (f"{self.prefix}embedding", (), {"model": "openai/e-1", "input": ["a"]}),
            (f"{self.prefix}text_completion", (), {"model": "openai/gpt-4o", "prompt": "a"}),
            (f"{self.prefix}responses", (), {"model": "openai/gpt-4o", "input": "a"}),
        ]

    @property
    def refused(self) -> list[Call]:
        return [
            (f"{self.prefix}completion", (), {**CHAT, "model": "xai/m-1"}),
            (f"{self.prefix}completion", (), {**CHAT, "store": True}),
        ]

    def document(self, path: str, body: bytes, count: int) -> Any:
        return _wire.openai(path, body, count)

    @contextlib.contextmanager
    def bound(self, api: Any, variant: Variant) -> Iterator[_Bound]:
        _wire.without_time(api)
        library = _loaded()
        own = {"api_key": "k", **variant.get("given", {})}
        given = {"api_base": f"{api.url}{variant.get('base', '')}/v1", "max_retries": 0, **own}
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # the library, and pydantic at its models, warn of what is not ours
            stack.enter_context(mock.patch.dict(os.environ, variant.get("environment", {})))
            stack.enter_context(mock.patch.object(library, "suppress_debug_info", new=True))
            for name, value in variant.get("module", {}).items():
                stack.enter_context(mock.patch.object(library, name, value))
            for name, value in variant.get("config", {}).items():
                stack.enter_context(mock.patch.object(library.OpenAIConfig, name, value))
            yield _Bound(library, given)

    def call(self, client: Any, method: str, args: tuple[Any, ...], kwargs: Any) -> Any:
        return getattr(client.library, method), args, {**client.given, **kwargs}

    def same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and _told(one) == _told(other)


def _told(answer: Any) -> Any:
    """What a caller reads of an answer; of what litellm tells of the call, all but its time and its number."""
    if not hasattr(answer, "model_dump"):
        return type(answer)
    hidden = answer._hidden_params if isinstance(answer._hidden_params, dict) else answer._hidden_params.model_dump()
    own = {"_response_ms", "litellm_overhead_time_ms", "litellm_call_id", "callback_duration_ms"}
    told = {name: value for name, value in hidden.items() if name not in own}
    return (answer.model_dump(), answer.model_fields_set, told, getattr(answer, "_response_headers", None))


def _close_clients(library: Any) -> None:
    """Close what litellm keeps for later calls."""
    kept = library.in_memory_llm_clients_cache
    for client in kept.cache_dict.values():
        client.close()
    kept.flush_cache()


def _drawn(prefix: str) -> st.SearchStrategy[Call]:
    return st.one_of(
        st.tuples(
            st.just(f"{prefix}completion"),
            st.just(()),
            st.fixed_dictionaries(
                {"model": MODELS, "messages": MESSAGES},
                optional={"temperature": st.sampled_from([0, 0.5, 1, 1.0]), "seed": st.sampled_from([1, 2]), **COMMON},
            ),
        ),
        st.tuples(
            st.just(f"{prefix}embedding"),
            st.just(()),
            st.fixed_dictionaries(
                {"model": MODELS, "input": st.sampled_from(["a", ["a"], ["a", "b"]])},
                optional={"dimensions": st.sampled_from([8, 16]), **COMMON},
            ),
        ),
        st.tuples(
            st.just(f"{prefix}responses"),
            st.just(()),
            st.fixed_dictionaries({"model": MODELS, "input": st.sampled_from(["a", "b"])}, optional=COMMON),
        ),
    )


class _Sync(_LiteLLMDriver):
    name = "litellm-sync"
    arguments = _drawn("")

    @contextlib.contextmanager
    def open(self, api: Any, variant: Variant) -> Iterator[_Bound]:
        with asyncio.Runner() as runner, self.bound(api, variant) as bound:
            # The library asks for the thread's event loop, and leaves behind the one that it is made for that.
            asyncio.set_event_loop(runner.get_loop())
            try:
                yield bound
            finally:
                _close_clients(bound.library)
                asyncio.set_event_loop(None)


class _Async(_LiteLLMDriver):
    name = "litellm-async"
    is_async = True
    prefix = "a"
    arguments = _drawn("a")

    @contextlib.asynccontextmanager
    async def open(self, api: Any, variant: Variant) -> AsyncIterator[_Bound]:
        with self.bound(api, variant) as bound:
            try:
                yield bound
            finally:
                await _close_async_clients(bound.library)


async def _close_async_clients(library: Any) -> None:
    """Close what litellm keeps for later calls, and end the tasks by which it logs: it closes neither with the loop."""
    await _end_tasks()  # they may open one more
    await library.close_litellm_async_clients()
    kept = library.in_memory_llm_clients_cache
    for client in [*kept.cache_dict.values(), library.module_level_aclient]:
        await client.close()
    kept.flush_cache()
    await _end_tasks()  # some are closed by tasks of their own


async def _end_tasks() -> None:
    """Wait for the tasks that end, and cancel the one that does not: the library's worker that logs."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    worker = {task for task in others if getattr(task.get_coro(), "__name__", "") == "_worker_loop"}
    await asyncio.gather(*(others - worker), return_exceptions=True)
    for task in worker:
        task.cancel()
    await asyncio.gather(*worker, return_exceptions=True)


DRIVERS: list[Driver] = [_Sync(), _Async()]
