"""One suite over every tier file."""

import importlib
import itertools
import math
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import apicache.tiers as tiers  # noqa: PLR0402 - a submodule, which the package itself does not name
from apicache.entry import NEVER, Entry
from apicache.errors import InputError
from apicache.markers import Marker
from apicache.tier import SharedTier, Tier, TierPlace, TierSize

NOW = 1_700_000_000.0
SHORTENED = 1e-3
"""A tier inside the process may keep times a little shorter, by this part at most; never longer."""


def is_shared(name: str) -> bool:
    module = importlib.import_module(f"apicache.tiers.{name}")
    return any(isinstance(item, type) and hasattr(item, "claim") for item in vars(module).values())


SHARED = sorted(filter(is_shared, tiers.known()))

Opener = Callable[[], Tier]


def opener_of(name: str, request: pytest.FixtureRequest, directory: Path) -> Opener:
    options = {"url": request.getfixturevalue("redis_url")} if name == "redis" else {}
    place = TierPlace(directory=directory, options=options, timeout=2.0)
    return lambda: tiers.build(name, place)


@pytest.fixture(params=sorted(tiers.known()))
def tier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tier]:
    tier = opener_of(request.param, request, tmp_path)()
    tier.clear()
    yield tier
    tier.close()


@pytest.fixture(params=SHARED)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SharedTier, SharedTier]]:
    """Two tiers over one store, as two processes have them."""
    build = opener_of(request.param, request, tmp_path)
    one, other = build(), build()
    assert isinstance(one, SharedTier)
    assert isinstance(other, SharedTier)
    one.clear()
    yield one, other
    one.close()
    other.close()


def entry(payload: bytes = b"\x01", lasts: float = 1000.0) -> Entry:
    return Entry("o", "value", payload, NOW, NOW + lasts / 2, NOW + lasts)


def new_key() -> bytes:
    return os.urandom(32)


def get(tier: Tier, key: bytes) -> Entry | None:
    return tier.get_many([key]).get(key)


def payload(tier: Tier, key: bytes) -> bytes | None:
    found = get(tier, key)
    return None if found is None else found.payload


def test_a_tier_file_is_a_tier_and_its_name_the_tiers(tier: Tier) -> None:
    assert tier.name in tiers.known()
    assert isinstance(tier.blocking, bool)
    assert isinstance(tier, SharedTier) == (tier.name in SHARED)


def test_what_is_set_is_got_and_nothing_else(tier: Tier) -> None:
    keys = [new_key() for _ in range(5)]
    assert tier.get_many(keys) == {}
    tier.set_many({key: entry(bytes([n])) for n, key in enumerate(keys[:4])}, NOW)
    assert {key: found.payload for key, found in tier.get_many(keys).items()} == {
        key: bytes([n]) for n, key in enumerate(keys[:4])
    }
    assert payload(tier, keys[2]) == b"\x02"
    assert payload(tier, keys[4]) is None


def test_nothing_asked_is_nothing_done(tier: Tier) -> None:
    tier.set_many({}, NOW)
    tier.delete_many([])
    assert tier.get_many([]) == {}


def test_a_key_asked_twice_is_one_answer(tier: Tier) -> None:
    key = new_key()
    tier.set_many({key: entry(b"x")}, NOW)
    assert list(tier.get_many([key, key])) == [key]


def test_a_thousand_entries_go_in_and_out_at_once(tier: Tier) -> None:
    stored = {new_key(): entry(str(n).encode()) for n in range(1001)}
    tier.set_many(stored, NOW)
    found = tier.get_many(list(stored))
    assert {key: value.payload for key, value in found.items()} == {key: value.payload for key, value in stored.items()}


def test_the_newest_set_wins(tier: Tier) -> None:
    key = new_key()
    for size in (1, 100_000, 2, 200_000, 3):
        value = os.urandom(size)
        tier.set_many({key: entry(value)}, NOW)
        assert payload(tier, key) == value


def test_deleting_and_clearing_forget(tier: Tier) -> None:
    keys = [new_key() for _ in range(4)]
    tier.set_many({key: entry(os.urandom(50_000)) for key in keys}, NOW)
    tier.delete_many([keys[0], new_key(), keys[1]])
    assert set(tier.get_many(keys)) == set(keys[2:])
    tier.delete_many([keys[2]])
    assert set(tier.get_many(keys)) == {keys[3]}
    tier.clear()
    assert tier.get_many(keys) == {}


def test_large_values_survive(tier: Tier) -> None:
    key, other = new_key(), new_key()
    large, compressible = random.Random(5).randbytes(2 * 2**20), bytes(range(256)) * 8192  # noqa: S311 - any bytes
    tier.set_many({key: entry(large), other: entry(compressible), new_key(): entry(b"small")}, NOW)
    assert payload(tier, key) == large
    assert payload(tier, other) == compressible


