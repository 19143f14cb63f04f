import asyncio
from pathlib import Path

import pytest

from apicache import InputError
from apicache_scenarios import executors
from apicache_scenarios.executors import Load, executor, executor_names


def test_the_executors_are_the_files_of_their_folder():
    files = [file.stem for file in Path(executors.__file__).parent.glob("*.py") if file.stem != "__init__"]
    assert executor_names() == sorted(name.replace("_", "-") for name in files)


@pytest.mark.parametrize("name", executor_names())
def test_every_executor_issues_each_key_once(name):
    issued = []

    async def issue(key):
        issued.append(key)

    asyncio.run(executor(name, Load(concurrency=3)).run([5, 5, 1, 2], issue))
    assert sorted(issued) == [1, 2, 5, 5]


def test_an_unknown_executor_is_refused_with_the_known_names():
    with pytest.raises(InputError, match=r"unknown executor 'constant-vu'; did you mean 'constant-vus'\?"):
        executor("constant-vu", Load(concurrency=1))


def test_constant_vus_keeps_exactly_so_many_in_flight():
    in_flight = seen = 0

    async def issue(key):
        nonlocal in_flight, seen
        in_flight += 1
        seen = max(seen, in_flight)
        await asyncio.sleep(0)
        in_flight -= 1

    asyncio.run(executor("constant-vus", Load(concurrency=4)).run(range(50), issue))
    assert seen == 4


def test_constant_vus_take_turns_when_no_request_ever_waits():
    order = []

    async def issue(key):
        order.append(asyncio.current_task())

    asyncio.run(executor("constant-vus", Load(concurrency=2)).run(range(6), issue))
    first, second = order[:2]
    assert first is not second
    assert order == [first, second] * 3


def test_constant_vus_ask_in_the_keys_order():
    order = []

    async def issue(key):
        order.append(key)
        await asyncio.sleep(0)

    asyncio.run(executor("constant-vus", Load(concurrency=3)).run(range(20), issue))
    assert order == list(range(20))
