"""`apicache doctor`: the documented JSON, the text, the exit codes, and nothing secret in either."""

import json
import sqlite3

import pytest
from typer.testing import CliRunner

from apicache import defaults
from apicache.providers import anthropic, openai
from apicache.settings import load
from apicache_cli.app import app

UNREACHABLE = "redis://user:planted-secret@127.0.0.1:1/0?password=planted-secret"
TOP = {"schema", "mode", "settings", "tiers", "providers", "encryption", "usage_log", "versions", "problems"}
TIER = {
    "name",
    "reachable",
    "location",
    "entries",
    "bytes",
    "max_bytes",
    "max_entries",
    "error",
    "hint",
}


pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def doctor():
    def run(*arguments, **environ):
        return CliRunner().invoke(app, ["doctor", *arguments], env=environ, catch_exceptions=False)

    return run


@pytest.fixture
def document(doctor):
    def run(*arguments, code=0, **environ):
        done = doctor("--format=json", *arguments, **environ)
        assert done.exit_code == code
        return json.loads(done.stdout)

    return run


def test_the_json_has_the_documented_keys(document, project):
    found = document()
    assert (found["schema"], found.keys()) == (1, TOP)
    assert found["mode"] == {"name": "mode", "value": "off", "origin": "default, off inside a pytest run"}
    assert (found["settings"], found["problems"], found["encryption"]) == ([], [], False)
    assert [(tier["name"], tier["reachable"]) for tier in found["tiers"]] == [("memory", True), ("disk", True)]
    assert all(tier.keys() == TIER for tier in found["tiers"])
    assert found["usage_log"] == {"on": True, "path": str(project / ".apicache" / "usage.db"), "bytes": None}
    assert found["versions"].keys() >= {"apicache", "python", "sqlite", "msgspec", "diskcache"}


def test_looking_makes_no_folder(document, project):
    document()
    assert sorted(path.name for path in project.iterdir()) == ["pyproject.toml"]


def test_a_disk_folder_is_measured(document, project):
    [disk] = defaults.tiers_from(load(), ["disk"])
    disk.clear()
    disk.close()
    (project / ".apicache" / "usage.db").write_bytes(b"x" * 7)
    found = document()
    disk = found["tiers"][1]
    assert (disk["location"], disk["entries"]) == (str(project / ".apicache" / "entries"), 0)
    assert disk["max_bytes"] > 0
    assert disk["bytes"] > 0
    assert found["usage_log"]["bytes"] == 7


def test_only_what_differs_from_the_defaults_is_shown_unless_all_is_asked_for(document, project):
    (project / "apicache.toml").write_text('[policy]\nttl = "1h"\n[operations.quote]\npreset = "user"\n')
    own = str(project / "apicache.toml")
    rows = document(APICACHE_MEMORY_MAX_BYTES="1000")["settings"]
    assert [(row["name"], row["value"], row["origin"]) for row in rows] == [
        ("tiers.memory.max_bytes", 1000, "APICACHE_MEMORY_MAX_BYTES"),
        ("policy.ttl", 3600.0, own),
        ("operations.quote.ttl", 300.0, f"{own}, preset 'user'"),
        ("operations.quote.grace", 3300.0, f"{own}, preset 'user'"),
    ]
    everything = {row["name"]: (row["value"], row["origin"]) for row in document("--all")["settings"]}
    assert everything["policy.ttl"] == (3600.0, own)
    assert everything["policy.jitter"] == (0.0, "default")
    assert everything["tiers"] == (["memory", "disk"], "default")
    assert everything["tiers.disk.max_bytes"][1] == "default"
    assert everything["directory"] == (str(project / ".apicache"), f"default, beside {project / 'pyproject.toml'}")


def test_the_built_in_lives_of_operations_are_defaults_too(document, project):
    everything = {row["name"]: row["value"] for row in document("--all")["settings"]}
    assert everything["operations.embedding.ttl"] == 86400.0


