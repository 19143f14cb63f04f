"""Laws that hold for every program: what scan finds depends on what code means, not on how it is spelled."""

import keyword
import textwrap

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apicache_codemods.endpoints import endpoint_of
from apicache_codemods.operation_names import distinct, suggested
from apicache_codemods.scan import scan
from apicache_codemods.values import UNKNOWN, Text, literal

TAKEN = {"_", "httpx", "requests", "self", "load", "prompt", "Service", "print", "URL", "super", "str", "None"}
NAMES = st.from_regex(r"[a-zA-Z_éß][a-zA-Z0-9_ü]{0,8}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and name not in TAKEN and name.isidentifier() and not name.startswith("__")
)
SEGMENTS = st.from_regex(r"[a-z]{1,8}", fullmatch=True)

PROGRAMS = [
    """
    import httpx
    {name} = httpx.Client(base_url="https://api.example.com")
    def load(prompt):
        return {name}.get(f"/users/{{prompt}}")
    """,
    """
    import requests
    class Service:
        def __init__(self):
            self.{name} = requests.Session()
        def load(self, prompt):
            self.{name}.post("https://api.example.com/" + "users")
            return self.{name}.get("https://api.example.com/users/" + prompt)
    """,
    """
    import httpx as {name}
    async def load(prompt: {name}.AsyncClient):
        async with {name}.AsyncClient() as URL:
            await URL.get("https://api.example.com/a")
        await prompt.put("https://api.example.com/b")
    """,
    """
    from requests import get as {name}
    URL = "https://api.example.com/users"
    results = [{name}(URL) for _ in range(3)] + [(lambda prompt: {name}(URL + prompt))("x")]
    """,
]

SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def found(tmp_path, source):
    (tmp_path / "app.py").write_text(textwrap.dedent(source), encoding="utf-8")
    report = scan([tmp_path], tmp_path)
    return [(site.line, site.endpoint, site.library) for site in report.call_sites]


@SETTINGS
@given(name=NAMES, program=st.sampled_from(PROGRAMS))
def test_renaming_a_client_changes_nothing_that_is_found(tmp_path, name, program):
    renamed, plain = found(tmp_path, program.format(name=name)), found(tmp_path, program.format(name="client"))
    assert renamed == plain
    assert plain


@SETTINGS
@given(name=NAMES, program=st.sampled_from(PROGRAMS))
def test_a_place_slices_back_to_the_call(tmp_path, name, program):
    text = textwrap.dedent(program.format(name=name))
    found(tmp_path, program.format(name=name))
    lines = text.split("\n")
    for site in scan([tmp_path], tmp_path).call_sites:
        inside = lines[site.line - 1 : site.end_line]
        inside[-1] = inside[-1][: site.end_column]
        inside[0] = inside[0][site.column :]
        written = "\n".join(inside)
        assert written.startswith(f"{site.call}(")
        assert written.endswith(")")


@SETTINGS
@given(blank=st.integers(0, 3), comment=st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20))
def test_blank_lines_and_comments_move_places_and_nothing_else(tmp_path, blank, comment):
    plain = found(tmp_path, PROGRAMS[1].format(name="client"))
    moved = found(tmp_path, f"# {comment}\n" + "\n" * blank + textwrap.dedent(PROGRAMS[1].format(name="client")))
    assert [(line + 1 + blank, *rest) for line, *rest in plain] == moved


@given(
    host=SEGMENTS,
    path=st.lists(SEGMENTS, max_size=4),
    scheme=st.sampled_from(["http://", "https://", "//"]),
    noise=st.sampled_from(["", "?a=b", "#c", "?a=b#c", "?u=https://x/y"]),
    user=st.sampled_from(["", "me@", "me:secret@"]),
)
def test_scheme_user_query_and_fragment_are_no_part_of_an_endpoint(host, path, scheme, noise, user):
    place = "/".join([f"{host}.example.com", *path])
    assert endpoint_of(literal("get"), literal(f"{scheme}{user}{place}{noise}")) == f"GET {place}"


@given(
    parts=st.lists(st.one_of(st.just(UNKNOWN), st.text("abc/:.?#{}@", max_size=6)), max_size=8),
    method=st.sampled_from([literal("GET"), Text((UNKNOWN,))]),
)
def test_an_endpoint_is_a_method_and_a_place_or_nothing(parts, method):
    endpoint = endpoint_of(method, Text(tuple(parts)))
    if endpoint is not None:
        verb, space, place = endpoint.partition(" ")
        assert verb in {"GET", "{}"}
        assert space
        assert place
        assert "?" not in place
        assert "#" not in place
        assert "{}{}" not in place


@given(endpoints=st.lists(st.tuples(SEGMENTS, SEGMENTS, st.sampled_from(["GET", "POST"])), unique=True, max_size=8))
def test_operation_names_are_identifiers_and_never_shared(endpoints):
    ranked = [f"{verb} {host}.com/{path}" for host, path, verb in endpoints]
    names = distinct([(endpoint, suggested(endpoint)) for endpoint in ranked])
    assert set(names) == set(ranked)
    given_names = [name for name in names.values() if name is not None]
    assert len(given_names) == len(set(given_names))
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in given_names)
