# ruff: noqa: E501 - a table reads best with one case a line
"""Anti-unification: what calls have in common, and planted duplicates found again whatever they are called."""

import keyword
import tempfile
from pathlib import Path

import libcst as cst
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apicache_codemods.migrate import plan, write
from apicache_codemods.rewriting.generalise import CallTerm, MismatchError, bind, free_name, generalise
from apicache_codemods.rewriting.render import render
from apicache_codemods.rewriting.terms import Carried, Literal, Outside, TermBuilder, code_of

MEANINGS = {
    "BASE": Literal("https://api.example.com"),
    "LIMIT": Literal(10),
    "QUOTED": Literal('a "b" {c}\n'),
    "requests": Outside("requests"),
    "httpx": Outside("httpx"),
    "os": Outside("os"),
}


class AsTheyAre:
    def imported(self, meaning: Outside) -> str:
        return meaning.dotted

    def carried(self, meaning: Carried) -> str:
        return meaning.name


def call(text: str) -> CallTerm:
    builder = TermBuilder(lambda name: MEANINGS.get(name.value), lambda *_: None, frozenset({"httpx", "requests"}))
    node = cst.ensure_type(cst.parse_expression(text), cst.Call)
    names = [argument.keyword.value if argument.keyword else "url" for argument in node.args]
    terms = [builder.term(argument.value, name) for argument, name in zip(node.args, names, strict=True)]
    return CallTerm(node, dict(zip(names, terms, strict=True)))


def common(*texts: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The definition's arguments, and what each call passes for each parameter."""
    calls = [call(text) for text in texts]
    found = generalise(calls, set())
    written = {name: code_of(render(term, found.holes, AsTheyAre())) for name, term in calls[0].arguments.items()}
    return written, {each.name: [code_of(value.node) for value in each.values] for each in found.parameters}


@pytest.mark.parametrize(
    ("texts", "written", "passed"),
    [
        (["f('u', a=x)"], {"url": "'u'", "a": "x"}, {"x": ["x"]}),
        (["f('u', a=x)", "f('u', a=y)"], {"url": "'u'", "a": "a"}, {"a": ["x", "y"]}),
        (["f('u', a=1)", "f('u', a=2)"], {"url": "'u'", "a": "a"}, {"a": ["1", "2"]}),
        (["f('u', a=1)", "f('u', a=True)"], {"url": "'u'", "a": "a"}, {"a": ["1", "True"]}),
        (["f(f'{BASE}/a')", "f(BASE + '/a')", "f('https://api.example.com' '/a')"], {"url": '"https://api.example.com/a"'}, {}),
        (["f(f'{BASE}/{u}')", "f(f'https://api.example.com/{v}')"], {"url": 'f"https://api.example.com/{u}"'}, {"u": ["u", "v"]}),
        (["f(f'{BASE}/{u!r:>3}')"], {"url": 'f"https://api.example.com/{u!r:>3}"'}, {"u": ["u"]}),
        (["f(BASE + u)"], {"url": '"https://api.example.com" + u'}, {"u": ["u"]}),
        (["f(QUOTED)"], {"url": '"a \\"b\\" {c}\\n"'}, {}),
        (["f(QUOTED + f'{u}')"], {"url": 'f"a \\"b\\" {{c}}\\n{u}"'}, {"u": ["u"]}),
        (["f('u', n=LIMIT)"], {"url": "'u'", "n": "10"}, {}),
        (["f('u', json={'a': {'b': [x, 1]}})"], {"url": "'u'", "json": "{'a': {'b': [x, 1]}}"}, {"x": ["x"]}),
        (["f('u', json={'a': x, **y})"], {"url": "'u'", "json": "{'a': x, **y}"}, {"x": ["x"], "y": ["y"]}),
        (["f('u', json={'class': g()})"], {"url": "'u'", "json": "{'class': class_}"}, {"class_": ["g()"]}),
        (["f('u', json={'operation': g()})"], {"url": "'u'", "json": "{'operation': operation_2}"}, {"operation_2": ["g()"]}),
        (["f('u', a=self.model)"], {"url": "'u'", "a": "model"}, {"model": ["self.model"]}),
        (["f('u', a=x, b=x)"], {"url": "'u'", "a": "x", "b": "x"}, {"x": ["x"]}),
        (["f('u', a=g(), b=g())"], {"url": "'u'", "a": "a", "b": "b"}, {"a": ["g()"], "b": ["g()"]}),
        (["f('u', t=httpx.Timeout(LIMIT))"], {"url": "'u'", "t": "httpx.Timeout(10)"}, {}),
        (["f('u', a=os.environ['A'])"], {"url": "'u'", "a": "os.environ['A']"}, {}),
        (["f('u', a=os.path)"], {"url": "'u'", "a": "os.path"}, {}),
        (["f('u', a=requests.get(x))"], {"url": "'u'", "a": "a"}, {"a": ["requests.get(x)"]}),
        (["f('u/%s' % u)"], {"url": "'u/%s' % u"}, {"u": ["u"]}),
    ],
)  # fmt: skip
def test_the_least_general_definition(texts, written, passed):
    assert common(*texts) == (written, passed)


@pytest.mark.parametrize(
    "texts",
    [
        ["f('u', json={'a': 1})", "f('u', json={'b': 1})"],
        ["f('u', json={'a': 1, 'b': 2})", "f('u', json={'b': 2, 'a': 1})"],
        ["f('u', json={'a': 1})", "f('u', json=x)"],
        ["f('u', a=1)", "f('u', b=1)"],
        ["f('u', headers={'x': y})"],
        ["f('u', headers={'x': 'a'})", "f('u', headers={'x': 'b'})"],
        ["f('u', timeout=1)", "f('u', timeout=2)"],
        ["f('u', json={'api_key': x})"],
        ["f('u', json={'prompt': access_token})"],
    ],
)
def test_what_cannot_share_a_definition(texts):
    with pytest.raises(MismatchError):
        common(*texts)


def test_parameters_do_not_hide_names_that_the_definition_uses():
    found = generalise([call("f('u', a=client)")], {"client"})
    assert [parameter.name for parameter in found.parameters] == ["client_2"]


@pytest.mark.parametrize(
    ("wanted", "used", "free"),
    [
        ("a", set(), "a"),
        ("a", {"a", "a_2"}, "a_3"),
        ("x-y z", set(), "x_y_z"),
        ("1st", set(), "value_1st"),
        ("", set(), "value"),
    ],
)
def test_free_names(wanted, used, free):
    assert free_name(wanted, used) == free


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("f('u', json={'a': g(x), 'b': 1})", {"p": "g(x)"}),
        ("f('u', json={'a': 'text', 'b': 1})", {"p": "'text'"}),
        ("f('u', json={'a': x, 'b': 2})", None),
        ("f('u', json={'a': x})", None),
        ("f('v', json={'a': x, 'b': 1})", None),
        ("f('u', json=x)", None),
    ],
)
def test_binding_to_an_existing_definition(text, bound):
    pattern = call("f('u', json={'a': p, 'b': 1})")
    if bound is None:
        with pytest.raises(MismatchError):
            bind(pattern, call(text), ["p"])
    else:
        assert {name: code_of(term.node) for name, term in bind(pattern, call(text), ["p"]).items()} == bound


