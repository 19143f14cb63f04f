import io

from rich.console import Console

from apicache_cli.progress import progress


def shown(total, steps, **terminal):
    out = io.StringIO()
    with progress(Console(file=out, width=80, **terminal), "warming", total) as advance:
        for done in steps:
            advance(done)
    return out.getvalue()


def test_without_a_terminal_it_is_a_line_for_every_tenth():
    lines = shown(1000, range(1, 1001)).splitlines()
    assert lines == [f"warming {done}/1000" for done in range(100, 1001, 100)]


def test_few_steps_are_a_line_each():
    assert shown(3, [1, 2, 3]).splitlines() == ["warming 1/3", "warming 2/3", "warming 3/3"]


def test_steps_that_jump_are_one_line():
    assert shown(100, [5, 95]).splitlines() == ["warming 95/100"]


def test_on_a_terminal_it_is_a_bar_that_goes_away():
    out = shown(3, [1, 2, 3], force_terminal=True)
    assert "━" in out
    assert "3/3" in out
    assert out.endswith("\x1b[2K"), "the bar's line is erased at the end"