def test_an_entry_comes_back_with_all_it_had(tier: Tier) -> None:
    stored = Entry(
        operation="completion",
        codec="httpx",
        payload=b"\x00\xff" * 100,
        created=NOW + 0.123456,
        fresh_until=NOW + 10.654321,
        expires=NOW + 100.111111,
        cost=0.00125,
        compute_seconds=1.625,
        tags=("user:1", "größe"),
        validators=(("etag", '"a"'), ("last-modified", "Tue")),
        must_revalidate=True,
    )
    key = new_key()
    tier.set_many({key: stored}, NOW)
    found = get(tier, key)
    assert found is not None
    if tier.blocking:
        assert found == stored
    assert found.created == stored.created
    for kept, given_ in ((found.fresh_until, stored.fresh_until), (found.expires, stored.expires)):
        assert kept <= given_
        assert kept - stored.created >= (given_ - stored.created) * (1 - SHORTENED)
    assert found.compute_seconds == pytest.approx(stored.compute_seconds, rel=SHORTENED)
    same = ("compute_seconds", "fresh_until", "expires")
    without = {name: getattr(stored, name) for name in same}
    assert msgspec.structs.replace(found, **without) == stored


def test_an_entry_that_never_expires_is_kept(tier: Tier) -> None:
    key = new_key()
    tier.set_many({key: entry(lasts=math.inf)}, NOW)
    assert payload(tier, key) == b"\x01"


def test_what_a_caller_does_to_its_list_changes_nothing(tier: Tier) -> None:
    key = new_key()
    entries = {key: entry()}
    tier.set_many(entries, NOW)
    entries.clear()
    tier.get_many([key]).clear()
    assert payload(tier, key) == b"\x01"


def test_size_counts_entries_and_bytes_and_tells_the_bounds(tier: Tier) -> None:
    before = tier.size()
    assert isinstance(before, TierSize)
    assert before.entries == 0
    tier.set_many({new_key(): entry(os.urandom(10_000)) for _ in range(20)}, NOW)
    after = tier.size()
    assert after.entries == 20
    assert after.bytes >= before.bytes + 200_000


def test_a_closed_tier_opens_again(tier: Tier) -> None:
    first, second = new_key(), new_key()
    tier.set_many({first: entry()}, NOW)
    tier.close()
    tier.close()
    tier.set_many({second: entry()}, NOW)
    assert payload(tier, second) == b"\x01"
    if tier.blocking:
        assert payload(tier, first) == b"\x01"


def test_eight_threads_may_use_a_tier_at_once(tier: Tier) -> None:
    errors: list[BaseException] = []

    def work(own: int) -> None:
        try:
            for n in range(25):
                keys = [new_key(), new_key()]
                tier.set_many({key: entry(bytes([own, n])) for key in keys}, NOW)
                assert [found.payload for found in tier.get_many(keys).values()] == [bytes([own, n])] * 2
                tier.delete_many(keys[:1])
                assert payload(tier, keys[0]) is None
                assert payload(tier, keys[1]) == bytes([own, n])
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(own,)) for own in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_one_tier_reads_what_another_stored(pair: tuple[SharedTier, SharedTier]) -> None:
    one, other = pair
    key = new_key()
    one.set_many({key: entry(b"shared")}, NOW)
    assert payload(other, key) == b"shared"
    other.delete_many([key])
    assert payload(one, key) is None


def test_an_entry_over_already_is_not_stored(pair: tuple[SharedTier, SharedTier]) -> None:
    one, _ = pair
    over, alive = new_key(), new_key()
    one.set_many({over: entry(lasts=0.0), alive: entry()}, NOW)
    assert set(one.get_many([over, alive])) == {alive}
    one.set_many({over: entry(lasts=-5.0)}, NOW)
    assert payload(one, over) is None


def test_entries_gives_every_key_with_its_entry(pair: tuple[SharedTier, SharedTier]) -> None:
    one, other = pair
    stored = {new_key(): entry(os.urandom(size)) for size in [1, 60_000] + [3] * 1100}
    one.set_many(stored, NOW)
    one.claim(new_key(), "owner", 30.0)
    one.publish([Marker("tag", uuid.uuid4().hex, NOW)])
    assert dict(other.entries()) == stored
    one.clear()
    assert list(other.entries()) == []


def test_a_lease_has_one_owner(pair: tuple[SharedTier, SharedTier]) -> None:
    one, other = pair
    key = new_key()
    assert one.claim(key, "a", 30.0)
    assert not other.claim(key, "b", 30.0)
    assert one.claim(key, "a", 30.0)
    assert other.claim(new_key(), "b", 30.0)


def test_a_lease_given_back_is_free_and_only_its_owner_gives_it(pair: tuple[SharedTier, SharedTier]) -> None:
    one, other = pair
    key = new_key()
    one.claim(key, "a", 30.0)
    other.release(key, "b")
    assert not other.claim(key, "b", 30.0)
    one.release(key, "a")
    assert other.claim(key, "b", 30.0)
    one.release(key, "a")
    assert not one.claim(key, "a", 30.0)


