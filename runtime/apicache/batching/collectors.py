"""Batches: single calls that are made at the same time become one call of a function that takes a list.

As Facebook's DataLoader collects them (https://github.com/graphql/dataloader): per event loop, until the loop's tick
ends. Each item is a call of its own with a flight of its own, so what reaches a batch is a miss, and comes once.
"""

import asyncio
import contextlib
import functools
import inspect
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final

from apicache import forks
from apicache.batching.batch import CHECK_SECONDS, THREAD, Batch, Rest, Rules, given_out
from apicache.batching.places import Node, Places, link, linked
from apicache.batching.results import BatchForm, Result, failed, matched, separated
from apicache.batching.threads import Threads
from apicache.flow import Make, Pause, Steps

if TYPE_CHECKING:
    from apicache.storing import Outcome

_numbers: Final = itertools.count()
Run = Callable[[Callable[[], Any]], Any]
"""Makes a call that blocks: returns its result, or an awaitable of it."""


class Batching(Rules):
    """One operation's function, and the calls that wait to be given to it."""

    def __init__(
        self, function: Callable[..., Any], form: BatchForm, *, batch_size: int, max_wait: float, concurrency: int
    ) -> None:
        super().__init__(function, form, batch_size=batch_size, max_wait=max_wait, concurrency=concurrency)
        self._here = _Here()
        self._renew()
        forks.on_fork(self._renew)

    def _renew(self) -> None:
        """A forked child begins anew: what its parent's threads had gathered, its parent sends."""
        self.threads = Threads(self)

    def collector(self, loop: asyncio.AbstractEventLoop) -> "_Collector":
        """The running loop's own."""
        found = self._here.collector
        if found is None or found.loop is not loop:
            found = self._here.collector = _Collector(self, loop)
        return found


class BatchedLoad:
    """Makes the call of one item, as a part of a batch."""

    __slots__ = ("_batching", "_item", "_partition", "_rest", "_run", "_size")

    def __init__(
        self, batching: Batching, partition: Hashable, item: Any, rest: Rest, run: "Run | None" = None
    ) -> None:
        """Calls of different partitions are never in one batch; `run` makes a sync batch's call in an event loop."""
        self._batching, self._partition, self._item, self._rest, self._run = batching, partition, item, rest, run
        self._size = [1]
        """How many items its batch had, once it is loaded; one list with what `run_by` gives."""

    def run_by(self, run: "Run") -> "BatchedLoad":
        """The same call of a sync function, in a batch of such calls that `run` makes: the loop can go on meanwhile."""
        made = BatchedLoad(self._batching, (run, self._partition), self._item, self._rest, run)
        made._size = self._size
        return made

    def together(self) -> int:
        """How many items its batch had, once it is loaded."""
        return self._size[0]

    def __call__(self) -> Any:
        """The item's result, or a coroutine for it: for an async function, and in an event loop."""
        if self._batching.is_async or asyncio._get_running_loop() is not None:  # noqa: SLF001 - documented; None without one
            return self._load()
        return self.in_thread()

    async def _load(self) -> Any:
        loop = asyncio._get_running_loop()  # noqa: SLF001 - as above
        if loop is None:  # another kind of event loop, in which nothing here can wait
            result = self._batching.call([self._item], self._rest)
            return given_out(matched(self._batching.form, [self._item], await _awaited(result))[0])
        key, rest = separated(self._partition, self._rest)
        return self._given_out(await self._batching.collector(loop).load(key, rest, self._item, self._run))

    def _given_out(self, result: Result) -> Any:
        self._size[0] = result.size
        return given_out(result)

    def in_thread(self) -> Any:
        """The item's result, for a thread that waits for it; alone where an event loop would have to wait."""
        batching = self._batching
        key, rest = separated(self._partition, self._rest)
        is_alone = not batching.max_wait or asyncio._get_running_loop() is not None  # noqa: SLF001 - as above
        found = batching.threads.load((_numbers.__next__(),) if is_alone else key, rest, self._item, is_alone=is_alone)
        return self._given_out(found)

    def announced(self, steps: Steps) -> Steps:
        """A flow's steps; a batch that is due waits for the calls that were on their way to it by then.

        What a flow does before its load (a look at a far tier, a lease) ends at another moment for each of the calls
        that began together. A flow that has to wait for another process is not waited for.
        """
        loop = asyncio._get_running_loop()  # noqa: SLF001 - as above
        arrive: Callable[[], None] = _nothing if loop is None else self._batching.collector(loop).announce()
        try:
            step = next(steps)
            while True:
                if isinstance(step, Make | Pause):
                    arrive()
                try:
                    result = yield step
                except BaseException as error:  # noqa: BLE001 - the flow decides
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as ended:
            outcome: Outcome = ended.value
            return outcome
        finally:
            arrive()


