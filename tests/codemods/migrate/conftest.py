"""Fixtures of the tests of migrate: projects in a temporary folder, a stub API server, code run in its own process."""

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from apicache_codemods.migrate import MigrationPlan, plan, write


@dataclass
class Project:
    """A folder of Python files that can be migrated and run."""

    folder: Path

    def put(self, files: dict[str, str]) -> "Project":
        for path, text in files.items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(textwrap.dedent(text).lstrip("\n").encode())
        return self

    def read(self, path: str) -> str:
        return (self.folder / path).read_bytes().decode()

    def plan(self, **options) -> MigrationPlan:
        return plan([Path()], self.folder, **options)

    def migrate(self, **options) -> MigrationPlan:
        """Migrate for good, and see that a second run finds nothing to do."""
        first = self.plan(**options)
        write(first)
        again = self.plan(**options)
        assert again.patch() == b""
        assert not again.changes
        return first

    def codes(self, **options) -> list[str]:
        return [site.code for site in self.plan(**options).sites]

    def run(self, script: str, *, cache: str = "on") -> list:
        """What the script hands to `show(...)`, run in a process of its own inside the project."""
        prelude = "import json, sys\nsys.path.insert(0, '.')\ndef show(x): print('SHOWN', json.dumps(x))\n"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "APICACHE"))},
            "APICACHE": cache,
            "APICACHE_DIR": str(self.folder / ".cache-of-test"),
            "OPENAI_API_KEY": "sk-test",
            "NO_PROXY": "*",
            "PYTHONWARNINGS": "ignore",
        }
        done = subprocess.run(
            [sys.executable, "-c", prelude + textwrap.dedent(script)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        lines = [line.removeprefix("SHOWN ") for line in done.stdout.splitlines() if line.startswith("SHOWN ")]
        return [json.loads(line) for line in lines]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder).put({"pyproject.toml": "[project]\nname = 'x'\n"})


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def essence(self) -> tuple:
        """What a request is, without what differs from connection to connection."""
        kept = ("content-type", "authorization", "accept", "user-agent", "x-team", "openai-organization", "cookie")
        return (self.method, self.path, self.body, {name: self.headers.get(name) for name in kept})


@dataclass
class Stub:
    """An API server on loopback that answers from the request alone and remembers what it was sent.

    `/session/NAME` sets a cookie.
    """

    url: str
    received: list[Received] = field(default_factory=list)
    failures: dict[str, list[int]] = field(default_factory=dict)
    """By path, the statuses of the next answers; 200 once they are used up."""

    def fail(self, failures: dict[str, list[int]]) -> None:
        self.failures = {path: list(statuses) for path, statuses in failures.items()}

    def take(self) -> list[Received]:
        taken, self.received = self.received, []
        return taken


@pytest.fixture
def stub() -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.received.append(Received(self.command, self.path, headers, body))
            failures = found.failures.get(self.path)
            status = failures.pop(0) if failures else 200
            answer = answer_to(self.path, body, headers) if status < 400 else {"error": {"message": "no"}}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.send_header("x-answer", "yes")
            if self.path.startswith("/session/"):
                self.send_header("set-cookie", f"who={self.path.rpartition('/')[2]}; Path=/")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_HEAD = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Stub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def answer_to(path: str, body: bytes, headers: dict[str, str]) -> dict:
    """What depends on path, body and the headers that say who asks."""
    sent = json.loads(body) if body else None
    owner = "/".join(headers.get(name, "") for name in ("authorization", "openai-organization", "x-team", "cookie"))
    if path.endswith("/chat/completions"):
        message = {"role": "assistant", "content": f"answer to {json.dumps(sent, sort_keys=True)}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": owner, "object": "chat.completion", "created": 1, "model": "stub", "choices": [choice]}
    if path.endswith("/embeddings"):
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
        return {"object": "list", "model": "stub", "data": [vector], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    return {"path": path, "sent": sent, "for": owner}


@pytest.fixture
def dedented():
    """A multi-line literal without its common indentation and first line end."""
    return lambda text: textwrap.dedent(text).lstrip("\n")
