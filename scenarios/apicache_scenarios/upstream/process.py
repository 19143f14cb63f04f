"""Start the embedded upstream as a process of its own and stop it by its own handle."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec

from apicache.errors import ApicacheError
from apicache_scenarios.upstream.latency import DEFAULT_MEAN_MS

STOP_SECONDS = 5.0
CONTROL_SECONDS = 10.0


class UpstreamError(ApicacheError):
    """The embedded upstream did not start, or refused what it was told; the message holds what it wrote."""


class Served(msgspec.Struct, frozen=True):
    """What the upstream has answered so far, failures included, by its own count."""

    requests: int
    by_endpoint: Mapping[str, int]
    by_user_agent: Mapping[str, int]


class Upstream(msgspec.Struct, frozen=True):
    """A running embedded upstream; `url` is its base URL without a trailing slash."""

    url: str

    def served(self) -> Served:
        """What it has answered so far."""
        return Served(**self._control("GET", "/_stats"))

    def requests_served(self) -> int:
        """How many requests it has answered so far."""
        return self.served().requests

    def behave(self, **changes: float) -> None:
        """Change `latency_ms` (mean), `fail_share` (0 to 1) or `fail_status` for the requests to come."""
        self._control("PATCH", "/_behaviour", json.dumps(changes))

    def _control(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        # http.client and not a client library: no proxy from the environment stands between us and loopback.
        with closing(HTTPConnection(urlsplit(self.url).netloc, timeout=CONTROL_SECONDS)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            document: dict[str, Any] = json.load(answer)
        if answer.status != HTTPStatus.OK:
            raise UpstreamError(f"{method} {path} on the embedded upstream: {document['error']['message']}")
        return document


@contextmanager
def running_upstream(
    *,
    latency_ms: float = DEFAULT_MEAN_MS,
    seed: int = 0,
    fail_share: float = 0.0,
    fail_status: int = 500,
) -> Iterator[Upstream]:
    """Run the embedded upstream on a free loopback port for the length of the block.

    The process ends with the block, and by itself when this process dies. Raises UpstreamError if it does not start.
    """
    options = {"latency-ms": latency_ms, "seed": seed, "fail-share": fail_share, "fail-status": fail_status}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    # -P: a module in the working directory must not shadow the server's imports.
    command = [sys.executable, "-P", "-m", "apicache_scenarios.upstream", "--until-stdin-closes", *arguments]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603 - our own module, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle: the upstream still has to be asked
        ) as process,
    ):
        try:
            yield Upstream(_announced_url(process, complaints))
        finally:
            _stop(process)


def _announced_url(process: subprocess.Popen[bytes], complaints: Any) -> str:
    """The base URL, from the first line; an end of file instead means that the process has died."""
    line = process.stdout.readline() if process.stdout else b""
    if not line:
        process.wait(STOP_SECONDS)
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip()
        raise UpstreamError(f"the embedded upstream did not start (exit code {process.returncode}): {said}")
    return line.decode().strip()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
