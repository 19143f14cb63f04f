import pytest

from apicache.chain.prices import Price, PriceTable, price_from, provider_of, shipped
from apicache.errors import InputError
from apicache.provider import Tokens
from apicache.providers import named

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (Tokens(), 0.0),
        (Tokens(input=MILLION), 2.0),
        (Tokens(output=MILLION), 10.0),
        (Tokens(input=MILLION, cached=MILLION), 0.2),
        (Tokens(input=MILLION, cache_writes=MILLION), 2.5),
        (Tokens(input=MILLION, cached=400_000, cache_writes=100_000, output=200_000), 1.0 + 0.08 + 0.25 + 2.0),
        (Tokens(input=10, cached=20, cache_writes=5), 10 * 0.2 / MILLION),
        (Tokens(input=10, cached=4, cache_writes=20), (4 * 0.2 + 6 * 2.5) / MILLION),
    ],
)
def test_each_token_is_counted_once_at_its_own_price(tokens: Tokens, expected: float) -> None:
    price = Price(input=2, cached_input=0.2, cache_write=2.5, output=10)
    assert price.of(tokens) == pytest.approx(expected)


def test_what_has_no_price_of_its_own_costs_what_plain_input_costs() -> None:
    price = Price(input=2)
    assert price.of(Tokens(input=MILLION, cached=500_000, cache_writes=500_000, output=7)) == 2.0


@pytest.mark.parametrize(
    ("model", "same_as"),
    [
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-2024-11-20", "gpt-4o"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("gpt-5-latest", "gpt-5"),
    ],
)
def test_the_longest_name_that_a_models_name_begins_with_is_its_price(model: str, same_as: str) -> None:
    assert PriceTable().price_of(model) == shipped()[same_as]


@pytest.mark.parametrize("model", ["gpt-5.9", "claude-opus-5-7", "claude-opus-4-20250514", "gpt-50", "llama3", ""])
def test_another_version_has_no_price_rather_than_a_wrong_one(model: str) -> None:
    assert PriceTable().price_of(model) is None
    assert PriceTable().cost_of(model, Tokens(input=5)) is None
    assert provider_of(model) is None


def test_the_users_own_prices_win_over_the_shipped_ones_and_add_to_them() -> None:
    table = PriceTable({"gpt-5": Price(input=1), "llama3": Price(input=0.5)})
    assert table.cost_of("gpt-5-2025-08-07", Tokens(input=MILLION)) == 1.0
    assert table.cost_of("llama3-70b", Tokens(input=MILLION)) == 0.5
    assert table.cost_of("gpt-5-mini", Tokens(input=MILLION)) == 0.25


@pytest.mark.parametrize("given", [5, {}, {"input": -1}, {"input": "2"}, {"inputs": 2}, {"input": 1, "per": "token"}])
def test_what_is_no_price_is_refused_with_an_example(given: object) -> None:
    with pytest.raises(InputError, match=r"price of 'm'.*per million"):
        price_from("m", given)


def test_the_table_knows_the_models_that_are_asked_by_default() -> None:
    assert provider_of(named("anthropic").model_for("completion")) == "anthropic"
    for operation in ("completion", "embedding"):
        assert provider_of(named("openai").model_for(operation)) == "openai"


def test_what_an_upstream_had_cached_is_never_dearer_than_plain_input() -> None:
    for price in shipped().values():
        assert price.cached_input is None or price.cached_input <= price.input
