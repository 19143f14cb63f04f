"""Event hooks: called in order, in the caller's thread, and never in the way."""

import functools
import logging
import threading
import typing

import msgspec
import pytest

from apicache.errors import InputError
from apicache.hooks import EVENT_KINDS, CacheEvent, EventKind, Hooks

HIT = CacheEvent("hit", "completion", "ab" * 32, "memory", 0.25)
MISS = CacheEvent("miss", "completion")


@pytest.fixture
def hooks():
    return Hooks()


def test_hooks_are_false_until_one_is_added_and_again_when_it_is_removed(hooks):
    assert not hooks
    remove = hooks.add(print)
    assert hooks
    remove()
    assert not hooks


def test_a_hook_gets_every_event(hooks):
    seen = []
    hooks.add(seen.append)
    hooks.emit(HIT)
    hooks.emit(MISS)
    assert seen == [HIT, MISS]


def test_a_hook_gets_only_the_kinds_that_it_asked_for(hooks):
    seen = []
    hooks.add(seen.append, kinds=["miss", "stale"])
    hooks.emit(HIT)
    hooks.emit(MISS)
    assert seen == [MISS]


def test_a_hook_with_no_kinds_gets_nothing(hooks):
    seen = []
    hooks.add(seen.append, kinds=())
    hooks.emit(HIT)
    assert seen == []


def test_hooks_are_called_in_the_order_in_which_they_were_added(hooks):
    seen = []
    hooks.add(lambda _: seen.append("first"))
    hooks.add(lambda _: seen.append("second"))
    hooks.emit(HIT)
    assert seen == ["first", "second"]


def test_one_function_added_twice_is_called_twice_and_removed_one_at_a_time(hooks):
    seen = []
    remove = hooks.add(seen.append)
    hooks.add(seen.append)
    hooks.emit(HIT)
    remove()
    remove()
    hooks.emit(MISS)
    assert seen == [HIT, HIT, MISS]


def test_a_hook_may_remove_itself_while_it_is_called(hooks):
    seen = []

    def once(event):
        seen.append(event)
        remove()

    remove = hooks.add(once)
    hooks.add(seen.append)
    hooks.emit(HIT)
    hooks.emit(MISS)
    assert seen == [HIT, HIT, MISS]


def test_a_hook_runs_in_the_thread_of_the_call(hooks):
    seen = []
    hooks.add(lambda _: seen.append(threading.current_thread()))
    thread = threading.Thread(target=hooks.emit, args=(HIT,))
    thread.start()
    thread.join()
    assert seen == [thread]


def test_a_hook_that_raises_is_logged_once_and_stops_nobody(hooks, caplog):
    seen = []

    def broken(event):
        message = "secret-in-message"
        raise ValueError(message)

    hooks.add(broken)
    hooks.add(seen.append)
    with caplog.at_level(logging.WARNING, "apicache"):
        hooks.emit(HIT)
        hooks.emit(MISS)
    assert seen == [HIT, MISS]
    (record,) = caplog.records
    assert "broken" in record.getMessage()
    assert "ValueError" in record.getMessage()
    assert "secret-in-message" not in caplog.text


def test_each_broken_hook_is_logged(hooks, caplog):
    hooks.add(lambda _: 1 / 0)
    hooks.add(lambda _: {}["absent"])
    hooks.emit(HIT)
    hooks.emit(HIT)
    assert len(caplog.records) == 2


def test_an_interrupt_inside_a_hook_passes_and_later_events_are_told(hooks):
    seen = []

    def interrupted(event):
        seen.append(event)
        raise KeyboardInterrupt

    hooks.add(interrupted, kinds=["hit"])
    hooks.add(seen.append, kinds=["miss"])
    with pytest.raises(KeyboardInterrupt):
        hooks.emit(HIT)
    hooks.emit(MISS)
    assert seen == [HIT, MISS]


def test_events_of_calls_that_a_hook_makes_itself_do_not_call_it_again(hooks):
    seen = []

    def calling(event):
        seen.append(event)
        hooks.emit(MISS)

    hooks.add(calling)
    hooks.emit(HIT)
    hooks.emit(HIT)
    assert seen == [HIT, HIT]


async def async_function(event): ...


async def async_generator(event):
    yield event


class AsyncCallable:
    async def __call__(self, event): ...


@pytest.mark.parametrize(
    "hook",
    [async_function, async_generator, AsyncCallable(), functools.partial(async_function), AsyncCallable().__call__],
)
def test_an_async_hook_is_refused_with_what_to_do_instead(hooks, hook):
    with pytest.raises(InputError, match=r"is async.*plain function"):
        hooks.add(hook)
    assert not hooks


@pytest.mark.parametrize("hook", [None, "print", 3])
def test_what_cannot_be_called_is_refused(hooks, hook):
    with pytest.raises(InputError, match="cannot be called"):
        hooks.add(hook)


def test_an_unknown_kind_is_refused_with_the_close_ones(hooks):
    with pytest.raises(InputError, match=r"unknown event kind 'store'; did you mean 'stored'"):
        hooks.add(print, kinds=["hit", "store"])
    assert not hooks


def test_a_text_in_place_of_kinds_is_refused_with_what_to_type(hooks):
    with pytest.raises(InputError, match=r"type kinds=\('hit',\)"):
        hooks.add(print, kinds="hit")


def test_an_event_cannot_be_changed():
    with pytest.raises(AttributeError):
        HIT.kind = "miss"


def test_an_event_carries_its_fields_and_nothing_else():
    assert msgspec.structs.asdict(HIT) == {
        "kind": "hit",
        "operation": "completion",
        "key": "ab" * 32,
        "tier": "memory",
        "seconds": 0.25,
        "detail": None,
    }


def test_the_kinds_that_are_checked_are_the_kinds_that_are_typed():
    assert set(typing.get_args(EventKind)) == EVENT_KINDS
