"""What an entry stands for: matrices, rows of data files, references."""

import tracemalloc
from pathlib import Path

import pytest

from apicache import InputError, UnifiedAPICache
from apicache_scenarios.format.loading import load_files, load_scenarios


@pytest.fixture
def cache():
    cache = UnifiedAPICache.create()

    @cache.operation("completion")
    async def completion(prompt: str, model: str = "small", temperature: float = 0.0, n: int = 1): ...

    @cache.operation("search")
    def search(query: dict[str, list[int]], tags: tuple[str, ...] = ()): ...

    return cache


@pytest.fixture
def load(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(text, environ=None):
        Path("faq.yaml").write_text(text)
        return load_scenarios([Path("faq.yaml")], cache.operations, environ or {})

    return load


def refused(load, text, environ=None):
    with pytest.raises(InputError) as error:
        load(text, environ)
    return str(error.value)


def test_a_matrix_gives_a_case_for_each_combination_the_last_axis_fastest(load):
    cases = load("""
- operation: completion
  matrix: {model: [small, large], lang: [en, de]}
  params: {model: "${{ matrix.model }}", prompt: "[${{ matrix.lang }}] hello"}
""")
    assert [(case.params["model"], case.params["prompt"]) for case in cases] == [
        ("small", "[en] hello"),
        ("small", "[de] hello"),
        ("large", "[en] hello"),
        ("large", "[de] hello"),
    ]


def test_excluded_combinations_are_left_out_and_included_ones_come_last(load):
    cases = load("""
- operation: completion
  matrix: {model: [a, b], n: [1, 2], exclude: [{model: a, n: 2}], include: [{model: c, n: 3}]}
  params: {model: "${{ matrix.model }}", n: "${{ matrix.n }}", prompt: x}
""")
    assert [(case.params["model"], case.params["n"]) for case in cases] == [("a", 1), ("b", 1), ("b", 2), ("c", 3)]


def test_a_reference_that_is_the_whole_text_keeps_the_type_of_what_it_stands_for(load):
    (case,) = load("""
- operation: completion
  matrix: {t: [0], n: [2]}
  params: {prompt: "${{ matrix.t }} and ${{matrix.n}}", temperature: "${{ matrix.t }}", n: "${{ matrix.n }}"}
""")
    assert case.params == {"prompt": "0 and 2", "temperature": 0.0, "n": 2}
    assert type(case.params["temperature"]) is float


def test_references_are_filled_in_inside_lists_and_mappings(load):
    (case,) = load("""
- operation: search
  matrix: {id: [7]}
  params: {query: {ids: ["${{ matrix.id }}", 8]}, tags: ["a${{ matrix.id }}"]}
""")
    assert case.params == {"query": {"ids": [7, 8]}, "tags": ("a7",)}


def test_every_case_has_lists_of_its_own(load):
    first, second = load("""
- operation: search
  matrix: {id: [7, 8]}
  params: {query: {ids: [1]}}
""")
    first.params["query"]["ids"].append(2)
    assert second.params["query"] == {"ids": [1]}


def test_each_row_of_a_csv_file_is_combined_with_each_cell_of_the_matrix(load):
    Path("questions.csv").write_text('question,n\n"one, two",3\nthree,4\n')
    cases = load("""
- operation: completion
  data: {file: questions.csv}
  matrix: {model: [a, b]}
  params: {prompt: "${{ row.question }}", n: "${{ row.n }}", model: "${{ matrix.model }}"}
""")
    assert [tuple(case.params[name] for name in ("prompt", "n", "model")) for case in cases] == [
        ("one, two", 3, "a"),
        ("one, two", 3, "b"),
        ("three", 4, "a"),
        ("three", 4, "b"),
    ]


def test_a_json_line_keeps_its_types_and_is_held_to_them(load):
    Path("rows.jsonl").write_text('{"q": "a", "n": 2}\n\n{"q": "b", "n": "2"}\n')
    message = refused(
        load,
        """
- {operation: completion, data: {file: rows.jsonl}, params: {prompt: "${{ row.q }}", n: "${{ row.n }}"}}
""",
    )
    assert message == (
        "faq.yaml:2:89: completion parameter 'n': '2': expected `int`, got `str` (row in line 3 of the data)"
    )


def test_a_limit_takes_the_first_rows(load):
    Path("rows.csv").write_text("q\n" + "".join(f"{number}\n" for number in range(50)))
    cases = load("""
- {operation: completion, data: {file: rows.csv, limit: 3}, params: {prompt: "${{ row.q }}"}}
""")
    assert [case.params["prompt"] for case in cases] == ["0", "1", "2"]


def test_data_files_lie_beside_the_scenario_file(cache, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "rows.csv").write_text("q\nhello\n")
    file = tmp_path / "deep" / "faq.yaml"
    file.write_text('- {operation: completion, data: {file: rows.csv}, params: {prompt: "${{ row.q }}"}}')
    (case,) = load_scenarios([file], cache.operations)
    assert case.params["prompt"] == "hello"


def test_environment_variables_are_filled_in(load):
    (case,) = load('- {operation: completion, prompt: "hello ${{ env.NAME }}"}', {"NAME": "Ada"})
    assert case.params["prompt"] == "hello Ada"


BAD = {
    "an unset variable": (
        '- {operation: completion, prompt: "${{ env.NAM }}"}',
        "faq.yaml:1:35: the environment variable 'NAM' is not set; did you mean 'NAME'?",
    ),
    "an axis that is not there": (
        '- {operation: completion, matrix: {model: [a]}, params: {prompt: "${{ matrix.modle }}"}}',
        "faq.yaml:1:66: parameter 'prompt': the matrix has no axis 'modle'; did you mean 'model'?",
    ),
    "a row without data": (
        '- {operation: completion, params: {prompt: "${{ row.q }}"}}',
        "faq.yaml:1:44: parameter 'prompt': ${{ row.q }} needs data: with a file",
    ),
    "a source that is not known": (
        '- {operation: completion, params: {prompt: "${{ secrets.q }}"}}',
        (
            "faq.yaml:1:44: parameter 'prompt': 'secrets.q' is not understood; "
            "write ${{ matrix.NAME }}, ${{ row.NAME }} or ${{ env.NAME }}"
        ),
    ),
    "a parameter's value": (
        '- {operation: completion, params: {prompt: "${{ params.q }}"}}',
        (
            "faq.yaml:1:44: parameter 'prompt': 'params.q' is for declared operations; "
            "here write ${{ matrix.NAME }} or ${{ row.NAME }}"
        ),
    ),
    "an axis that is no list": (
        "- {operation: completion, prompt: x, matrix: {model: a}}",
        "faq.yaml:1:47: axis 'model' is not a list of values; expected model: [a, b]",
    ),
    "an excluded value that no axis has": (
        "- {operation: completion, prompt: x, matrix: {model: [a], exclude: [{model: b}]}}",
        "faq.yaml:1:77: axis 'model' has no value 'b' to exclude",
    ),
    "an included combination that lacks an axis": (
        "- {operation: completion, prompt: x, matrix: {model: [a], n: [1], include: [{model: b}]}}",
        "faq.yaml:1:77: include leaves out axis n; give every axis a value",
    ),
    "a data file that is not there": (
        '- {operation: completion, data: {file: row.csv}, params: {prompt: "${{ row.q }}"}}',
        "faq.yaml:1:3: data file row.csv cannot be read: No such file or directory; did you mean 'rows.csv'?",
    ),
    "a column that is not there": (
        '- {operation: completion, data: {file: rows.csv}, params: {prompt: "${{ row.query }}"}}',
        "rows.csv:2:1: no column 'query'; did you mean 'quer'?",
    ),
    "a misspelt key of an entry": (
        "- {operation: completion, prompt: x, priorty: 3}",
        "faq.yaml:1:38: completion has no parameter 'priorty'; did you mean 'priority'?",
    ),
    "a priority that is no number": (
        "- {operation: completion, prompt: x, priority: high}",
        "faq.yaml:1:48: the entry.priority 'high': expected `int`, got `str`",
    ),
    "an unknown way to skip": (
        "- {operation: completion, prompt: x, skip_if: stale}",
        "faq.yaml:1:47: the entry.skip_if 'stale': invalid enum value 'stale'",
    ),
    "a time that is none": (
        "- {operation: completion, prompt: x, ttl: soon}",
        "faq.yaml:1:43: the entry.ttl 'soon' is not usable; expected a duration such as 30s, 5m or 24h",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_named_with_its_place_and_a_remedy(load, text, message):
    Path("rows.csv").write_text("quer\nhello\n")
    assert refused(load, text, {"NAME": "Ada"}) == message


def test_rows_of_another_length_are_named_and_the_others_are_read(load):
    Path("rows.csv").write_text("a,b\n1,2\n1\n1,2,3\n")
    message = refused(
        load,
        """
- {operation: completion, data: {file: rows.csv}, params: {prompt: "${{ row.a }}"}}
""",
    )
    assert [line.strip() for line in message.splitlines()[1:]] == [
        "rows.csv:3:1: the row has not the 2 cells of the header",
        "rows.csv:4:1: the row has not the 2 cells of the header",
    ]


def test_a_thousand_wrong_rows_are_told_in_fifty_lines(load):
    Path("rows.csv").write_text("n\n" + "".join(f"x{number}\n" for number in range(1000)))
    message = refused(
        load,
        """
- {operation: completion, data: {file: rows.csv}, params: {prompt: x, n: "${{ row.n }}"}}
""",
    )
    lines = message.splitlines()
    assert lines[0] == "1,000 problems"
    assert lines[-1] == "  and 950 more"


def test_cases_are_made_one_at_a_time(cache, tmp_path):
    file = tmp_path / "many.yaml"
    numbers = list(range(40))
    file.write_text(f"""
- operation: completion
  matrix: {{a: {numbers}, b: {numbers}, c: {list(range(5))}}}
  params: {{prompt: "${{{{ matrix.a }}}} ${{{{ matrix.b }}}} ${{{{ matrix.c }}}}"}}
""")
    (loaded,) = load_files([file], cache.operations)
    tracemalloc.start()
    try:
        count = sum(1 for _ in loaded.cases())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 8_000
    assert peak < 2 * 2**20
