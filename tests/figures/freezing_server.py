"""A server of one HTTP answer, in a process of its own, and a client that costs 20 µs a request.

    python tests/figures/freezing_server.py FROM TO

prints its port. Each answer takes 1 ms; none is given from FROM to TO seconds after the first request.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SERVICE_SECONDS = 0.001
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Server:
    """Answers, but not while it is frozen."""

    def __init__(self, begin: float, end: float) -> None:
        self._begin, self._end = begin, end
        self._started: float | None = None

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """All requests of a connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                self._started = self._started or time.monotonic()
                at = time.monotonic() - self._started
                frozen = self._end - at if self._begin <= at < self._end else 0.0
                await asyncio.sleep(frozen + SERVICE_SECONDS)
                writer.write(ANSWER)
        writer.close()


class Client:
    """Keeps its connections; as many as there are requests in flight."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, _key: int) -> None:
        """A request, and its answer."""
        connection = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = connection
        writer.write(REQUEST)
        await reader.readexactly(len(ANSWER))
        self._idle.append(connection)

    def close(self) -> None:
        """Close all connections."""
        for _, writer in self._idle:
            writer.close()


@contextlib.contextmanager
def running(begin: float = 0.0, end: float = 0.0) -> Iterator[int]:
    """The server's port, for the length of the block."""
    command = [sys.executable, str(Path(__file__)), str(begin), str(end)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def serve(begin: float, end: float) -> None:
    """Until terminated."""
    server = await asyncio.start_server(Server(begin, end).answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), float(sys.argv[2])))
