"""Redis or Valkey: entries, leases and markers that processes on several machines share.

Documentation: https://redis.readthedocs.io/. Every command is one round trip, without retries: the stack decides what a
failure means.
"""

import contextlib
import itertools
import math
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, cast

import msgspec

from apicache import forks
from apicache.entry import NEVER, Entry
from apicache.errors import InputError
from apicache.markers import MARKERS_MAX, Marker
from apicache.redis_url import FORMS, RedisTarget, parse
from apicache.tier import TierPlace, TierSize

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.cluster import ClusterNode, RedisCluster
    from redis.exceptions import RedisClusterException
    from redis.retry import Retry
    from redis.sentinel import Sentinel, SentinelConnectionPool
except ImportError as error:
    raise InputError("the redis tier needs redis-py: install 'apicache-toolkit[redis]'") from error

_Client = redis.Redis | RedisCluster
_node: Any = ClusterNode  # redis-py leaves some of its signatures untyped
_sentinel: Any = Sentinel

_PAGE: Final = 500
"""Names a SCAN, and what follows it, handles at a time."""
_SPARE: Final = 8
"""Connections past those that calls may use at once, for scans and for those that are being replaced."""
_LONGEST: Final = 10**14
"""Milliseconds, some 3,000 years: Redis refuses an expiry that overflows its clock."""
_MARKERS_AT_ONCE: Final = 1_000
_CLUSTER_WAITS: Final = 3
"""Waits of a cluster's client in a row when a node is silent: the command, and the topology, asked for again twice."""
_ROUND: Final = 0.2
"""Seconds a watcher waits for a message before it looks whether it is to stop."""
_PING_ROUNDS: Final = 5
_LOST_ROUNDS: Final = 15
"""Rounds without any message, answers to pings included, after which the connection counts as lost: three seconds."""
_WATCH_SECONDS: Final = 2.0

_CLAIM: Final = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

# Times travel and rest as text, empty for never: Lua's own conversion to text would cut them to 14 digits.
_PUBLISH: Final = """
local function sound(text)
  local time = tonumber(text)
  return time and time > -math.huge and time < math.huge and text or ''
end
local function times(field)
  local gone, stale = string.match(redis.call('HGET', KEYS[1], field) or '', '^(%S*) (%S*)$')
  return sound(gone or ''), sound(stale or '')
end
local function later(one, other)
  if one == '' then return other end
  if other == '' or tonumber(one) >= tonumber(other) then return one end
  return other
end
local function join(field, gone, stale)
  local known_gone, known_stale = times(field)
  redis.call('HSET', KEYS[1], field, later(known_gone, gone) .. ' ' .. later(known_stale, stale))
end
for i = 4, #ARGV, 3 do join(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
  local rows = {}
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local gone, stale = times(field)
    rows[#rows + 1] = {field, gone, stale, tonumber(later(gone, stale)) or -math.huge}
  end
  table.sort(rows, function(a, b) return a[4] < b[4] or (a[4] == b[4] and a[1] < b[1]) end)
  local gone, stale = '', ''
  for i = 1, math.floor(#rows / 2) do
    gone, stale = later(gone, rows[i][2]), later(stale, rows[i][3])
    redis.call('HDEL', KEYS[1], rows[i][1])
  end
  join('all:', gone, stale)
end
return redis.call('PUBLISH', ARGV[1], ARGV[2])
"""

_left_by_fork: list[Any] = []
"""Clients a forked child must neither use nor close: closing takes locks that another thread of the parent held."""

_encode_markers = msgspec.msgpack.Encoder().encode
_decode_markers = msgspec.msgpack.Decoder(list[Marker]).decode


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of `[tool.apicache.tiers.redis]`."""

    url: str = ""
    """Where the server is, credentials included; `APICACHE_REDIS_URL` when empty."""
    prefix: str = "apicache:"
    """What every name in Redis begins with. In a cluster, a hash tag in it keeps all on one node."""
    sentinel_service: str | None = None
    """The service's name when the sentinel URL has none."""
    ca_certs: str | None = None
    """A file of certificates that a TLS server's is checked against, in place of the system's."""
    max_connections: Annotated[int, msgspec.Meta(ge=1)] = 32
    """Calls that may talk to Redis at once in this process; one more waits its timeout for its turn."""