IDENTIFIER = st.from_regex(r"[a-z][a-z_]{0,7}", fullmatch=True).filter(
    lambda name: (
        not keyword.iskeyword(name)
        and name not in {"requests", "json", "print", "api_cache", "operation"}
        and not name.endswith(("key", "token", "secret", "auth"))
    )
)
SPACE = st.sampled_from(["", " ", "\n            "])


@st.composite
def planted(draw) -> str:
    """One duplicate, its variable and function renamed, its layout and the order of its keywords drawn."""
    prompt, response = draw(st.lists(IDENTIFIER, min_size=2, max_size=2, unique=True))
    gap = draw(SPACE)
    url = draw(st.sampled_from(['"https://api.example.com/v1/search"', "URL", 'BASE + "/search"', 'f"{BASE}/search"']))
    keywords = [f"json={{{gap}'q': {prompt},{gap}'limit': 5}}", f"timeout={gap}10"]
    keywords = draw(st.permutations(keywords))
    comma = draw(st.sampled_from(["", ","]))
    arguments = f",{gap}".join([url, *keywords])
    use = draw(
        st.sampled_from([f"return {response}.json()", f"{response}.raise_for_status()\n    return {response}.text"])
    )
    return f"def {{name}}({prompt}):\n    {response} = requests.post({gap}{arguments}{comma}{gap})\n    {use}\n"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(planted(), min_size=2, max_size=5))
def test_planted_duplicates_become_one_operation_whatever_they_are_called(functions):
    head = 'import requests\n\nBASE = "https://api.example.com/v1"\nURL = "https://api.example.com/v1/search"\n'
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, text in enumerate(functions):
            (folder / f"m{number}.py").write_text(head + "\n\n" + text.replace("{name}", f"find_{number}"))
        first = plan([Path()], folder)
        assert [site.code for site in first.sites] == ["M001"] * len(functions)
        write(first)
        operations = (folder / "api_operations.py").read_text()
        assert operations.count("@api_cache.operation") == 1
        assert operations.count("def post_search(") == 1
        for number in range(len(functions)):
            text = (folder / f"m{number}.py").read_text()
            assert 'operation="post_search"' in text
            assert "import requests" not in text
        assert not plan([Path()], folder).changes
