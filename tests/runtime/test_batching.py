"""Batched operations: each item is cached by itself, and what is missing is sent together."""

import asyncio
import contextvars
import sqlite3
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apicache import BatchResultError, InputError, UnifiedAPICache


class Upstream:
    """A cache with the batched operation `embed`; `sent` has the items of each call."""

    def __init__(self, answer=None, *, cache=None, policy=None, **options):
        self.sent = []
        self.rests = []
        self.cache = cache or UnifiedAPICache.create()

        @self.cache.batched("embed", over="text", **options, **(policy or {}))
        async def embed(texts, model="m", **rest):
            self.sent.append(list(texts))
            self.rests.append(rest or model)
            await asyncio.sleep(0)
            found = [[text, model] for text in texts] if answer is None else answer(texts)
            return await found if asyncio.iscoroutine(found) else found

    def embed(self, text, **rest):
        return self.cache.cached_api_call(operation="embed", text=text, **rest)

    def run(self, *texts, **rest):
        async def main():
            return await asyncio.gather(*(self.embed(text, **rest) for text in texts), return_exceptions=True)

        return asyncio.run(main())


def test_single_calls_of_a_tick_become_one_call():
    upstream = Upstream()
    assert upstream.run("a", "b", "a") == [["a", "m"], ["b", "m"], ["a", "m"]]
    assert upstream.sent == [["a", "b"]]
    assert upstream.run("b", "c") == [["b", "m"], ["c", "m"]]
    assert upstream.sent == [["a", "b"], ["c"]]
    assert upstream.cache.get_stats()["cache_hits"] == 1


def test_calls_that_differ_in_another_parameter_are_sent_apart():
    upstream = Upstream()

    async def main():
        return await asyncio.gather(
            upstream.embed("a"), upstream.embed("a", model="n"), upstream.embed("b", model="m"), upstream.embed("c")
        )

    assert asyncio.run(main()) == [["a", "m"], ["a", "n"], ["b", "m"], ["c", "m"]]
    assert upstream.sent == [["a", "b", "c"], ["a"]]


def test_a_full_batch_is_sent_and_another_one_begins():
    upstream = Upstream(batch_size=3)
    upstream.run(*"abcdefgh")
    assert upstream.sent == [["a", "b", "c"], ["d", "e", "f"], ["g", "h"]]


def test_calls_within_max_wait_are_sent_together_and_a_full_batch_does_not_wait():
    upstream = Upstream(batch_size=2, max_wait=3600)

    async def later():
        await asyncio.sleep(0.001)
        return await upstream.embed("b")

    async def main():
        return await asyncio.gather(upstream.embed("a"), later())

    assert asyncio.run(main()) == [["a", "m"], ["b", "m"]]
    assert upstream.sent == [["a", "b"]]


def test_no_more_batches_than_concurrency_are_under_way():
    running, most = 0, 0

    async def answer(texts):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return texts

    upstream = Upstream(answer, batch_size=1, concurrency=2)
    assert upstream.run(*"abcdef") == list("abcdef")
    assert most == 2


def test_an_exception_in_a_place_is_that_items_and_is_not_kept():
    upstream = Upstream(lambda texts: [ValueError("no") if text == "b" else text for text in texts])
    a, b, c = upstream.run("a", "b", "c")
    assert (a, str(b), c) == ("a", "no", "c")
    assert upstream.run("a", "b", "c")[1].args == ("no",)
    assert upstream.sent == [["a", "b", "c"], ["b"]]


def test_an_exception_is_every_items():
    def answer(_texts):
        raise ConnectionError("down")

    assert [type(each) for each in Upstream(answer).run("a", "b")] == [ConnectionError] * 2


@pytest.mark.parametrize("answer", [lambda texts: texts[1:], lambda _texts: None, lambda _texts: "ab", set])
def test_a_wrong_number_of_results_fails_the_batch_and_tells_no_content(answer):
    errors = Upstream(answer).run("secret-a", "secret-b")
    assert [type(error) for error in errors] == [BatchResultError] * 2
    assert [(error.operation, error.position, error.size) for error in errors] == [("embed", 0, 2), ("embed", 1, 2)]
    assert "one result for each item" in str(errors[0])
    assert "secret" not in str(errors)


