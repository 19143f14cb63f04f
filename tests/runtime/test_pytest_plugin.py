"""The pytest plugin, in pytest processes of its own."""

import os
import subprocess
import sys
import textwrap

import pytest

OPERATION = """
import pytest
from apicache import UnifiedAPICache

cache = UnifiedAPICache()
loads = []

@cache.operation("quote", ttl=60)
def quote(symbol):
    loads.append(symbol)
    return len(loads)

def ask(symbol="A"):
    return cache.cached_api_call_sync(operation="quote", symbol=symbol)
"""


@pytest.fixture
def run(tmp_path):
    """Runs a test module in its own process: (exit status, output)."""

    def run(tests, *options):
        (tmp_path / "test_it.py").write_text(OPERATION + textwrap.dedent(tests), encoding="utf-8")
        (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("APICACHE", "PYTEST"))}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        command = [sys.executable, "-m", "pytest", "-p", "apicache.pytest_plugin", "-p", "no:cacheprovider", *options]
        ended = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        return ended.returncode, ended.stdout + ended.stderr

    return run


def assert_passed(ended, count):
    status, output = ended
    assert status == 0, output
    assert f"{count} passed" in output


def test_the_cache_is_off_for_a_test_that_does_not_ask(run, tmp_path):
    ended = run("""
        def test_every_call_loads():
            assert [ask(), ask()] == [1, 2]
            assert cache.mode == "off"
    """)
    assert_passed(ended, 1)
    assert not (tmp_path / ".apicache").exists()


def test_the_fixture_gives_the_process_wide_cache_switched_on(run, tmp_path):
    ended = run("""
        def test_the_second_call_hits(apicache_cache):
            assert apicache_cache is cache
            assert [ask(), ask()] == [1, 1]
            assert apicache_cache.get_stats()["cache_hits"] == 1
    """)
    assert_passed(ended, 1)
    assert not (tmp_path / ".apicache").exists()


def test_the_marker_does_the_same_without_the_fixture(run):
    ended = run(
        """
        @pytest.mark.apicache
        def test_marked():
            assert [ask(), ask()] == [1, 1]

        def test_unmarked():
            assert ask() != ask()
        """,
        "--strict-markers",
    )
    assert_passed(ended, 2)


def test_a_marked_class_and_a_marked_unittest_case_have_it_too(run):
    ended = run("""
        import unittest

        @pytest.mark.apicache
        class TestMarked:
            def test_second_call_hits(self):
                assert ask() == ask()

        @pytest.mark.apicache
        class Case(unittest.TestCase):
            def test_second_call_hits(self):
                assert ask() == ask()
    """)
    assert_passed(ended, 2)


def test_entries_expire_when_the_clock_is_advanced(run):
    ended = run("""
        def test_time_passes(apicache_cache):
            first = ask()
            apicache_cache.clock.advance(59)
            assert ask() == first
            apicache_cache.clock.advance(60)
            assert ask() == first + 1
    """)
    assert_passed(ended, 1)


def test_the_marker_and_the_fixture_together_give_one_cache(run):
    ended = run("""
        @pytest.mark.apicache
        def test_both(apicache_cache):
            first = ask()
            apicache_cache.clock.advance(3600)
            assert ask() == first + 1
    """)
    assert_passed(ended, 1)


def test_no_entry_count_or_time_passes_from_one_test_to_the_next(run):
    ended = run("""
        @pytest.mark.parametrize("number", [1, 2, 3])
        def test_alone(apicache_cache, number):
            start = apicache_cache.clock.now()
            assert start == 1_700_000_000
            assert ask() == number
            assert ask() == number
            assert apicache_cache.get_stats()["cache_hits"] == 1
            apicache_cache.clock.advance(10)
    """)
    assert_passed(ended, 3)


def test_afterwards_the_cache_is_as_it_was_even_when_the_test_failed(run):
    status, output = run("""
        def test_fails(apicache_cache):
            ask()
            raise RuntimeError("as intended")

        def test_after_it():
            assert cache.mode == "off"
            assert ask() != ask()
            assert cache.get_stats()["cache_hits"] == 0
    """)
    assert status == 1, output
    assert "1 failed, 1 passed" in output
    assert "as intended" in output


def test_asynchronous_calls_of_a_test_are_cached_too(run):
    ended = run("""
        import asyncio

        def test_async(apicache_cache):
            async def both():
                return [await cache.cached_api_call(operation="quote", symbol="A") for _ in range(2)]

            first, second = asyncio.run(both())
            assert first == second
    """)
    assert_passed(ended, 1)


def test_decorated_functions_and_bound_surfaces_made_at_import_follow(run):
    ended = run("""
        from apicache import cached, cached_api_call_sync, using

        @cached(prefix="rate", ttl=60)
        def rate(symbol):
            loads.append(symbol)
            return len(loads)

        bound = using(operation="quote", ttl=30)

        def ask_bound():
            return bound.cached_api_call_sync(rate.__wrapped__, "A")

        def ask_module():
            return cached_api_call_sync(operation="quote", symbol="A")

        ASKS = [lambda: rate("A"), ask_bound, ask_module]

        @pytest.mark.parametrize("ask", ASKS)
        def test_off(ask):
            assert ask() != ask()

        @pytest.mark.apicache
        @pytest.mark.parametrize("ask", ASKS)
        def test_on(ask):
            assert ask() == ask()

        @pytest.mark.parametrize("ask", ASKS)
        def test_off_again(ask):
            assert ask() != ask()
    """)
    assert_passed(ended, 9)


def test_the_marker_is_documented(run):
    status, output = run("", "--markers")
    assert status == 0
    assert "@pytest.mark.apicache: the process-wide cache is on" in output


def test_loading_the_plugin_loads_no_runtime():
    code = "import sys, apicache.pytest_plugin; print(*(name for name in sys.modules if name.startswith('apicache')))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["apicache", "apicache.pytest_plugin"]


def test_a_session_in_which_no_test_asks_loads_no_runtime(tmp_path):
    (tmp_path / "test_plain.py").write_text(
        "import sys\ndef test_plain():\n    assert 'apicache.cache' not in sys.modules\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "apicache.pytest_plugin", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
