from typing import Any

import pytest

from apicache.chain.routing import PROBE_SHARE, PROVIDER_CHAIN, APIProvider, Candidate, estimated, order
from apicache.provider import Tokens


def candidates(*given: tuple[str, dict[str, Any]]) -> list[Candidate]:
    return [Candidate(name=name, **known) for name, known in given]


THREE = candidates(
    ("a", {"cost": 3.0, "latency": 2.0}),
    ("b", {"cost": 1.0, "latency": 1.0}),
    ("c", {"cost": 2.0, "latency": 0.5}),
    ("mock", {"is_local": True}),
)


def test_the_source_documents_chain_is_the_default() -> None:
    assert PROVIDER_CHAIN == [APIProvider.ANTHROPIC, APIProvider.OPENAI, APIProvider.MOCK]
    assert PROVIDER_CHAIN == ["anthropic", "openai", "mock"]


@pytest.mark.parametrize(
    ("routing", "expected"),
    [("chain", "a b c mock"), ("cheapest", "b c a mock"), ("fastest", "c b a mock")],
)
def test_the_order_is_the_routings(routing: Any, expected: str) -> None:
    assert order(THREE, routing) == expected.split()


@pytest.mark.parametrize("routing", ["chain", "cheapest", "fastest"])
def test_who_is_not_ready_is_left_out_unless_nobody_is(routing: Any) -> None:
    given = candidates(("a", {"is_ready": False}), ("b", {}), ("mock", {"is_ready": False, "is_local": True}))
    assert order(given, routing) == ["b"]
    nobody = candidates(("a", {"is_ready": False}), ("b", {"is_ready": False}))
    assert order(nobody, routing) == ["a", "b"]


def test_a_local_provider_comes_last_wherever_it_is_configured() -> None:
    assert order(candidates(("mock", {"is_local": True}), ("a", {}))) == ["a", "mock"]


def test_what_has_no_known_price_or_latency_comes_after_what_has() -> None:
    given = candidates(("a", {}), ("b", {"cost": 5.0, "latency": 5.0}))
    assert order(given, "cheapest") == order(given, "fastest") == ["b", "a"]


def test_equal_prices_and_nearly_equal_latencies_keep_the_configured_order() -> None:
    given = candidates(("a", {"cost": 1.0, "latency": 1.2}), ("b", {"cost": 1.0, "latency": 1.0}))
    assert order(given, "cheapest") == order(given, "fastest") == ["a", "b"]


@pytest.mark.parametrize(
    ("draw", "first"),
    [(0.0, "b"), (PROBE_SHARE * 0.49, "b"), (PROBE_SHARE * 0.51, "a"), (PROBE_SHARE, "c"), (0.999, "c")],
)
def test_the_others_are_seldom_probed_by_fastest(draw: float, first: str) -> None:
    found = order(THREE, "fastest", draw)
    assert found[0] == first
    assert sorted(found) == ["a", "b", "c", "mock"]


def test_a_single_provider_is_never_probed_instead_of_itself() -> None:
    assert order(candidates(("a", {"latency": 1.0})), "fastest", 0.0) == ["a"]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"prompt": "x" * 40}, Tokens(input=10, output=500)),
        ({"prompt": "x" * 40, "max_tokens": 7}, Tokens(input=10, output=7)),
        ({"messages": [{"role": "user", "content": "x" * 36}]}, Tokens(input=10, output=500)),
        ({}, Tokens(output=500)),
    ],
)
def test_a_call_is_estimated_by_its_texts(parameters: dict[str, Any], expected: Tokens) -> None:
    assert estimated(parameters) == expected
