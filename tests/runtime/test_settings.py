import builtins
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from apicache import defaults, setting_values, settings
from apicache.errors import InputError
from apicache.modes import Switch
from apicache.setting_values import shown, without_credentials
from apicache.settings import Settings, load, report
from apicache.tiers import build, options


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("APICACHE"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write_project(folder: Path, text: str = "") -> None:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def write_own(folder: Path, text: str) -> None:
    (folder / "apicache.toml").write_text(text, encoding="utf-8")


def loaded(folder: Path, **environ: str) -> Settings:
    """As configured in the folder, which has to be without problems."""
    found = load(folder, environ)
    assert found.problems == ()
    return found


def test_the_folder_lies_beside_the_nearest_project_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    write_project(tmp_path)
    monkeypatch.chdir(inner)
    assert load().directory == tmp_path / ".apicache"
    assert load().origins["directory"] == f"default, beside {tmp_path / 'pyproject.toml'}"


def test_the_folder_lies_beside_our_own_file_where_there_is_no_project(tmp_path: Path) -> None:
    write_own(tmp_path, "")
    assert loaded(tmp_path).directory == tmp_path / ".apicache"


def test_the_configured_folder_is_relative_to_its_file(tmp_path: Path) -> None:
    write_project(tmp_path, '[tool.apicache]\ndir = "var/cache"\n')
    inner = tmp_path / "inner"
    inner.mkdir()
    assert loaded(inner).directory == tmp_path / "var" / "cache"
    write_own(inner, 'dir = "own"\n')
    assert loaded(inner).directory == inner / "own"


def test_outside_a_project_it_is_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "project_file", lambda _: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    (tmp_path / "a").mkdir()
    assert "apicache" in load().directory.parts
    assert load(tmp_path / "a").directory != load().directory, "programs that share no project share no folder"


def test_a_working_directory_that_is_gone_makes_no_call_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    found = load()
    assert "configuration passed over" in found.problems[0]
    assert "apicache" in found.directory.parts


def test_the_defaults(tmp_path: Path) -> None:
    write_project(tmp_path)
    found = loaded(tmp_path)
    assert (found.tiers, found.tier_timeout, found.tier_options) == (("memory", "disk"), 0.25, {})
    assert (found.usage_log, found.usage_retention, found.allow_modules) == (True, 30 * 86400, ())
    assert (found.global_options(), found.operation_options("completion"), found.encryption) == ({}, {}, False)
    assert {found.origins[name] for name in ("tiers", "tier_timeout", "usage_log", "allow_modules")} == {"default"}


def test_each_source_wins_over_the_one_below(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    write_project(
        tmp_path,
        '[tool.apicache]\nmode = "observe"\ndir = "p"\ntier-timeout = 1\nusage-log = false\nusage-retention = "1d"\n'
        '[tool.apicache.policy]\nttl = "1m"\ngrace = "1m"\njitter = 0.1\n'
        "[tool.apicache.operations.completion]\nttl = 1\ngrace = 1\n"
        "[tool.apicache.memory]\nmax-bytes = 1000\nmax-entries = 10\n",
    )
    found = loaded(tmp_path)
    assert (found.mode, found.directory, found.tier_timeout) == (Switch("observe"), tmp_path / "p", 1.0)
    assert (found.usage_log, found.usage_retention) == (False, 86400.0)
    assert found.global_options() == {"ttl": 60.0, "grace": 60.0, "jitter": 0.1}
    assert found.operation_options("completion") == {"ttl": 1.0, "grace": 1.0}
    assert found.tier_options == {"memory": {"max_bytes": 1000, "max_entries": 10}}

    write_own(
        tmp_path,
        'mode = "shadow"\ntier_timeout = 2\n[policy]\nttl = "2m"\n[operations.completion]\nttl = 2\n'
        "[memory]\nmax_bytes = 2000\n",
    )
    found = loaded(tmp_path)
    assert (found.mode, found.directory, found.tier_timeout) == (Switch("shadow"), tmp_path / "p", 2.0)
    assert found.global_options() == {"ttl": 120.0, "grace": 60.0, "jitter": 0.1}
    assert found.operation_options("completion") == {"ttl": 2.0, "grace": 1.0}
    assert found.tier_options == {"memory": {"max_bytes": 2000, "max_entries": 10}}

    found = loaded(
        tmp_path,
        APICACHE="on",
        APICACHE_DIR=str(tmp_path / "e"),
        APICACHE_TTL="3m",
        APICACHE_OPERATIONS__COMPLETION__TTL="3",
        APICACHE_MEMORY_MAX_BYTES="3000",
        APICACHE_TIER_TIMEOUT="3",
    )
    assert (found.mode, found.directory, found.tier_timeout) == (Switch("on"), tmp_path / "e", 3.0)
    assert found.global_options() == {"ttl": 180.0, "grace": 60.0, "jitter": 0.1}
    assert found.operation_options("completion") == {"ttl": 3.0, "grace": 1.0}
    assert found.tier_options == {"memory": {"max_bytes": 3000, "max_entries": 10}}
    assert found.origins.items() >= {
        ("mode", "APICACHE"),
        ("directory", "APICACHE_DIR"),
        ("tiers", "default"),
        ("tier_timeout", "APICACHE_TIER_TIMEOUT"),
        ("policy.ttl", "APICACHE_TTL"),
        ("policy.grace", f"{project} [tool.apicache]"),
        ("operations.completion.ttl", "APICACHE_OPERATIONS__COMPLETION__TTL"),
        ("tiers.memory.max_bytes", "APICACHE_MEMORY_MAX_BYTES"),
        ("tiers.memory.max_entries", f"{project} [tool.apicache]"),
    }
    assert loaded(tmp_path).origins["policy.ttl"] == str(tmp_path / "apicache.toml")


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("TTL", "60", 60.0),
        ("GRACE", "1h", 3600.0),
        ("JITTER", "0.1", 0.1),
        ("EARLY_REFRESH", "true", 1.0),
        ("EARLY_REFRESH", "0.5", 0.5),
        ("SOFT_TIMEOUT", "none", None),
        ("HARD_TIMEOUT", "2.5", 2.5),
        ("STALE_IF_ERROR", "10m", 600.0),
        ("TAGS", "a, b", ("a", "b")),
        ("NO_STORE", "stream", ("stream",)),
        ("COMPRESSION", "no", False),
        ("RECORD", "1", True),
        ("COST", "0.002", 0.002),
        ("VERSION", "3", "3"),
        ("HTTP", "override", "override"),
    ],
)
def test_a_variable_gives_a_policy_option(tmp_path: Path, variable: str, text: str, value: object) -> None:
    found = loaded(tmp_path, **{f"APICACHE_{variable}": text})
    assert found.global_options() == {variable.lower(): value}
    named = loaded(tmp_path, **{f"APICACHE_OPERATIONS__ANALYSIS__{variable}": text})
    assert named.operation_options("analysis") == {variable.lower(): value}


