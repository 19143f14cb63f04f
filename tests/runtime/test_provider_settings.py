from pathlib import Path
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.chain.prices import Price
from apicache.chain.settings import OPTIONS, ProviderOptions, ProviderSettings, settings_of
from apicache.chain.states import states_of
from apicache.errors import InputError
from apicache.settings import load

TABLE = """
[tool.apicache.providers]
order = ["openai", "house", "anthropic"]
routing = "cheapest"
timeout = "30s"
retries-alone = 5
proxy = "http://proxy.test:3128"

[tool.apicache.providers.timeouts]
openai = 20

[tool.apicache.providers.rate-limits]
openai = "60/minute"

[tool.apicache.providers.openai]
model = "gpt-5-mini"

[tool.apicache.providers.house]
base-url = "https://house.test/v1"

[tool.apicache.prices]
"house-model.1" = { input = 1.5, cached-input = 0.5, output = 3 }
"""


def loaded(folder: Path, table: str, **environ: str) -> Any:
    (folder / "pyproject.toml").write_text(table)
    return load(folder, environ)


def test_the_tables_of_a_project_are_read(tmp_path: Path) -> None:
    found = loaded(tmp_path, TABLE)
    assert found.problems == ()
    assert found.providers == ProviderSettings(
        order=("openai", "house", "anthropic"),
        routing="cheapest",
        timeout=30.0,
        retries_alone=5,
        proxy="http://proxy.test:3128",
        timeouts={"openai": 20.0},
        rate_limits={"openai": "60/minute"},
        tables={"openai": {"model": "gpt-5-mini"}, "house": {"base_url": "https://house.test/v1"}},
        prices={"house-model.1": Price(input=1.5, cached_input=0.5, output=3)},
    )
    assert found.origins["providers.rate_limits.openai"].endswith("[tool.apicache]")


def test_the_environment_wins(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        TABLE,
        APICACHE_PROVIDERS="openai, anthropic",
        APICACHE_PROVIDERS_RETRIES="2",
        APICACHE_PROVIDERS_TIMEOUT="2.5",
        APICACHE_PROVIDERS_ROUTING="fastest",
        APICACHE_PROVIDERS_PROXY="none",
    )
    assert found.problems == ()
    providers = found.providers
    assert (providers.order, providers.retries, providers.timeout) == (("openai", "anthropic"), 2, 2.5)
    assert (providers.routing, providers.proxy) == ("fastest", None)
    assert found.origins["providers.order"] == "APICACHE_PROVIDERS"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (
            "[tool.apicache.providers]\norder = ['opnai', 'anthropic']",
            "unknown provider 'opnai'; did you mean 'openai'",
        ),
        ("[tool.apicache.providers]\nrouting = 'cheap'", "did you mean 'cheapest'"),
        ("[tool.apicache.providers]\nretry = 3", "unknown option 'retry' of providers; did you mean 'retries'"),
        ("[tool.apicache.providers]\nretries = -1", "whole number"),
        ("[tool.apicache.providers]\ntimeout = 0", "no time at all"),
        ("[tool.apicache.providers]\nproxy = 'user:hunter2@proxy'", "proxy is no proxy's URL"),
        ("[tool.apicache.providers.rate-limits]\nopenai = '6 per fortnight'", "'60/minute'"),
        (
            "[tool.apicache.providers.rate-limits]\nopnai = '6/minute'",
            "unknown provider 'opnai'; did you mean 'openai'",
        ),
        ("[tool.apicache.providers.timeouts]\nhttp = 5", "[tool.apicache]: unknown provider 'http'"),
        ("[tool.apicache.prices]\nm = { inputs = 1 }", "price of 'm'"),
        ("[tool.apicache]\nproviders = 'openai'", "'providers' is not a table"),
    ],
)
def test_what_is_wrong_is_told_and_passed_over(tmp_path: Path, table: str, told: str) -> None:
    found = loaded(tmp_path, table)
    (problem,) = found.problems
    assert told in problem
    assert "hunter2" not in problem
    assert found.providers.retries == 1
    assert "anthropic" in found.providers.order


def test_an_unknown_variable_names_the_close_one(tmp_path: Path) -> None:
    (problem,) = loaded(tmp_path, "", APICACHE_PROVIDERS_ROUTE="x").problems
    assert "did you mean" in problem
    assert "APICACHE_PROVIDERS_ROUTING" in problem


def test_every_option_of_code_is_checked_and_held_in_one_form() -> None:
    assert ProviderOptions.__annotations__.keys() == OPTIONS.keys() == set(ProviderSettings.__struct_fields__)
    found = settings_of({"order": ["mock"], "timeout": "1m", "prices": {"m": {"input": 2}}})
    assert found == ProviderSettings(order=("mock",), timeout=60.0, prices={"m": Price(input=2)})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ordr": ["openai"]}, "did you mean 'order'"),
        ({"order": []}, "name each once"),
        ({"order": ["openai", "openai"]}, "name each once"),
        ({"order": 5}, "give names"),
        ({"retries": True}, "whole number"),
        ({"timeouts": 5}, "give a table"),
        ({"rate_limits": {"openai": 60}}, "'60/minute'"),
        ({"rate_limits": {"opnai": "60/minute"}}, "rate_limits of providers: unknown provider 'opnai'; did you mean"),
        ({"timeouts": {"opnai": 5}}, "timeouts of providers: unknown provider 'opnai'"),
    ],
)
def test_what_code_gives_wrongly_is_refused(options: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        UnifiedAPICache.create(providers=options)


def test_states_say_what_is_missing_and_never_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "planted-4410")
    for name in ("ANTHROPIC_API_KEY", "APICACHE_MOCK"):
        monkeypatch.delenv(name, raising=False)
    states = states_of(ProviderSettings(order=("anthropic", "openai", "mock", "opnai")))
    assert [state.ready for state in states] == [False, True, False, False]
    told = [state.needs or "" for state in states]
    assert "ANTHROPIC_API_KEY" in told[0]
    assert "APICACHE_MOCK" in told[2]
    assert "did you mean 'openai'" in told[3]
    assert "planted-4410" not in repr(states)


def test_states_tell_what_no_request_could_be_sent_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "planted\u2028-4410")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted-4411")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "planted-host/v1")
    states = states_of(ProviderSettings(order=("anthropic", "openai")))
    assert [(state.ready, state.wrong) for state in states] == [(False, True)] * 2
    assert states[0].needs == "ANTHROPIC_BASE_URL is not an HTTP URL; give one like https://host/v1"
    assert "OPENAI_API_KEY holds characters" in (states[1].needs or "")
    assert "planted" not in repr(states)


def test_states_tell_of_options_for_who_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    url = "https://house.test/v1"
    tables = {
        "openai": {"model": "m"},
        "house": {"url": url},
        "finder": {"url": url, "operations": ["search"]},
        "opnai": {"model": "m"},
    }
    states = {state.name: state for state in states_of(ProviderSettings(order=("openai",), tables=tables))}
    assert [(state.in_order, state.ready, state.wrong) for state in states.values()] == [
        (True, True, False),
        (False, True, False),
        (False, True, False),
        (False, False, True),
    ]
    assert states["house"].needs == "not in the order: calls ask it by provider='house' alone"
    assert states["finder"].needs is None
    assert "did you mean 'openai'?" in (states["opnai"].needs or "")