class _Gathered(Batch):
    """A batch of an event loop."""

    def __init__(self, rest: Rest, run: Run | None) -> None:
        super().__init__(rest)
        self.run = run
        link(self.node, THREAD.node)
        self.futures: list[asyncio.Future[Result]] = []
        self.waiting = 0
        self.due_after: int | None = None
        """Once it is due: the number of the first call that it does not wait for."""
        self.task: asyncio.Task[None] | None = None

    def add(self, item: Any) -> int:
        """As the base's; what waits for the batch needs this thread to the end, to be told of the result."""
        place = super().add(item)
        if self.inside[place]:
            link(self.inside[place][-1], THREAD.node)
        return place

    def leave_out_who_left(self) -> None:
        """Before it is sent: who was cancelled is not asked for."""
        stay = [place for place, future in enumerate(self.futures) if not future.cancelled()]
        self.items = [self.items[place] for place in stay]
        self.inside = [self.inside[place] for place in stay]
        self.futures = [self.futures[place] for place in stay]

    def deliver(self, results: Sequence[Result]) -> None:
        for future, result in zip(self.futures, results, strict=True):
            if isinstance(result.error, asyncio.CancelledError):
                future.cancel()
            elif not future.done():
                future.set_result(result)


class _Here(threading.local):
    """The collector of the event loop that last ran in this thread: a loop runs in one thread at a time."""

    collector: "_Collector | None" = None


class _Collector:
    """One event loop's open batches of one operation, by what their calls agree in."""

    def __init__(self, batching: Batching, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._batching = batching
        self._open: dict[Hashable, _Gathered] = {}
        self._due: dict[Hashable, _Gathered] = {}
        self._coming: dict[int, None] = {}
        """The numbers of the calls on their way here, in ascending order."""
        self._places = Places()
        self._free = asyncio.Semaphore(batching.concurrency)

    def announce(self) -> Callable[[], None]:
        """A call is on its way; gives what is to be called when it has arrived, or will not."""
        number = next(_numbers)
        self._coming[number] = None

        def arrive() -> None:
            if self._coming.pop(number, self) is None and self._due:
                self.loop.call_soon(self._send_due)  # with what arrives in this tick

        return arrive

    async def load(self, key: Hashable, rest: Rest, item: Any, run: Run | None) -> Result:
        """The item's result, to be given out."""
        batch = self._open.get(key)
        while batch is not None and not batch.takes(item):  # an equal item's result would be its own
            key = (key,)
            batch = self._open.get(key)
        if batch is None:
            batch = self._open[key] = _Gathered(rest, run)
            batch.takes(item)
            wait = self._batching.max_wait
            soon = functools.partial(self.loop.call_later, wait) if wait else self.loop.call_soon
            soon(self._is_due, key, batch)
        future: asyncio.Future[Result] = self.loop.create_future()
        batch.add(item)
        batch.futures.append(future)
        batch.waiting += 1
        if batch.waiting >= self._batching.batch_size:
            self._send(key, batch)
        try:
            result = await future
        except asyncio.CancelledError:
            future.cancel()
            await self._leave(batch)
            raise
        return result

    async def _leave(self, batch: _Gathered) -> None:
        batch.waiting -= 1
        task = batch.task
        if task is None or batch.waiting or task.done():
            return
        task.cancel()
        await asyncio.wait((task,))  # as without a batch: a cancelled call has ended when its cleanup has

    def _is_due(self, key: Hashable, batch: _Gathered) -> None:
        if self._open.get(key) is batch:
            batch.due_after = next(_numbers)
            self._due[key] = batch
            self._send_due()

    def _send_due(self) -> None:
        first = next(iter(self._coming), None)
        for key, batch in list(self._due.items()):
            if first is None or (batch.due_after is not None and first >= batch.due_after):
                self._send(key, batch)

    def _send(self, key: Hashable, batch: _Gathered) -> None:
        del self._open[key]
        self._due.pop(key, None)
        batch.leave_out_who_left()
        if batch.items:
            batch.enter()
            batch.task = self.loop.create_task(self._run(batch), context=batch.context)

    async def _run(self, batch: _Gathered) -> None:
        results: Sequence[Result] | None = None
        try:
            async with self._place(batch.node):
                call = functools.partial(self._call, batch)
                answer = await _awaited(call() if batch.run is None else batch.run(call))
            results = matched(self._batching.form, batch.items, answer)
        except Exception as error:  # noqa: BLE001 - every caller raises it
            results = failed(error, len(batch.items))
        except GeneratorExit as error:
            if asyncio._get_running_loop() is None or asyncio.current_task() is not batch.task:  # noqa: SLF001 - as above
                raise  # it is this coroutine that is closed
            told = RuntimeError(f"the function of operation {self._batching.form.operation!r} raised GeneratorExit")
            told.__cause__ = error
            results = failed(told, len(batch.items))
        finally:
            batch.end()
            if results is None:
                for future in batch.futures:
                    future.cancel()
            else:
                batch.deliver(results)

    def _call(self, batch: _Gathered) -> Any:
        with linked(THREAD.node, batch.node):  # until it waits for something, if it is async
            return self._batching.call(list(batch.items), batch.rest)

    async def _is_free_in_time(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await self._free.acquire()
        except TimeoutError:
            return False

    @contextlib.asynccontextmanager
    async def _place(self, node: Node) -> AsyncIterator[None]:
        """One of the places of batches under way; none where waiting for one could never end."""
        if self._free.locked() and self._places.closes_circle(node):
            yield
            return
        with self._places.waited_for(node):
            while not await self._is_free_in_time():
                if self._places.closes_circle(node):  # another thread's waiting has closed it meanwhile
                    yield
                    return
        try:
            with self._places.taken(node):
                yield
        finally:
            self._free.release()


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _nothing() -> None:
    """Where nobody waits."""