def test_the_other_variables_are_read(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        APICACHE="25%",
        APICACHE_TIERS="memory, redis",
        APICACHE_USAGE_LOG="off",
        APICACHE_USAGE_RETENTION="7d",
        APICACHE_ALLOW_MODULES="shop.models,shop.prices",
        APICACHE_ENCRYPTION_KEY="planted-secret",
        APICACHE_MOCK="1",
        APICACHE_TEST_REDIS_URL="redis://elsewhere",
        APICACHE_TTL="",
    )
    assert (found.mode, found.tiers, found.usage_log) == (Switch("on", 0.25), ("memory", "redis"), False)
    assert (found.usage_retention, found.allow_modules) == (7 * 86400, ("shop.models", "shop.prices"))
    assert found.encryption
    assert "planted-secret" not in repr(found)
    assert found.policy == {}


def test_an_empty_key_counts_as_a_wish_for_encryption(tmp_path: Path) -> None:
    found = loaded(tmp_path, APICACHE_ENCRYPTION_KEY="")
    assert (found.encryption, found.origins["encryption"]) == (True, "APICACHE_ENCRYPTION_KEY")


def test_apicache_wins_over_apicache_mode(tmp_path: Path) -> None:
    assert loaded(tmp_path, APICACHE_MODE="observe").mode == Switch("observe")
    assert loaded(tmp_path, APICACHE_MODE="observe", APICACHE="on").mode == Switch("on")


