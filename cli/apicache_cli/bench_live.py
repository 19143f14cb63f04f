"""How far a benchmark is: a table on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from apicache_cli.bench_figures import milliseconds, percent
from apicache_scenarios.load.snapshots import Snapshot

PLAIN_STEPS = 10
Show = Callable[[Snapshot], None]


@contextmanager
def shown(console: Console) -> Iterator[Show]:
    """A display on `console` for the length of the block; called with each snapshot."""
    if not console.is_terminal:
        yield _plain(console)
        return
    with Live(console=console, transient=True, refresh_per_second=4) as live:
        yield lambda snapshot: live.update(view(snapshot))


def view(snapshot: Snapshot) -> Group:
    """The table of a moment, and how much is done."""
    done = f"{snapshot.done:,}/{snapshot.total:,} {snapshot.unit}"
    heading = Text(f"stage {snapshot.stage + 1}, {snapshot.phase}: {done}")
    table = Table()
    table.add_column("arm")
    for name in ("requests", "req/s", "hits", "errors", "dropped", "p50", "p99"):
        table.add_column(name, justify="right")
    for name, arm in snapshot.arms.items():
        table.add_row(
            Text(f"{name} *" if name == snapshot.arm else name),
            f"{arm.requests:,}",
            f"{arm.requests / arm.seconds:,.0f}" if arm.seconds else "-",
            percent(arm.hits / arm.requests if arm.requests else None),
            f"{arm.errors:,}",
            f"{arm.dropped:,}",
            milliseconds(arm.p50_ms),
            milliseconds(arm.p99_ms),
        )
    return Group(heading, ProgressBar(total=max(1, snapshot.total), completed=snapshot.done), table)


def _plain(console: Console) -> Show:
    """A line for every tenth of the way, so that a log stays short."""
    printed = 0

    def show(snapshot: Snapshot) -> None:
        nonlocal printed
        step = snapshot.done * PLAIN_STEPS // max(1, snapshot.total)
        if step > printed:
            printed = step
            console.print(f"{snapshot.unit} {snapshot.done}/{snapshot.total}", soft_wrap=True)

    return show
