"""How far a long command is: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_STEPS = 10

Advance = Callable[[int], None]
"""Called with the number of steps done so far."""


@contextmanager
def progress(console: Console, what: str, total: int) -> Iterator[Advance]:
    """A progress display on `console` for the length of the block: `what` 40/100."""
    if not console.is_terminal:
        yield _plain(console, what, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)

        def advance(done: int) -> None:
            bar.update(task, completed=done)

        yield advance


def _plain(console: Console, what: str, total: int) -> Advance:
    """A line for every tenth of the way, so that a log stays short."""
    printed = 0

    def advance(done: int) -> None:
        nonlocal printed
        step = done * PLAIN_STEPS // total
        if step > printed:
            printed = step
            console.print(f"{what} {done}/{total}", soft_wrap=True)

    return advance