def test_an_unreachable_redis_is_named_with_a_hint_and_exits_1(document):
    found = document(code=1, APICACHE_REDIS_URL=UNREACHABLE.partition("?")[0])
    memory, redis, disk = found["tiers"]
    assert (memory["reachable"], redis["reachable"], disk["reachable"]) == (True, False, True)
    assert (redis["error"], redis["location"]) == ("ConnectionError", "redis://127.0.0.1:1/0")
    assert "start the server" in redis["hint"]
    assert found["problems"] == []


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "url", [UNREACHABLE, UNREACHABLE.partition("?")[0], "http://u:planted-secret@h", "planted-secret"]
)
def test_credentials_are_never_shown(doctor, form, url):
    done = doctor("--all", f"--format={form}", APICACHE_REDIS_URL=url, APICACHE_NONSENSE=url, APICACHE_SCOPE=url)
    assert done.exit_code == 1
    assert "tiers.redis.url" in done.stdout
    assert "planted-secret" not in done.output


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_token_in_a_urls_path_is_never_shown(doctor, project, form):
    token = "bot123456:AAEplanted-secret-token"
    (project / "pyproject.toml").write_text(f"[tool.apicache.providers.house]\nurl = 'https://house.test/{token}/v1'\n")
    done = doctor("--all", f"--format={form}", APICACHE_REDIS_URL=f"redis://127.0.0.1:1/{token}")
    assert "house.test/REDACTED/v1" in "".join(part for part in done.stdout.split() if part not in "│|")
    assert "planted" not in done.output.replace("\n", "")


def test_the_text_tells_mode_settings_tiers_and_problems(doctor):
    done = doctor(APICACHE="25%", APICACHE_TTL="60", APICACHE_TLL="5", APICACHE_REDIS_URL=UNREACHABLE.partition("?")[0])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "mode 25% (APICACHE), encryption off"
    assert any(
        line.split("│")[1:4] == [" policy.ttl      ", " 60                    ", " APICACHE_TTL       "]
        for line in lines
    )
    assert "unreachable" in done.stdout
    assert "tier redis: ConnectionError; nothing answers there; start the server or correct its URL" in lines
    assert any(line.startswith("usage log: none yet, ") for line in lines)
    assert any(
        line.startswith("problem: APICACHE_TLL: unknown variable; did you mean 'APICACHE_TTL'") for line in lines
    )


def test_without_settings_of_its_own_it_says_so_and_exits_0(doctor):
    done = doctor()
    assert done.exit_code == 0
    assert "every setting has its default; --all shows them" in done.stdout
    assert "off inside a pytest run" in done.stdout


def test_a_problem_alone_exits_1(document):
    found = document(code=1, APICACHE_TTL="soon")
    assert all(tier["reachable"] for tier in found["tiers"])
    [problem] = found["problems"]
    assert problem.startswith("APICACHE_TTL: policy option ttl: the duration 'soon' is not understood; give seconds")


def test_text_from_the_configuration_is_never_read_as_markup(doctor):
    assert "[red]x[/nonsense]" in doctor(APICACHE_NAMESPACE="[red]x[/nonsense]").stdout


def test_a_file_in_the_folders_place_makes_the_disk_tier_unreachable(document, project):
    (project / ".apicache").write_text("")
    disk = document(code=1)["tiers"][1]
    assert not disk["reachable"]
    assert "a file is in the folder's place" in disk["hint"]


def test_a_locked_disk_tier_is_told_with_its_class(document, project):
    [disk] = defaults.tiers_from(load(), ["disk"])
    disk.clear()
    disk.close()
    database = sqlite3.connect(project / ".apicache" / "entries" / "cache.db", isolation_level=None)
    try:
        database.execute("BEGIN EXCLUSIVE")
        disk = document(code=1)["tiers"][1]
    finally:
        database.close()
    assert not disk["reachable"]
    assert disk["error"]


def test_an_unusable_key_is_a_problem_and_leaves_the_far_tiers_out(document, monkeypatch):
    found = document(code=1, APICACHE_ENCRYPTION_KEY="planted-secret")
    assert found["encryption"] is True
    assert [tier["reachable"] for tier in found["tiers"]] == [True, False]
    assert found["problems"][0].startswith("encryption: ")
    assert "planted-secret" not in json.dumps(found)


