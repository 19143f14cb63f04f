"""A real uvicorn on loopback, in a thread of the test's process."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

SECONDS = 20.0


@contextlib.contextmanager
def served(application: Any) -> Iterator[str]:
    """The URL at which the application answers, until the block ends; its lifespan has begun."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="critical", ws="none", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        end = time.monotonic() + SECONDS
        while not server.started:
            assert thread.is_alive(), "uvicorn did not start"
            assert time.monotonic() < end, f"uvicorn did not start in {SECONDS} seconds"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(SECONDS)
    assert not thread.is_alive(), f"uvicorn did not stop in {SECONDS} seconds"
