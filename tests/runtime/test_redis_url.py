"""Redis URLs in every form, credentials that no error shows, and TLS."""

import contextlib
import importlib.util
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme

from apicache.entry import Entry
from apicache.errors import InputError
from apicache.redis_url import parse
from apicache.tier import TierPlace
from apicache.tiers import redis as redis_tier
from apicache.tiers.redis import Options, RedisTier, build

NOW = 1_700_000_000.0
PATIENT = 10.0
"""Seconds for what takes milliseconds: a busy machine never fails a test."""

Make = Callable[..., RedisTier]


def key_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


def entry(payload: bytes = b"\x01", *, created: float = NOW, expires: float = NOW + 600) -> Entry:
    return Entry("o", "value", payload, created, expires - 300, expires, tags=("t",))


def test_the_location_holds_no_credentials() -> None:
    assert parse("redis://ann:s3cret@h:1/2").location == "redis://h:1/2"
    assert parse("redis+sentinel://:s3cret@h:1,i/main").location == "redis+sentinel://h:1,i/main/0"
    assert parse("unix:///run/r.sock?db=3&password=s3cret").location == "unix:///run/r.sock?db=3"
    assert "s3cret" not in repr(parse("redis://ann:s3cret@h"))


def test_a_password_opens_the_server(start_redis: Any, make_redis: Make) -> None:
    server = start_redis("--requirepass", "p@ss:w/rd")
    tier = make_redis(f"redis://:p%40ss%3Aw%2Frd@127.0.0.1:{server.port}")
    tier.set_many({key_of(1): entry()}, NOW)
    assert tier.get_many([key_of(1)]) == {key_of(1): entry()}


def test_a_socket_is_reached(start_redis: Any, make_redis: Make, tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    start_redis("--unixsocket", str(path), "--requirepass", "s3cret")
    tier = make_redis(f"unix://{path}?db=2&password=s3cret")
    tier.set_many({key_of(1): entry()}, NOW)
    assert tier.get_many([key_of(1)]) == {key_of(1): entry()}
    assert tier.size().location == f"unix://{path}?db=2"


def test_a_sentinels_service_may_be_a_setting(redis_sentinel_url: str, make_redis: Make) -> None:
    bare = redis_sentinel_url.removesuffix("/cached/1")
    tier = make_redis(bare, sentinel_service="cached")
    assert tier.get_many([key_of(4_711)]) == {}  # one that no other test of this server stores
    with pytest.raises(redis.ConnectionError):
        make_redis(bare, sentinel_service="unheard-of").get_many([key_of(1)])
    with pytest.raises(InputError, match="service's name is missing"):
        make_redis(bare)


class TlsGate:
    """Takes TLS on a port of its own and hands the plain bytes to a server."""

    def __init__(self, authority: trustme.CA, port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self._context)
        self._inner = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.port = self._listening.getsockname()[1]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                thread.start()
                self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        with (
            connection,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._inner)) as inner,
            self._context.wrap_socket(connection, server_side=True) as outer,
        ):
            # A client of Redis speaks first and waits for the answer, so turns are enough.
            while data := outer.recv(2**16):
                inner.sendall(data)
                outer.sendall(inner.recv(2**16))

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(PATIENT)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_port(redis_url: str, redis_server: Any, authority: trustme.CA) -> Iterator[int]:
    gate = TlsGate(authority, redis_server.port)
    yield gate.port
    gate.close()