def test_a_mapping_without_an_item_fails_that_item_alone():
    upstream = Upstream(lambda texts: {text: text.upper() for text in texts if text != "b"})
    a, b, c = upstream.run("a", "b", "c")
    assert (a, type(b), c) == ("A", BatchResultError, "C")
    assert "position 1 of its batch of 3" in str(b)
    assert type(Upstream(dict).run(["no key"])[0]) is ValueError


def test_results_that_tell_their_place_are_taken_by_it():
    def answer(texts):
        found = [{"index": place, "value": text} for place, text in enumerate(texts)]
        return [found[2], found[0], {"index": 1, "value": "x"}, {"index": 1, "value": "y"}, {"index": 9}, {}]

    a, b, c, d = Upstream(answer, index="index").run(*"abcd")
    assert (a["value"], c["value"]) == ("a", "c")
    assert [type(each) for each in (b, d)] == [BatchResultError] * 2  # told twice, and not at all


def test_one_object_in_two_places_is_two_callers_own():
    shared = ["x"]
    first, second = Upstream(lambda texts: [shared] * len(texts)).run("a", "b")
    assert first == second == ["x"]
    assert first is not second


def test_a_cancelled_caller_cancels_nobody_else_and_is_not_asked_for():
    upstream = Upstream(max_wait=3600, batch_size=2)

    async def main():
        first = asyncio.ensure_future(upstream.embed("a"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await asyncio.gather(upstream.embed("b"), upstream.embed("c"))

    assert asyncio.run(main()) == [["b", "m"], ["c", "m"]]
    assert upstream.sent == [["b", "c"]]


@pytest.mark.parametrize("stay", [0, 1])
def test_the_upstream_call_is_cancelled_when_all_callers_are(stay):
    seen = []

    async def answer(texts):
        seen.append("begun")
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return texts

    upstream = Upstream(answer)

    async def main():
        calls = [asyncio.ensure_future(upstream.embed(text)) for text in "ab"]
        while not seen:
            await asyncio.sleep(0)
        for call in calls[stay:]:
            call.cancel()
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(main())
    assert seen == ["begun", "cancelled"][: 2 - stay]
    assert answers[:stay] == ["a"][:stay]


def test_a_batch_that_is_cancelled_from_inside_cancels_its_callers():
    async def answer(_texts):
        raise asyncio.CancelledError

    assert [type(each) for each in Upstream(answer).run("a", "b")] == [asyncio.CancelledError] * 2


def test_scopes_are_never_in_one_batch():
    upstream = Upstream()

    async def main():
        views = [upstream.cache.using(scope=scope) for scope in ("x", "y", "x")]
        calls = [view.cached_api_call(operation="embed", text=text) for view, text in zip(views, "abc", strict=True)]
        await asyncio.gather(*calls)

    asyncio.run(main())
    assert upstream.sent == [["a", "c"], ["b"]]


def test_a_batch_has_a_context_of_its_own_the_first_callers_copy():
    who = contextvars.ContextVar("who", default="nobody")
    seen = []

    async def answer(texts):
        seen.append(who.get())
        who.set("the batch")
        await asyncio.sleep(0)
        return texts

    upstream = Upstream(answer)

    async def caller(name, text):
        who.set(name)
        await upstream.embed(text)
        return who.get()

    async def main():
        return await asyncio.gather(caller("first", "a"), caller("second", "b"))

    assert asyncio.run(main()) == ["first", "second"]
    assert seen == ["first"]


def test_what_a_caller_changes_meanwhile_does_not_change_the_others_batch():
    upstream = Upstream(lambda texts: [f"{text} {upstream.rests[-1]}" for text in texts])
    options = {"n": 1}

    async def main():
        first = asyncio.ensure_future(upstream.embed("a", options=options))
        second = asyncio.ensure_future(upstream.embed("b", options={"n": 1}))
        await asyncio.sleep(0)
        options["n"] = 2
        return await asyncio.gather(first, second)

    asyncio.run(main())
    assert upstream.rests == [{"options": {"n": 1}}]


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_batched_function_may_call_its_own_operation(concurrency):
    """A parent's item waits for a batch of its own while the only place is taken."""
    cache = UnifiedAPICache.create()
    sent = []

    @cache.batched("node", over="number", concurrency=concurrency, batch_size=2)
    async def node(numbers):
        sent.append(sorted(numbers))
        parents = [cache.cached_api_call(operation="node", number=number // 2) for number in numbers if number]
        await asyncio.gather(*parents)
        return numbers

    async def main():
        async with asyncio.timeout(20):
            return await asyncio.gather(*(cache.cached_api_call(operation="node", number=n) for n in range(9)))

    assert asyncio.run(main()) == list(range(9))
    assert {number for numbers in sent for number in numbers} == set(range(9))


def test_each_event_loop_has_batches_of_its_own():
    upstream = Upstream()
    loops = [threading.Thread(target=upstream.run, args=(f"{name}1", f"{name}2")) for name in "abcd"]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    assert sorted(upstream.sent) == [[f"{name}1", f"{name}2"] for name in "abcd"]


def test_an_async_function_is_refused_in_sync_code():
    upstream = Upstream()
    with pytest.raises(TypeError, match="embed is async"):
        upstream.cache.cached_api_call_sync(operation="embed", text="a")


def test_n_queries_become_one():
    """The README's: `SELECT ... WHERE id IN (...)`."""
    database = sqlite3.connect(":memory:")
    database.executescript("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
    database.executemany("INSERT INTO users VALUES (?, ?)", [(n, f"user {n}") for n in range(50)])
    queries = []
    database.set_trace_callback(queries.append)
    cache = UnifiedAPICache.create()

    @cache.batched("user", over="id", ttl="5m")
    def users(ids):
        marks = ",".join("?" * len(ids))
        rows = database.execute(f"SELECT id, name FROM users WHERE id IN ({marks})", ids).fetchall()  # noqa: S608 - marks only
        return {**dict.fromkeys(ids), **{row[0]: {"id": row[0], "name": row[1]} for row in rows}}

    async def get_user(user_id):
        return await cache.cached_api_call(operation="user", id=user_id)

    async def main():
        return await asyncio.gather(*(get_user(n) for n in range(0, 100, 2)))

    found = asyncio.run(main())
    assert found == [{"id": n, "name": f"user {n}"} if n < 50 else None for n in range(0, 100, 2)]
    assert len(queries) == 1
    assert asyncio.run(get_user(4)) == {"id": 4, "name": "user 4"}
    assert len(queries) == 1
    database.close()


REFUSED = {
    "batch_size": ({"batch_size": 0}, "batch_size=0"),
    "concurrency": ({"concurrency": True}, "concurrency=True"),
    "max_wait": ({"max_wait": -1}, "duration"),
    "over": ({"over": "model"}, "over='model'"),
    "operation": ({"over": "operation"}, "operation"),
    "items": ({"items": "txts"}, "did you mean 'texts'"),
    "policy": ({"tll": 3}, "did you mean 'ttl'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused(what):
    options, told = REFUSED[what]
    with pytest.raises(InputError, match=told):

        @UnifiedAPICache.create().batched("embed", **{"over": "text", **options})
        async def embed(texts, model="m"):
            return texts


def test_a_function_without_a_list_is_refused_and_so_is_an_unknown_parameter():
    with pytest.raises(InputError, match="takes no list"):
        UnifiedAPICache.create().batched("embed", over="text")(lambda: None)
    with pytest.raises(TypeError, match="texts"):
        asyncio.run(Upstream(items="model", cache=UnifiedAPICache.create()).embed("a"))


@settings(deadline=None, max_examples=60)
@given(
    waves=st.lists(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("mn")), max_size=12), max_size=5),
    batch_size=st.integers(1, 5),
    concurrency=st.integers(1, 3),
)
def test_any_interleaving_gives_each_item_its_own_result_and_sends_each_miss_once(waves, batch_size, concurrency):
    upstream = Upstream(batch_size=batch_size, concurrency=concurrency)

    async def main():
        async def wave(calls):
            many = [{"operation": "embed", "text": text, "model": model} for text, model in calls[::2]]
            single = [upstream.embed(text, model=model) for text, model in calls[1::2]]
            answers = await asyncio.gather(upstream.cache.cached_api_calls(many), *single)
            assert answers[0] == [[text, model] for text, model in calls[::2]]
            assert answers[1:] == [[text, model] for text, model in calls[1::2]]

        waiting = []
        for calls in waves:
            waiting.append(asyncio.ensure_future(wave(calls)))
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)

    asyncio.run(main())
    sent = [(text, model) for texts, model in zip(upstream.sent, upstream.rests, strict=True) for text in texts]
    assert sorted(sent) == sorted({call for calls in waves for call in calls})
    assert all(len(texts) <= batch_size for texts in upstream.sent)