def test_operations_match_by_variables_in_any_case(tmp_path: Path) -> None:
    write_project(tmp_path, "[tool.apicache.operations.'Get-User.v2']\nttl = 1\ngrace = 1\n")
    found = loaded(tmp_path, APICACHE_OPERATIONS__GET_USER_V2__TTL="5", APICACHE_OPERATIONS__getQuote__TTL="7")
    assert found.operation_options("Get-User.v2") == {"ttl": 5.0, "grace": 1.0}
    assert found.operation_options("GetQuote") == {"ttl": 7.0}
    assert found.operation_options("other") == {}


def test_the_exact_name_of_an_operation_wins(tmp_path: Path) -> None:
    write_project(tmp_path, "[tool.apicache.operations]\nquote = {ttl = 1}\nQuote = {ttl = 2}\n")
    found = loaded(tmp_path)
    assert [found.operation_options(name)["ttl"] for name in ("quote", "Quote", "QUOTE")] == [1.0, 2.0, 1.0]
    both = loaded(tmp_path, APICACHE_OPERATIONS__QUOTE__TTL="3")
    assert [both.operation_options(name)["ttl"] for name in ("quote", "Quote")] == [3.0, 3.0]


def test_options_are_the_callers_own(tmp_path: Path) -> None:
    found = loaded(tmp_path, APICACHE_TTL="5")
    found.global_options().clear()
    assert found.global_options() == {"ttl": 5.0}


def test_a_preset_is_resolved_and_named_as_the_origin(tmp_path: Path) -> None:
    write_project(tmp_path, '[tool.apicache.policy]\npreset = "user"\n[tool.apicache.operations.rate]\npreset="static"')
    found = loaded(tmp_path)
    assert found.global_options() == {"ttl": 300.0, "grace": 3300.0}
    assert found.operation_options("rate")["ttl"] == 86400.0
    assert found.origins["policy.ttl"] == f"{tmp_path / 'pyproject.toml'} [tool.apicache], preset 'user'"
    higher = loaded(tmp_path, APICACHE_TTL="10m")
    assert higher.global_options() == {"ttl": 600.0, "grace": 3000.0}
    assert higher.origins["policy.ttl"] == "APICACHE_TTL"


def test_a_preset_wins_over_what_a_lower_source_says(tmp_path: Path) -> None:
    write_project(tmp_path, '[tool.apicache.policy]\nttl = "2h"\njitter = 0.1\n')
    found = loaded(tmp_path, APICACHE_PRESET="real-time")
    assert found.global_options() == {"ttl": 30.0, "grace": 270.0, "jitter": 0.1}
    assert found.origins["policy.grace"] == "APICACHE_PRESET, preset 'real-time'"


def test_a_preset_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    write_project(tmp_path, '[tool.apicache.policy]\npreset = "real-time"\n')
    found = load(tmp_path, {"APICACHE_TTL": "1h"})
    assert found.global_options() == {"ttl": 3600.0}
    assert "give a ttl in that range" in found.problems[0]


def test_with_a_redis_url_redis_stands_between_memory_and_disk(tmp_path: Path) -> None:
    found = loaded(tmp_path, APICACHE_REDIS_URL="redis://127.0.0.1:1/0")
    assert found.tiers == ("memory", "redis", "disk")
    assert found.tier_options == {"redis": {"url": "redis://127.0.0.1:1/0"}}
    assert found.origins["tiers"] == "default, as tiers.redis.url is given"
    assert found.origins["tiers.redis.url"] == "APICACHE_REDIS_URL"
    assert loaded(tmp_path, APICACHE_REDIS_URL="redis://h", APICACHE_TIERS="memory").tiers == ("memory",)