def test_a_lease_ends_and_its_late_owner_does_not_get_it_back(pair: tuple[SharedTier, SharedTier]) -> None:
    one, other = pair
    key = new_key()
    assert one.claim(key, "crashed", 0.03)
    until(lambda: other.claim(key, "b", 30.0))
    assert not one.claim(key, "crashed", 30.0)


def test_many_claim_and_one_gets_it(pair: tuple[SharedTier, SharedTier]) -> None:
    key = new_key()
    won: list[str] = []

    def claim(owner: int) -> None:
        if pair[owner % 2].claim(key, str(owner), 30.0):
            won.append(str(owner))

    threads = [threading.Thread(target=claim, args=(owner,)) for owner in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_clearing_leaves_leases_and_markers(pair: tuple[SharedTier, SharedTier]) -> None:
    one, other = pair
    key, marker = new_key(), Marker("tag", uuid.uuid4().hex, NOW, NOW - 1)
    one.claim(key, "a", 30.0)
    one.publish([marker])
    other.clear()
    assert not other.claim(key, "b", 30.0)
    assert marker in other.markers()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_markers_joined_in_any_order_are_the_same(pair: tuple[SharedTier, SharedTier], data: st.DataObject) -> None:
    moments = st.one_of(st.just(NEVER), st.floats(0.0, 4e9))
    names = st.sampled_from(["a", "b", "ü:1 %", ""])
    scopes = st.sampled_from(["operation", "prefix", "tag", "key"])
    made = st.builds(Marker, scope=scopes, value=names, gone_at=moments, stale_at=moments)
    given_ = data.draw(st.lists(made, max_size=6))
    order = data.draw(st.permutations(given_))
    results = []
    for markers in (given_, order):
        # Names of their own, so that no example meets another's.
        own = uuid.uuid4().hex
        for index, marker in enumerate(markers):
            pair[index % 2].publish([msgspec.structs.replace(marker, value=own + marker.value)])
        stored = [marker for marker in pair[0].markers() if marker.value.startswith(own)]
        results.append({(m.scope, m.value.removeprefix(own)): (m.gone_at, m.stale_at) for m in stored})
    joined: dict[tuple[str, str], Marker] = {}
    for marker in given_:
        place = (marker.scope, marker.value)
        joined[place] = marker.joined(joined.get(place))
    assert results[0] == results[1] == {place: (m.gone_at, m.stale_at) for place, m in joined.items()}


class Watching:
    """A thread that watches a tier and keeps what it was handed."""

    def __init__(self, tier: SharedTier) -> None:
        self.seen: list[Sequence[Marker]] = []
        self.stopped = threading.Event()
        self._thread = threading.Thread(target=tier.watch, args=(self.seen.append, self.stopped))

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.seen)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def has(self, marker: Marker) -> bool:
        return marker in itertools.chain.from_iterable(list(self.seen))


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_watcher_is_handed_what_is_there_and_what_another_publishes(pair: tuple[SharedTier, SharedTier]) -> None:
    one, other = pair
    own = uuid.uuid4().hex
    before, after = Marker("tag", own + "1", NOW), Marker("operation", own + "2", NEVER, NOW + 1)
    one.publish([before])
    with Watching(other) as watching:
        assert watching.has(before)
        one.publish([after])
        until(lambda: watching.has(after))
        later = Marker("tag", own + "1", NOW, NOW + 5)
        one.publish([Marker("tag", own + "1", NEVER, NOW + 5)])
        until(lambda: watching.has(later) or watching.has(Marker("tag", own + "1", NEVER, NOW + 5)))


def test_a_watcher_stops_when_it_is_told(pair: tuple[SharedTier, SharedTier]) -> None:
    with Watching(pair[0]):
        pass


def test_an_unknown_tier_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown tier 'dsik'; did you mean 'disk'\?"):
        tiers.build("dsik", TierPlace(directory=tmp_path))
    with pytest.raises(InputError, match=r"unknown tier 'os'"):
        tiers.options("os")


def test_a_name_with_a_path_in_it_is_no_tier(tmp_path: Path) -> None:
    for name in ("", ".", "disk.", "..errors", "__init__", "disk.sqlite3"):
        with pytest.raises(InputError, match="unknown tier"):
            tiers.build(name, TierPlace(directory=tmp_path))


@pytest.mark.parametrize("name", sorted(tiers.known()))
def test_every_option_has_a_default(name: str) -> None:
    assert tiers.options(name)() == tiers.options(name)()


def test_an_unknown_option_names_the_close_ones(tmp_path: Path) -> None:
    place = TierPlace(directory=tmp_path, options={"max_byte": 5})
    with pytest.raises(InputError, match=r"unknown option 'max_byte' of the disk tier; did you mean 'max_bytes'"):
        tiers.build("disk", place)


def test_an_option_of_another_type_is_refused_and_text_that_says_it_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"disk tier does not fit: .*max_bytes"):
        tiers.build("disk", TierPlace(directory=tmp_path, options={"max_bytes": "many"}))
    tier = tiers.build("disk", TierPlace(directory=tmp_path, options={"max_bytes": "5000000"}))
    assert tier.size().max_bytes == 5_000_000
    tier.close()
