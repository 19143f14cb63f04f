"""Embeddings of single texts, asked for together: calls that are made at the same time become one request.

By the machinery of `@batched`. Each text is a call of its own, with its own key, flight, price and error.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from apicache.batching.collectors import BatchedLoad, Batching
from apicache.batching.results import BatchForm, partition
from apicache.chain.asking import Providers
from apicache.chain.readiness import UncarriedError
from apicache.policy import Policy
from apicache.provider import ProviderCall, ProviderError

_CONCURRENCY: Final = 16
"""Requests at a time of one provider, in an event loop: as many as `cached_api_calls` has calls."""


def load_of(providers: Providers, policy: Policy, asking: tuple[str, ProviderCall, Sequence[str], int]) -> BatchedLoad:
    """The load of a call of `embedding` by a provider whose requests carry several texts; for async code.

    `asking` are the arguments of `Providers.ask`.
    """
    name, call, others, made = asking
    batching = providers.batches.get(name)
    if batching is None:
        form = BatchForm(operation=call.operation, items="texts", over="text")
        ask = functools.partial(_ask_all, providers, name)
        size = providers.batch_size(name)
        made_now = Batching(ask, form, batch_size=size, max_wait=0.0, concurrency=_CONCURRENCY)
        batching = providers.batches.setdefault(name, made_now)
    options = {option: value for option, value in call.parameters.items() if option != "text"}
    rest = {"model": call.model, "options": options, "others": list(others), "made": made}
    return BatchedLoad(batching, partition(policy), call.parameters["text"], rest)


async def _ask_all(
    providers: Providers,
    name: str,
    *,
    texts: Sequence[Any],
    model: str,
    options: Mapping[str, Any],
    others: Sequence[str],
    made: int,
) -> list[Any]:
    """An Embedding for each text, or an error; raises what concerns none of them in particular.

    A request that is refused as it is (one text may be too long, or all together) is made again in halves, and what
    the provider has left out is asked for again. So no text fares worse than it would alone.
    """
    given = {"text": texts[0]} if len(texts) == 1 else {"texts": list(texts)}
    call = ProviderCall(operation="embedding", parameters={**options, **given}, model=model)
    again = functools.partial(_ask_all, providers, name, model=model, options=options, others=others, made=made)
    try:
        found = await providers.ask(name, call, others, made)
    except (ProviderError, UncarriedError) as error:
        is_refused = isinstance(error, UncarriedError) or error.kind == "bad_request"
        if is_refused and len(texts) > 1:
            half = len(texts) // 2
            return [*await again(texts=texts[:half]), *await again(texts=texts[half:])]
        return [error] * len(texts)
    if len(texts) == 1:
        return [found]
    left_out = [place for place, each in enumerate(found) if isinstance(each, ProviderError)]
    if left_out:
        more = await again(texts=[texts[place] for place in left_out])
        for place, each in zip(left_out, more, strict=True):
            found[place] = each
    return list(found)