@pytest.mark.parametrize("table", ["[tool.apicache.redis]", "[tool.apicache.tiers.redis]"])
def test_a_tiers_table_is_read_in_both_places(tmp_path: Path, table: str) -> None:
    write_project(tmp_path, f'{table}\nurl = "redis://h"\n')
    assert loaded(tmp_path).tier_options == {"redis": {"url": "redis://h"}}


def test_redis_and_diskcache_are_not_imported_without_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(setting_values, "options_of_tier", lambda name: asked.append(name) or options(name))
    write_project(tmp_path, '[tool.apicache]\ntiers = ["memory", "redis", "disk"]\n[tool.apicache.policy]\nttl = 5\n')
    loaded(tmp_path)
    assert asked == []
    loaded(tmp_path, APICACHE_MEMORY_MAX_BYTES="5")
    assert asked == ["memory"]


def test_a_tier_whose_library_is_missing_keeps_its_options_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise InputError(f"the {name} tier needs redis-py")

    monkeypatch.setattr(setting_values, "options_of_tier", missing)
    assert loaded(tmp_path, APICACHE_REDIS_URL="redis://h").tier_options == {"redis": {"url": "redis://h"}}


def test_under_pytest_the_cache_is_off_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load().mode == Switch("off")
    assert load().origins["mode"] == "default, off inside a pytest run"
    monkeypatch.setenv("APICACHE", "on")
    assert load().mode == Switch("on")
    monkeypatch.delenv("APICACHE")
    write_project(tmp_path, '[tool.apicache]\nmode = "on"\n')
    assert load().mode == Switch("on")


def test_elsewhere_it_is_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(tmp_path).mode == Switch("on")
    monkeypatch.delitem(sys.modules, "pytest")
    assert loaded(tmp_path, PYTEST_VERSION="8").mode == Switch("on"), "the variables reach child processes"


def test_a_mode_that_is_not_known_is_off_and_says_so(tmp_path: Path) -> None:
    write_project(tmp_path, '[tool.apicache]\nmode = "shadow"\n')
    found = load(tmp_path, {"APICACHE": "onn"})
    assert found.mode == Switch("off")
    assert found.origins["mode"] == "APICACHE, not known: off"
    assert "APICACHE: mode 'onn' is not known; did you mean 'on'" in found.problems[0]


@pytest.mark.parametrize("text", ["[tool.apicache", "tool = 5", "[tool]\napicache = 5\n", "\x00"])
def test_a_broken_project_file_makes_no_call_fail(tmp_path: Path, text: str) -> None:
    write_project(tmp_path, text)
    with pytest.raises(InputError, match=r"pyproject\.toml"):
        settings.project_table(tmp_path / "pyproject.toml")
    found = load(tmp_path, {"APICACHE_TTL": "5"})
    assert (len(found.problems), found.global_options()) == (1, {"ttl": 5.0})
    assert "configuration passed over" in found.problems[0]