def test_providers_are_shown_with_the_variable_that_is_missing_and_never_a_value(document, doctor, project):
    (project / "pyproject.toml").write_text(
        "[tool.apicache.providers]\norder = ['openai', 'anthropic', 'mock']\n"
        "[tool.apicache.providers.openai]\nmodel = 'gpt-5-mini'\n"
        "[tool.apicache.providers.house]\nurl = 'https://house.test/'\nheaders = {x = 'planted-header'}\n"
    )
    environ = {"OPENAI_API_KEY": "planted-key", "ANTHROPIC_API_KEY": "", "APICACHE_MOCK": ""}
    found = document(**environ)["providers"]
    assert [(each["name"], each["ready"]) for each in found] == [
        ("openai", True),
        ("anthropic", False),
        ("mock", False),
        ("house", True),
    ]
    assert [each["in_order"] for each in found] == [True] * 3 + [False]
    assert "ANTHROPIC_API_KEY" in found[1]["needs"]
    text = doctor(**environ).stdout
    assert "configured" in text
    assert "gpt-5-mini" in text
    assert "planted" not in text + json.dumps(document(**environ))


@pytest.mark.parametrize("variable", ["OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"])
def test_a_base_url_that_is_none_is_a_problem(document, variable):
    found = document(code=1, **{variable: "planted-secret.test/v1"})
    name = variable.partition("_")[0].lower()
    assert found["problems"] == [
        f"provider {name}: {variable} is not an HTTP URL; give one like https://host/v1",
    ]
    assert "planted" not in json.dumps(found)


def test_options_of_a_provider_whose_name_is_misspelt_are_a_problem(document, doctor, project):
    (project / "pyproject.toml").write_text(
        "[tool.apicache.providers.opnai]\nmodel = 'm'\n[tool.apicache.providers.timeouts]\nantropic = 5\n"
    )
    limits, options = document(code=1)["problems"]
    assert "unknown provider 'antropic'; did you mean 'anthropic'?" in limits
    assert options.startswith("provider opnai: ")
    assert options.endswith("did you mean 'openai'?")
    assert "declares an endpoint" in " ".join(doctor().stdout.split())


def test_the_models_that_built_in_operations_ask_for_are_shown(document, doctor):
    found = {each["name"]: each for each in document(ANTHROPIC_MODEL="", OPENAI_MODEL="my-model")["providers"]}
    assert found["openai"]["models"]["completion"] == found["openai"]["models"]["analysis"] == "my-model"
    assert found["openai"]["models"].keys() == {"analysis", "completion", "embedding"}
    text = " ".join(doctor(OPENAI_MODEL="my-model").stdout.replace("│", " ").split())
    for model in ("my-model", openai.DEFAULT_EMBEDDING_MODEL, anthropic.DEFAULT_MODEL):
        assert model in text


NO_KEYS = {"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": "", "APICACHE_MOCK": ""}


@pytest.mark.parametrize(
    "table", ["[tool.apicache.providers]\norder = ['openai']", "[tool.apicache.providers.openai]\nmodel = 'm'"]
)
def test_configured_providers_of_which_none_can_be_asked_are_a_problem(document, project, table):
    (project / "pyproject.toml").write_text(table)
    (problem,) = document(code=1, **NO_KEYS)["problems"]
    assert problem.startswith("built-in operations have no provider to ask (")
    assert "openai: it has no key; set OPENAI_API_KEY" in problem
    assert document(**{**NO_KEYS, "OPENAI_API_KEY": "k"})["problems"] == []


def test_who_has_configured_no_provider_may_have_none(document):
    assert document(**NO_KEYS)["problems"] == []


def test_a_mistake_in_a_providers_options_is_a_problem(document, project):
    (project / "pyproject.toml").write_text("[tool.apicache.providers.openai]\nmodle = 'm'\n")
    (problem,) = document(code=1, ANTHROPIC_API_KEY="k")["problems"]
    assert "unknown option 'modle' of provider 'openai'; did you mean 'model'" in problem