class RedisTier:
    """Entries, leases and markers in Redis; connected on first use."""

    name: ClassVar[str] = "redis"
    blocking: ClassVar[bool] = True
    self_bounded: ClassVar[bool] = True

    def __init__(self, place: TierPlace, options: Options) -> None:
        url = options.url or os.environ.get("APICACHE_REDIS_URL", "")
        if not url:
            raise InputError(f"the redis tier has no URL; set APICACHE_REDIS_URL or its setting 'url':\n{FORMS}")
        self._target = parse(url, service=options.sentinel_service, ca_certs=options.ca_certs)
        self._sealer = place.sealer
        self._timeout = place.timeout
        self._connections = options.max_connections
        self._prefix = options.prefix
        self._marker_hash = f"{options.prefix}m"
        # Channels span a server's databases, which are stores of their own.
        self._channel = f"{options.prefix}markers@{self._target.database}"
        self._start()
        forks.on_fork(self._after_fork)

    def _after_fork(self) -> None:
        _left_by_fork.append(self._opened)
        self._start()

    def _start(self) -> None:
        self._opened: _Client | None = None
        self._opening = threading.Lock()
        self._turns = threading.BoundedSemaphore(self._connections)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[_Client]:
        turns = self._turns
        if not turns.acquire(timeout=self._timeout):
            raise redis.TimeoutError(f"all {self._connections} connections to {self._target.location} are busy")
        try:
            yield self._client()
        finally:
            turns.release()

    def _client(self) -> _Client:
        if (opened := self._opened) is not None:
            return opened
        # A cluster's client connects as it is made: callers must not queue up behind one that fails slowly.
        if not self._opening.acquire(timeout=self._timeout):
            raise redis.TimeoutError(f"{self._target.location} is still being connected to")
        try:
            if self._opened is None:
                self._opened = _connect(self._target, self._timeout, self._connections + _SPARE)
            return self._opened
        finally:
            self._opening.release()

    def _name(self, key: bytes, kind: str = "e") -> str:
        return f"{self._prefix}{kind}:{self._sealer.name(key)}"

    def get_many(self, keys: Sequence[bytes], /) -> dict[bytes, Entry]:
        """The entries there are, in one MGET; what is damaged or another key's is a miss and removed."""
        if not keys:
            return {}
        names = [self._name(key) for key in keys]
        found: dict[bytes, Entry] = {}
        damaged: list[str] = []
        with self._connected() as client:
            for key, name, data in zip(keys, names, _read(client, names), strict=True):
                opened = None if data is None else self._sealer.unseal(data)
                if opened is not None and opened[0] == key:
                    found[key] = opened[1]
                elif data is not None:
                    damaged.append(name)
            if damaged:
                with contextlib.suppress(redis.RedisError, RedisClusterException):  # a server that only reads, say
                    client.unlink(*damaged)
        return found

    def set_many(self, entries: Mapping[bytes, Entry], now: float, /) -> None:
        """Store entries until their expiry, in one pipeline; those already expired at `now` are passed over."""
        alive = [(key, entry) for key, entry in entries.items() if entry.expires > now]
        if not alive:
            return
        with self._connected() as client, client.pipeline(transaction=False) as pipeline:
            for key, entry in alive:
                pipeline.set(self._name(key), self._sealer.seal(key, entry), px=_milliseconds(entry.expires - now))
            pipeline.execute()

    def delete_many(self, keys: Sequence[bytes], /) -> None:
        """Forget entries, in one UNLINK (in a cluster: one a slot, in one pipeline)."""
        if keys:
            with self._connected() as client:
                client.unlink(*(self._name(key) for key in keys))

    def clear(self) -> None:
        """Forget all entries under the prefix; leases and markers stay."""
        for names in self._pages():
            with self._connected() as client:
                client.unlink(*names)

    def size(self) -> TierSize:
        """Entries and their bytes, counted by a scan; what is written meanwhile may be missed or counted twice."""
        count = total = 0
        for names in self._pages():
            with self._connected() as client, client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.strlen(name)
                lengths = pipeline.execute(raise_on_error=False)
            present = [length for length in lengths if isinstance(length, int) and length]
            count, total = count + len(present), total + sum(present)
        return TierSize(entries=count, bytes=total, location=self._target.location)

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        """Every readable entry with its key, by a scan; one that is written meanwhile may come twice."""
        for names in self._pages():
            with self._connected() as client:
                values = _read(client, names)
            for name, data in zip(names, values, strict=True):
                opened = None if data is None else self._sealer.unseal(data)
                if opened is not None and self._name(opened[0]).encode() == name:
                    yield opened

    def _pages(self) -> Iterator[list[bytes]]:
        pattern = re.sub(r"([\\*?\[\]^])", r"\\\1", self._prefix) + "e:*"
        scan = self._client().scan_iter(match=pattern, count=_PAGE)
        while page := list(itertools.islice(scan, _PAGE)):
            yield page

    def close(self) -> None:
        """Close the connections; the next use opens others."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            _close(opened)

    def claim(self, key: bytes, owner: str, seconds: float, /) -> bool:
        """Take, or extend, the lease on loading a key; False while another owner has it."""
        with self._connected() as client:
            return bool(client.eval(_CLAIM, 1, self._name(key, "l"), owner, str(_milliseconds(seconds))))

    def release(self, key: bytes, owner: str, /) -> None:
        """Give the lease back; nothing happens when another owner has it."""
        with self._connected() as client:
            client.eval(_RELEASE, 1, self._name(key, "l"), owner)

    def publish(self, markers: Sequence[Marker], /) -> None:
        """Store markers, each joined with what is there, and tell the watchers, a thousand at a time."""
        for start in range(0, len(markers), _MARKERS_AT_ONCE):
            batch = markers[start : start + _MARKERS_AT_ONCE]
            rows = [(f"{m.scope}:{m.value}", _text(m.gone_at), _text(m.stale_at)) for m in batch]
            told: Any = (self._marker_hash, self._channel, _encode_markers(batch), str(MARKERS_MAX))
            with self._connected() as client:
                client.eval(_PUBLISH, 1, *told, *itertools.chain.from_iterable(rows))

    def markers(self) -> Sequence[Marker]:
        """Every marker that is stored and readable."""
        with self._connected() as client:
            stored = cast("dict[bytes, bytes]", client.hgetall(self._marker_hash))
        return [marker for field, value in stored.items() if (marker := _marker(field, value)) is not None]

    def watch(self, on_markers: Callable[[Sequence[Marker]], None], stopped: threading.Event, /) -> None:
        """Hand over what is stored, then what is published, until `stopped` is set.

        Raises redis-py's errors when the connection ends, or when nothing answers for about three seconds.
        """
        client: Any = _connect(self._target, max(self._timeout, _WATCH_SECONDS), _SPARE)
        try:
            with contextlib.closing(client.pubsub()) as pubsub:
                pubsub.subscribe(self._channel)
                self._listen(pubsub, on_markers, stopped)
        finally:
            _close(client)

    def _listen(self, pubsub: Any, on_markers: Callable[[Sequence[Marker]], None], stopped: threading.Event, /) -> None:
        quiet = 0
        while not stopped.is_set():
            message = pubsub.get_message(timeout=_ROUND)
            if message is None:
                quiet += 1
                if quiet >= _LOST_ROUNDS:
                    raise redis.TimeoutError(f"{self._target.location} has stopped answering")
                if quiet % _PING_ROUNDS == 0:
                    pubsub.ping()
                continue
            quiet = 0
            if message["type"] == "subscribe":
                # The server listens for us from here on: what is published from now arrives, the rest is read.
                on_markers(self.markers())
            elif message["type"] == "message" and (markers := _published(message["data"])):
                on_markers(markers)


def build(place: TierPlace) -> RedisTier:
    """The tier; raises InputError for settings or a URL that cannot be used. Does not connect."""
    try:
        options = msgspec.convert(dict(place.options), Options, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(Options.__struct_fields__)
        raise InputError(f"the redis tier's settings cannot be used: {error}; known: {known}") from None
    return RedisTier(place, options)


def _connect(target: RedisTarget, timeout: float, connections: int) -> _Client:
    """A client that gives a silent server up after `timeout` seconds; only a cluster's connects here."""
    timeout = timeout / _CLUSTER_WAITS if target.kind == "cluster" else timeout
    bounds: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": 0,
        "protocol": 2,
        **target.tls,
    }
    if not target.tls:
        # Two round trips that a new connection can do without; with TLS 1.3 it cannot: until an answer has been read,
        # redis-py takes the session tickets that follow the handshake for data nobody asked for.
        bounds["driver_info"] = None
    retry: Any = Retry(NoBackoff(), 0)
    named = {**bounds, **target.credentials, "max_connections": connections}
    if target.kind == "cluster":
        return RedisCluster(startup_nodes=[_node(*place) for place in target.hosts], retry=retry, **named)
    named |= {"db": target.database, "retry": retry}
    if target.kind == "sentinel":
        sentinel = _sentinel(list(target.hosts), sentinel_kwargs={**bounds, "retry": retry})
        return cast("redis.Redis", sentinel.master_for(target.path, **named))
    if target.kind == "socket":
        return redis.Redis(unix_socket_path=target.path, **named)
    [(host, port)] = target.hosts
    return redis.Redis(host=host, port=port, **named)


