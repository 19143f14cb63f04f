"""The memory tier's figures: hit ratio against its peers, and resident memory against the bytes stored.

python tests/figures/hit_ratio.py [SEED ...]
"""

import gc
import hashlib
import itertools
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from apicache.entry import Entry
from apicache.tiers.memory import MemoryTier

KEYS = 20_000
REQUESTS = 300_000
SKEW = 0.99
SCAN_EVERY = 3_000
SCAN_LENGTH = 500
CAPACITY = KEYS // 10
SEEDS = (1, 2, 3, 4, 5)
PAYLOAD_LENGTH = 200

Visit = Callable[[bytes], bool]
"""Reads a key, and stores it if it is not there; whether it was there."""


def trace(seed: int) -> Iterator[bytes]:
    """Keys as requests come: Zipf-distributed, and after every 3,000 a scan of 500 keys that come only once.

    Scans come on top of the 300,000 requests and count as requests: at best 86% of all can hit.
    """
    weights = itertools.accumulate((rank + 1) ** -SKEW for rank in range(KEYS))
    chance = random.Random(seed)  # noqa: S311 - a trace has no secrets
    drawn = chance.choices(range(KEYS), cum_weights=list(weights), k=REQUESTS)
    digests = [hashlib.sha256(b"%d" % rank).digest() for rank in range(KEYS)]
    scanned = itertools.count(KEYS)
    for position, rank in enumerate(drawn):
        if position and position % SCAN_EVERY == 0:
            for number in itertools.islice(scanned, SCAN_LENGTH):
                yield hashlib.sha256(b"%d" % number).digest()
        yield digests[rank]


def entry(length: int = 1) -> Entry:
    """An entry with a payload of `length` bytes, as an operation without tags has it."""
    return Entry("completion", "value", bytes(length), 1.7e9, 1.7e9 + 60, 1.7e9 + 120, 0.0, 0.5)


def ours() -> Visit:
    """The memory tier."""
    tier, value = MemoryTier(max_entries=CAPACITY), entry()

    def visit(key: bytes) -> bool:
        if tier.peek(key) is not None:
            return True
        tier.set(key, value)
        return False

    return visit


def moka() -> Visit:
    """moka-py with its default policy, TinyLFU."""
    from moka_py import Moka

    cache: Moka[bytes, int] = Moka(CAPACITY)

    def visit(key: bytes) -> bool:
        if cache.get(key) is not None:
            return True
        cache.set(key, 1)
        return False

    return visit


def theine() -> Visit:
    """theine, W-TinyLFU."""
    from theine import Cache

    cache: Cache[bytes, int] = Cache(CAPACITY)

    def visit(key: bytes) -> bool:
        if cache.get(key)[1]:
            return True
        cache.set(key, 1)
        return False

    return visit


def cachebox_lru() -> Visit:
    """cachebox's LRU cache."""
    from cachebox import LRUCache

    cache: LRUCache[bytes, int] = LRUCache(CAPACITY)

    def visit(key: bytes) -> bool:
        if cache.get(key) is not None:
            return True
        cache[key] = 1
        return False

    return visit


CACHES: dict[str, Callable[[], Visit]] = {
    "apicache": ours,
    "moka-py": moka,
    "theine": theine,
    "cachebox LRU": cachebox_lru,
}


def hit_ratios(seed: int) -> dict[str, float]:
    """Hits per request of each cache on one trace, all with room for a tenth of the keys that come more than once."""
    keys = list(trace(seed))
    ratios = {}
    for name, make in CACHES.items():
        visit = make()
        ratios[name] = sum(map(visit, keys)) / len(keys)
    return ratios


def memory_ratio(n: int = 1_000_000, visits: int = 0) -> float:
    """Resident memory that `n` entries of 200 bytes take, over their payloads' bytes; measured in a process of its own.

    Each key is read `visits` times.
    """
    command = [sys.executable, __file__, "--grow", str(n), str(visits)]
    grown = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return int(grown) / (n * PAYLOAD_LENGTH)


def grow(n: int, visits: int) -> int:
    """Bytes by which this process grows with `n` entries."""
    tier, value = MemoryTier(max_bytes=n * 2**12, max_entries=n), entry(PAYLOAD_LENGTH)
    tier.set(hashlib.sha256(b"first").digest(), value)
    gc.collect()
    before = resident()
    for number in range(1, n):
        tier.set(hashlib.sha256(b"%d" % number).digest(), value)
    for _ in range(visits):
        for number in range(1, n):
            tier.peek(hashlib.sha256(b"%d" % number).digest())
    gc.collect()
    return resident() - before


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status names no VmRSS")


def main(arguments: list[str]) -> None:
    """Print the figures."""
    if arguments[:1] == ["--grow"]:
        print(grow(int(arguments[1]), int(arguments[2])))
        return
    runs = [hit_ratios(seed) for seed in map(int, arguments or SEEDS)]
    for name in CACHES:
        ratios = [run[name] for run in runs]
        print(f"hit ratio, {name:<14} median {statistics.median(ratios):.4f}  least {min(ratios):.4f}")
    for visits, state in enumerate(("never read", "each read once")):
        print(f"1 million 200 B entries, {state}: {memory_ratio(visits=visits):.2f}x the bytes stored")


if __name__ == "__main__":
    main(sys.argv[1:])