def test_a_broken_file_of_ours_leaves_the_project_file_in_force(tmp_path: Path) -> None:
    write_project(tmp_path, "[tool.apicache.policy]\nttl = 5\n")
    write_own(tmp_path, "[policy")
    found = load(tmp_path, {})
    assert found.global_options() == {"ttl": 5.0}
    assert str(tmp_path / "apicache.toml") in found.problems[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mood = 1", "unknown key 'mood'; did you mean 'mode'?"),
        ("ttl = 1", "'ttl' is a policy option; write it in the table 'policy'"),
        ("policy = 1", "'policy' is not a table"),
        ("operations = {a = 1}", "'operations.a' is not a table"),
        ("memory = 1", "'memory' is not a table"),
        ("policy = {tll = 1}", "unknown policy option 'tll'; did you mean 'ttl'?"),
        ("policy = {key = 'k'}", "policy option 'key' is given in code"),
        ("policy = {returns = 'json'}", "policy option 'returns' is given in code"),
        ("operations = {a = {tags = 'x'}}", "policy option tags='x'; give a list such as ['x']"),
        ("policy = {scope = 5}", "policy option scope of type int; give text"),
        ("tiers = ['memory', 'disc']", "unknown tier 'disc'; did you mean 'disk'"),
        ("policy = {tiers = ['disc']}", "unknown tier 'disc'; did you mean 'disk'"),
        ("tiers = {disc = {}}", "unknown tier 'disc'; did you mean 'disk'"),
        ("tiers = []", "name each once"),
        ("tiers = ['memory', 'memory']", "name each once"),
        ("tiers = 5", "5 is not a list of texts"),
        ("dir = 5", "5 is no text"),
        ("usage-log = 'perhaps'", "'perhaps' is neither true nor false"),
        ("usage-log = 1", "1 is neither true nor false"),
        ("usage-retention = 'long'", "duration"),
        ("tier-timeout = 0", "more than zero"),
        ("allow-modules = ['a b']", "'a b' is no module's name"),
        ("memory = {max_bites = 1}", "tier memory has no option 'max_bites'; did you mean 'max_bytes'"),
        ("memory = {max_bytes = 'x'}", "the value of max_bytes does not fit; expected: int"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_and_passed_over(tmp_path: Path, text: str, message: str) -> None:
    write_own(tmp_path, text)
    found = load(tmp_path, {})
    [problem] = found.problems
    assert problem.startswith(f"{tmp_path / 'apicache.toml'}: ")
    assert message in problem
    plain = Settings(directory=found.directory)
    assert (found.tiers, found.tier_options, found.policy) == (plain.tiers, plain.tier_options, plain.policy)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("APICACHE_TLL", "unknown variable; did you mean 'APICACHE_TTL'"),
        ("APICACHE_KEY", "unknown variable"),
        ("APICACHE_OPERATIONS__TTL", "unknown variable"),
        ("APICACHE_OPERATIONS__A__TLL", "unknown policy option 'tll'; did you mean 'ttl'?"),
        ("APICACHE_MEMORY_SIZE", "tier memory has no option 'size'"),
        ("APICACHE_TTL", "the duration 'x' is not understood"),
        ("APICACHE_JITTER", "policy option jitter='x'"),
        ("APICACHE_RECORD", "'x' is neither true nor false"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(tmp_path: Path, variable: str, message: str) -> None:
    [problem] = load(tmp_path, {variable: "x"}).problems
    assert problem.startswith(f"{variable}: ")
    assert message in problem


def test_a_bad_value_falls_back_to_the_next_lower_source(tmp_path: Path) -> None:
    write_project(tmp_path, "[tool.apicache.policy]\nttl = 60\n")
    write_own(tmp_path, "[policy]\nttl = -5\n")
    found = load(tmp_path, {"APICACHE_TTL": "soon"})
    assert found.global_options() == {"ttl": 60.0}
    assert found.origins["policy.ttl"] == f"{tmp_path / 'pyproject.toml'} [tool.apicache]"
    assert len(found.problems) == 2


def test_the_applications_key_is_known_and_not_ours(tmp_path: Path) -> None:
    write_project(tmp_path, '[tool.apicache]\napp = "shop:api_cache"\n')
    assert "app" not in loaded(tmp_path).origins


def test_credentials_are_never_in_a_problem(tmp_path: Path) -> None:
    url = "rediss://user:planted-secret@host/0?password=planted-secret"
    for environ in (
        {"APICACHE_REDIS_ULR": url},
        {"APICACHE_REDIS_MAX_CONNECTIONS": url},
        {"APICACHE_TIERS": url},
        {"APICACHE": url},
        {"APICACHE_DURL": url},
    ):
        found = load(tmp_path, environ)
        assert len(found.problems) == 1
        assert "planted-secret" not in found.problems[0]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("rediss://u:p@h:1/0?password=p", "rediss://h:1/0"),
        ("redis://:p@ss@h/0", "redis://h/0"),
        ("see redis://u:p@h and go on", "see redis://h and go on"),
        ("a@b", "a@b"),
        ("https://h/bot123456:AAEplanted-secret-token/x?q=1", "https://h/REDACTED/x"),
        ("unknown 'https://u:p@h/bot123456:AAEplanted-secret-token'; give", "unknown 'https://h/REDACTED'; give"),
        (
            "https://a-long-name-of-host1.example.test:8000/v1/models",
            "https://a-long-name-of-host1.example.test:8000/v1/models",
        ),
    ],
)
def test_urls_are_shown_without_credentials(text: str, cut: str) -> None:
    assert without_credentials(text) == cut


def test_what_is_secret_by_name_is_not_shown() -> None:
    assert shown("tiers.redis.password", "p") == "(given)"
    assert shown("policy.scope", "tenant") == "(given)"
    assert shown("tiers.redis.password", None) is None
    assert shown("policy.tags", ("a", "redis://u:p@h")) == ["a", "redis://h"]
    assert shown("directory", Path("x")) == "x"


def test_problems_are_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = load(tmp_path, {"APICACHE_NONSENSE_OF_THIS_TEST": "1"})
    with caplog.at_level(logging.WARNING, logger="apicache"):
        report(found)
        report(found)
    assert caplog.text.count("APICACHE_NONSENSE_OF_THIS_TEST") == 1


def names(built: Any) -> list[str]:
    found = [tier.name for tier in built]
    for tier in built:
        tier.close()
    return found


def test_the_tiers_are_built_as_configured(tmp_path: Path) -> None:
    found = loaded(tmp_path, APICACHE_DIR=str(tmp_path / "c"), APICACHE_MEMORY_MAX_BYTES="5000")
    memory, disk = defaults.tiers_from(found)
    assert (memory.size().max_bytes, disk.size().location) == (5000, str(tmp_path / "c" / "entries"))
    assert names([memory, disk]) == ["memory", "disk"]
    assert names(defaults.tiers_from(found, ["disk"])) == ["disk"]
    assert names(defaults.memory_alone()) == ["memory"]
    assert names(defaults.tiers_in(tmp_path)) == ["memory", "disk"]


def test_a_tier_that_cannot_be_built_is_reported_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def build_one(name: str, place: Any) -> Any:
        if name == "redis":
            raise InputError("the redis tier cannot use redis://u:planted-secret@h; give\nredis://[user:password@]host")
        if name == "disk":
            raise OSError("planted-secret")
        return build(name, place)

    monkeypatch.setattr(defaults, "build", build_one)
    found = loaded(tmp_path, APICACHE_TIERS="memory,redis,disk")
    with caplog.at_level(logging.WARNING, logger="apicache"):
        assert names(defaults.tiers_from(found)) == ["memory"]
    assert (
        "tier redis is left out: the redis tier cannot use redis://h; give\nredis://[user:password@]host" in caplog.text
    )
    assert "tier disk is left out: OSError" in caplog.text
    assert "planted-secret" not in caplog.text


def test_a_missing_library_leaves_its_tier_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = builtins.__import__

    def without_redis(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "redis":
            raise ModuleNotFoundError("No module named 'redis'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_redis)
    monkeypatch.delitem(sys.modules, "apicache.tiers.redis", raising=False)
    found = loaded(tmp_path, APICACHE_REDIS_URL="redis://127.0.0.1:1", APICACHE_TIERS="memory,redis")
    with caplog.at_level(logging.WARNING, logger="apicache"):
        assert names(defaults.tiers_from(found)) == ["memory"]
    assert "install 'apicache-toolkit[redis]'" in caplog.text


def test_with_an_unusable_key_nothing_is_written_in_the_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: object) -> Any:
        raise InputError("the key is too short")

    monkeypatch.setattr(defaults, "sealer_from_environment", refuse)
    found = loaded(tmp_path, APICACHE_DIR=str(tmp_path / "c"))
    with caplog.at_level(logging.WARNING, logger="apicache"):
        assert names(defaults.tiers_from(found)) == ["memory"]
    assert "tiers outside the process are left out: the key is too short" in caplog.text