def _close(client: _Client) -> None:
    client.close()
    if isinstance(client, redis.Redis) and isinstance(client.connection_pool, SentinelConnectionPool):
        client.connection_pool.sentinel_manager.close()


def _read(client: _Client, names: Sequence[str] | Sequence[bytes]) -> Sequence[bytes | None]:
    if isinstance(client, RedisCluster):
        return cast("Sequence[bytes | None]", client.mget_nonatomic(list(names)))
    connection: Any = client.connection_pool.get_connection()
    try:  # as `mget`, without its retries, events and measurements; what fails disconnects by itself
        connection.send_command("MGET", *names)
        return cast("Sequence[bytes | None]", connection.read_response())
    finally:
        client.connection_pool.release(connection)


def _milliseconds(seconds: float) -> int:
    return int(min(max(seconds * 1000, 1), _LONGEST))


def _text(time: float) -> str:
    return repr(time) if math.isfinite(time) else ""


def _marker(field: bytes, value: bytes) -> Marker | None:
    """A stored marker; None for what nobody here wrote."""
    try:
        scope, _, name = field.decode().partition(":")
        gone_at, stale_at = (float(time) if time else NEVER for time in value.decode().split(" "))
        marker = msgspec.convert((scope, name, gone_at, stale_at), Marker)
    except (ValueError, msgspec.MsgspecError):
        return None
    return marker if _is_sound(marker) else None


def _is_sound(marker: Marker) -> bool:
    """Whether its times can be any: an infinite one from a stranger would invalidate for ever."""
    return all(time == NEVER or math.isfinite(time) for time in (marker.gone_at, marker.stale_at))


def _published(data: bytes) -> Sequence[Marker]:
    """The markers in a message; none in a damaged one."""
    try:
        return [marker for marker in _decode_markers(data) if _is_sound(marker)]
    except msgspec.MsgspecError:
        return ()
