import datetime as dt
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pytest

from apicache import InputError, UnifiedAPICache
from apicache_scenarios.format.loading import load_scenarios


class Message(TypedDict):
    role: str
    content: str


class Filter(msgspec.Struct, frozen=True):
    field: str
    limit: int = 10


class Unmodelled:
    """A class that no YAML value can be converted to."""


@pytest.fixture
def cache():
    cache = UnifiedAPICache.create()

    @cache.operation("completion")
    async def completion(prompt: str, temperature: float = 0.0, messages: list[Message] | None = None): ...

    @cache.operation("user")
    def user(name: str, params: dict[str, int] | None = None): ...

    @cache.operation("search")
    def search(query: str, by: Filter | None = None, since: dt.date | None = None, tags: tuple[str, ...] = ()): ...

    @cache.operation("anything")
    def anything(**given: Any): ...

    @cache.operation("unchecked")
    def unchecked(thing: "NotDefinedAnywhere", other: Unmodelled, plain): ...  # noqa: F821 - that is the case

    @cache.operation("unmodelled")
    def unmodelled(thing: Unmodelled | None): ...

    return cache


@pytest.fixture
def load(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(text):
        file = Path("faq.yaml")
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_scenarios([file], cache.operations)

    return load


def calls(scenarios):
    return [scenario.call() for scenario in scenarios]


def test_a_bare_list_is_a_whole_file(load):
    assert calls(load("- {operation: completion, prompt: Analyze emergency fund}")) == [
        {"operation": "completion", "prompt": "Analyze emergency fund"}
    ]


def test_the_long_form_has_a_version_and_parameters_under_params(load):
    (scenario,) = load(
        """
version: 1
scenarios:
  - name: by name
    operation: user
    params: {name: Ada, params: {depth: 2}}
"""
    )
    assert scenario.call() == {"operation": "user", "name": "Ada", "params": {"depth": 2}}
    assert (scenario.name, scenario.place) == ("by name", "faq.yaml:4")


def test_several_files_are_read_in_order(cache, tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("- {operation: completion, prompt: one}\n- {operation: completion, prompt: two}\n")
    second.write_text("- {operation: completion, prompt: three}\n")
    loaded = load_scenarios([second, first], cache.operations)
    assert [scenario.params["prompt"] for scenario in loaded] == ["three", "one", "two"]


def test_parameters_become_what_the_annotations_say(load):
    completion, search = load(
        """
- {operation: completion, prompt: x, temperature: 0}
- {operation: search, query: x, by: {field: title}, since: 2025-08-07, tags: [a, b]}
"""
    )
    assert repr(completion.params["temperature"]) == "0.0"
    assert search.params["by"] == Filter("title")
    assert search.params["since"] == dt.date(2025, 8, 7)
    assert search.params["tags"] == ("a", "b")


def test_a_function_with_keyword_arguments_takes_any_parameter(load):
    assert load("- {operation: anything, x: [1, {y: 2}], z: null}")[0].params == {"x": [1, {"y": 2}], "z": None}


def test_annotations_that_cannot_be_resolved_or_converted_to_are_not_checked(load):
    scenarios = load(
        "- {operation: unchecked, thing: 5, other: {a: 1}, plain: [x]}\n- {operation: unmodelled, thing: 5}\n"
    )
    assert [scenario.params for scenario in scenarios] == [
        {"thing": 5, "other": {"a": 1}, "plain": ["x"]},
        {"thing": 5},
    ]


def test_merge_keys_and_aliases_are_written_out(load):
    scenarios = load(
        """
- &base {operation: completion, prompt: first, temperature: 1}
- {<<: *base, prompt: second}
- <<: [{prompt: third}, *base]
- *base
"""
    )
    assert [(s.params["prompt"], s.params["temperature"]) for s in scenarios] == [
        ("first", 1.0),
        ("second", 1.0),
        ("third", 1.0),
        ("first", 1.0),
    ]


def test_every_use_of_an_alias_has_lists_of_its_own(load):
    first, second = load("- {operation: anything, x: &x [1]}\n- {operation: anything, x: *x}\n")
    first.params["x"].append(2)
    assert second.params["x"] == [1]


BAD_INPUT = {
    "an unknown operation": (
        "- {operation: complete, prompt: x}",
        "faq.yaml:1:4: unknown operation 'complete'; did you mean 'completion'?",
    ),
    "an unknown parameter": (
        "- operation: completion\n  prompt: x\n  temprature:\n    1\n",
        "faq.yaml:3:3: completion has no parameter 'temprature'; did you mean 'temperature'?",
    ),
    "a missing parameter": (
        "\n- {operation: completion}",
        "faq.yaml:2:3: completion needs parameter 'prompt'; add prompt:",
    ),
    "a parameter that is called like a key of the format": (
        "- {operation: user, name: Ada}",
        "faq.yaml:1:3: user needs parameter 'name'; give it under params:, name: here belongs to the entry",
    ),
    "a wrong type": (
        "- operation: completion\n  prompt: 42\n",
        "faq.yaml:2:11: completion parameter 'prompt': 42: expected `str`, got `int`; quote it",
    ),
    "text for a number": (
        "- {operation: completion, prompt: x, temperature: '1'}",
        "faq.yaml:1:51: completion parameter 'temperature': '1': expected `float`, got `str`",
    ),
    "a wrong type deep inside": (
        "- operation: completion\n  prompt: x\n  messages:\n    - role: user\n      content: 3\n",
        "faq.yaml:5:16: completion parameter 'messages': 3: expected `str`, got `int`; quote it",
    ),
    "a key that the annotated type has no place for": (
        "- operation: completion\n  prompt: x\n  messages:\n    - role: user\n      content: hi\n      contents: hi\n",
        "faq.yaml:6:7: completion parameter 'messages': has no place for key 'contents'; did you mean 'content'?",
    ),
    "parameters in both places": (
        "- operation: completion\n  params: {prompt: x}\n  temperature: 1\n",
        "faq.yaml:3:3: 'temperature' stands beside params:; expected every parameter under params:, move it there",
    ),
    "params that are no mapping": (
        "- {operation: anything, params: [x]}",
        "faq.yaml:1:33: params ['x'] is not a mapping of parameters; expected {name: value}",
    ),
    "no operation": ("- {prompt: x}", "faq.yaml:1:3: no operation given; expected operation: NAME"),
    "an operation that is no text": (
        "- {operation: 5}",
        "faq.yaml:1:15: operation 5 is not text; expected a str, quote it",
    ),
    "a name that is no text": (
        "- {operation: completion, prompt: x, name: 5}",
        "faq.yaml:1:44: name 5 is not text; expected a str, quote it",
    ),
    "a parameter name that is no text": ("- {operation: anything, 5: x}", "faq.yaml:1:25: key 5 is not text; quote it"),
    "an entry that is no mapping": (
        "- completion",
        "faq.yaml:1:3: 'completion' is not an entry; expected an entry such as {operation: completion, prompt: ...}",
    ),
    "a file that is one text": (
        "hello",
        (
            "faq.yaml:1:1: 'hello' holds no scenarios; "
            "expected a list of entries such as {operation: completion, prompt: ...}"
        ),
    ),
    "an empty file": (
        "# nothing here\n",
        "faq.yaml: is empty; expected a list of entries such as {operation: completion, prompt: ...}",
    ),
    "an empty list": ("[]", "faq.yaml:1:1: the list of scenarios is empty; expected at least one entry"),
    "a version that is not known": (
        "version: 2\nscenarios:\n- {operation: completion, prompt: x}\n",
        "faq.yaml:1:10: version 2 is not known; expected version: 1",
    ),
    "no version": (
        "scenarios:\n- {operation: completion, prompt: x}\n",
        "faq.yaml:1:1: no version given; expected version: 1",
    ),
    "an unknown key": (
        "version: 1\nscenarios:\n- {operation: completion, prompt: x}\nscenario: []\n",
        "faq.yaml:4:1: unknown key 'scenario'; did you mean 'scenarios'?",
    ),
    "a repeated key": (
        "- operation: completion\n  prompt: x\n  prompt: y\n",
        "faq.yaml:3:3: key 'prompt' appears twice in one mapping (first on line 2)",
    ),
    "a date of no calendar": (
        "- {operation: completion, prompt: 2025-13-45}",
        "faq.yaml:1:35: '2025-13-45' is not a YAML timestamp; quote it if it is text",
    ),
    "bytes that are not UTF-8": (
        b"- operation: completion\n  prompt: caf\xe9\n",
        "faq.yaml:2:14: not UTF-8: byte 0xe9; save the file as UTF-8",
    ),
    "a control character": (
        "- operation: completion\n  prompt: \x00\n",
        "faq.yaml:2:11: not YAML: special characters are not allowed",
    ),
    "an unclosed bracket": (
        "- operation: completion\n  prompt: [x\n",
        (
            "faq.yaml:3:1: not YAML: while parsing a flow sequence from line 2: "
            "expected ',' or ']', but got '<stream end>'"
        ),
    ),
    "two documents": (
        "- {operation: completion, prompt: x}\n---\n- {operation: completion, prompt: y}\n",
        "faq.yaml:2:1: not YAML: expected a single document in the stream from line 1: but found another document",
    ),
    "an unknown alias": ("- *base", "faq.yaml:1:3: not YAML: found undefined alias 'base'"),
    "a tag that would run code": (
        "- {operation: completion, prompt: !!python/object/apply:os.system [echo]}",
        (
            "faq.yaml:1:35: tag 'tag:yaml.org,2002:python/object/apply:os.system' is not accepted; "
            "expected plain YAML values"
        ),
    ),
    "an alias inside its own anchor": ("&loop [*loop]", "faq.yaml:1:1: an alias stands inside its own anchor"),
    "merging what is no mapping": (
        "- {<<: [x], operation: completion}",
        "faq.yaml:1:8: '<<' merges a mapping or a list of mappings",
    ),
    "a list as a key": ("- {[x]: y}", "faq.yaml:1:4: a key must be a plain value, not a list or a mapping"),
}


@pytest.mark.parametrize(("text", "message"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input_is_named_with_file_line_and_remedy(load, text, message):
    with pytest.raises(InputError) as refused:
        load(text)
    assert str(refused.value) == message


def test_all_errors_of_all_files_are_told_at_once(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("- {operation: complete}\n- 5\n- {operation: completion, prompt: 1, prompt: 2}\n")
    Path("b.yaml").write_text("[")
    Path("c.yaml").write_text("- {operation: completion, prompt: fine}\n- {operation: user, names: x}\n")
    with pytest.raises(InputError) as refused:
        load_scenarios([Path("c.yaml"), Path("a.yaml"), Path("b.yaml")], cache.operations)
    first, *others = str(refused.value).splitlines()
    assert first == "7 problems"
    assert [line.split(": ")[0].strip() for line in others] == [
        "a.yaml:1:4",
        "a.yaml:2:3",
        "a.yaml:3:35",
        "a.yaml:3:38",
        "b.yaml:1:2",
        "c.yaml:2:3",
        "c.yaml:2:21",
    ]


def test_an_application_without_operations_is_named_as_the_cause(tmp_path):
    file = tmp_path / "faq.yaml"
    file.write_text("- {operation: completion}")
    with pytest.raises(InputError, match="unknown operation 'completion'; the application has registered none"):
        load_scenarios([file], UnifiedAPICache.create().operations)


def test_a_file_that_is_not_there_is_named_with_its_neighbours(cache, tmp_path):
    (tmp_path / "financial.yaml").write_text("[]")
    with pytest.raises(InputError, match=r"finance\.yaml: no such file; did you mean 'financial\.yaml'\?"):
        load_scenarios([tmp_path / "finance.yaml"], cache.operations)


def test_a_file_in_a_folder_that_is_not_there_is_named(cache, tmp_path):
    with pytest.raises(InputError, match=r"a\.yaml: no such file$"):
        load_scenarios([tmp_path / "gone" / "a.yaml"], cache.operations)


def test_a_directory_is_no_scenario_file(cache, tmp_path):
    with pytest.raises(InputError, match="is a directory; expected a YAML file"):
        load_scenarios([tmp_path], cache.operations)


def test_a_symlink_loop_is_refused(cache, tmp_path):
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    with pytest.raises(InputError, match=r"loop\.yaml: cannot be read: "):
        load_scenarios([loop], cache.operations)


def test_a_byte_order_mark_is_no_error(load):
    assert len(load(b"\xef\xbb\xbf- {operation: completion, prompt: x}")) == 1


def test_aliases_that_expand_without_bound_are_refused(load):
    layers = ["- &a0 [x, x, x, x, x, x, x, x, x, x]"]
    layers += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(InputError, match="aliases expand to more than 100,000 values"):
        load("\n".join(layers))


def test_merges_that_expand_without_bound_are_refused(load):
    keys = ", ".join(f"k{n}: 1" for n in range(2000))
    merges = "\n".join("- {<<: *all}" for _ in range(100))
    with pytest.raises(InputError, match="aliases expand to more than 100,000 values"):
        load(f"- &all {{{keys}}}\n{merges}\n")


def test_nesting_without_end_is_refused(load):
    with pytest.raises(InputError, match="nested too deeply"):
        load("[" * 20_000)