def test_tls_is_spoken_and_the_certificate_checked(
    tls_port: int, authority: trustme.CA, tmp_path: Path, make_redis: Make
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tier = make_redis(f"rediss://localhost:{tls_port}", ca_certs=str(tmp_path / "ca.pem"))
    tier.set_many({key_of(1): entry()}, NOW)
    assert tier.get_many([key_of(1)]) == {key_of(1): entry()}
    tier.close()
    unchecked = make_redis(f"rediss://localhost:{tls_port}?ssl_cert_reqs=none")
    assert unchecked.get_many([key_of(1)]) == {key_of(1): entry()}
    unchecked.close()


def test_a_certificate_that_nobody_trusts_is_refused(tls_port: int, make_redis: Make) -> None:
    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        make_redis(f"rediss://localhost:{tls_port}").get_many([key_of(1)])


def test_a_certificate_of_another_host_is_refused(
    tls_port: int, authority: trustme.CA, tmp_path: Path, make_redis: Make
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        make_redis(f"rediss://127.0.0.1:{tls_port}", ca_certs=str(tmp_path / "ca.pem")).get_many([key_of(1)])


def test_the_environment_names_the_url(monkeypatch: pytest.MonkeyPatch, make_redis: Make) -> None:
    monkeypatch.setenv("APICACHE_REDIS_URL", "redis://from-environment:7/3")
    assert make_redis("")._target.location == "redis://from-environment:7/3"
    assert make_redis("redis://given")._target.location == "redis://given/0"


def test_without_a_url_the_forms_are_shown(monkeypatch: pytest.MonkeyPatch, make_redis: Make) -> None:
    monkeypatch.delenv("APICACHE_REDIS_URL", raising=False)
    with pytest.raises(InputError, match=r"APICACHE_REDIS_URL(.|\n)*redis\+sentinel://"):
        make_redis("")


@pytest.mark.parametrize(
    ("given", "hosts", "path", "database"),
    [
        ("redis://h", [("h", 6379)], "", 0),
        ("redis://[::1]:7/5", [("::1", 7)], "", 5),
        ("rediss://h?db=4", [("h", 6379)], "", 4),
        ("redis+cluster://a,b:7/0", [("a", 6379), ("b", 7)], "", 0),
        ("rediss+sentinel://a,b:7/main/2", [("a", 26379), ("b", 7)], "main", 2),
        ("unix:///run/a%20b.sock", [], "/run/a b.sock", 0),
    ],
)
def test_a_url_is_taken_apart(given: str, hosts: list[tuple[str, int]], path: str, database: int) -> None:
    target = parse(given)
    assert (list(target.hosts), target.path, target.database) == (hosts, path, database)


@pytest.mark.parametrize("given", ["redis://ann:p%3Aw@h", "unix:///s?username=ann&password=p%3Aw"])
def test_credentials_are_decoded(given: str) -> None:
    assert parse(given).credentials == {"username": "ann", "password": "p:w"}


@pytest.mark.parametrize(
    "given",
    [
        "s3cret@h",
        "redis:s3cret@h",
        "http://u:s3cret@h",
        "redis://:s3cret",
        "redis://:s3cret@",
        "redis://:s3cret#s3cret@h",
        "redis://:s3cret/s3cret@h",
        "redis://:s3cret?s3cret@h",
        "redis://:s3cret@h:port",
        "redis://:s3cret@h/first",
        "redis://:s3cret@h?socket_timeout=9",
        "redis://:s3cret@a,b",
        "redis://:s3cret@[h",
        "redis+cluster://:s3cret@h/1",
        "redis+cluster://:s3cret@h,",
        "redis+sentinel://:s3cret@h",
        "redis+sentinel://:s3cret@h/main/x",
        "rediss://:s3cret@h?ssl_cert_reqs=s3cret",
        "unix://?password=s3cret",
    ],
)
def test_a_bad_url_shows_the_forms_and_never_the_password(given: str, make_redis: Make) -> None:
    with pytest.raises(InputError, match=r"cannot be used: (.|\n)*redis\+cluster://") as caught:
        make_redis(given)
    assert "s3cret" not in str(caught.value).replace("ssl_cert_reqs=s3cret", "")
    assert caught.value.__context__ is None


def test_a_ca_file_without_tls_is_refused(make_redis: Make) -> None:
    with pytest.raises(InputError, match="rediss://"):
        make_redis("redis://h", ca_certs="ca.pem")


@pytest.mark.parametrize("options", [{"ur": "redis://h"}, {"max_connections": 0}, {"prefix": 7}])
def test_settings_that_cannot_be_used_name_those_there_are(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="known: url, prefix"):
        build(TierPlace(directory=tmp_path, options={"url": "redis://h", **options}))


def test_numbers_from_the_environment_are_read(make_redis: Make) -> None:
    assert make_redis("redis://h", max_connections="5")._connections == 5
    assert Options().max_connections == 32


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    spec = importlib.util.spec_from_file_location("without_redis", str(redis_tier.__file__))
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(InputError, match=r"apicache-toolkit\[redis\]"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
