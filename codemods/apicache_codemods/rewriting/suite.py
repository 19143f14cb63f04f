"""Running the user's tests: without a shell, with an end, and with everything they said kept for the report."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Literal

import msgspec

from apicache.errors import InputError

Phase = Literal["before", "bypassed", "cold cache"]
"""The code as it was; the new code with the cache off; the new code with an empty cache of its own."""
_TAIL_LINES = 30
_TAIL_BYTES = 16_384
_SLACK_SECONDS = 60.0
_SLACK_FACTOR = 5.0


class SuiteRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the tests; `sites` is how many rewritten sites the code had."""

    phase: Phase
    sites: int
    passed: bool
    seconds: float
    ending: str
    """How it ended: `exit 0`, `exit 1`, `killed by signal 9`, `no end after 600 s`."""
    tail: tuple[str, ...] = ()
    """The last lines of its output, when it failed."""


class Suite:
    """The user's test command, run in `folder`, stopped after `timeout` seconds.

    Raises InputError for a command that is empty or not to be found.
    """

    def __init__(self, command: str, folder: Path, timeout: float) -> None:
        try:
            self._command = shlex.split(command)
        except ValueError as error:
            raise InputError(f"--verify {command!r} cannot be split into words: {error}") from error
        if not self._command:
            raise InputError('--verify was given no command; give it the tests, such as --verify "pytest -q"')
        if timeout <= 0:
            raise InputError(f"--verify-timeout takes seconds above 0; {timeout:g} was given")
        self._folder = folder
        self._timeout = timeout
        # The tools of the environment that apicache is installed in are found without activating it.
        beside = str(Path(sys.executable).parent)
        self._path = os.pathsep.join(filter(None, (os.environ.get("PATH"), beside)))
        program = self._command[0]
        if shutil.which(program, path=self._path) is None and not (folder / program).exists():
            raise InputError(f"--verify: there is no command {program!r}; it is run without a shell, in {folder}")

    def run(self, phase: Phase, sites: int) -> SuiteRun:
        """Run the tests once."""
        started = time.monotonic()
        with _environment(phase, self._path) as environment, tempfile.TemporaryFile() as output:
            ending = self._ended(environment, output)
            seconds = time.monotonic() - started
            passed = ending == "exit 0"
            tail = () if passed else _tail(output)
        if phase == "before":  # code that hangs after a rewrite shows sooner than in the time that was granted at first
            self._timeout = min(self._timeout, _SLACK_SECONDS + _SLACK_FACTOR * seconds)
        return SuiteRun(phase=phase, sites=sites, passed=passed, seconds=seconds, ending=ending, tail=tail)

    def _ended(self, environment: Mapping[str, str], output: IO[bytes]) -> str:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, which --verify is asked to run
                self._command,
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise InputError(f"--verify: {self._command[0]} cannot be run: {error.strerror or error}") from error
        try:
            code = process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            return f"no end after {self._timeout:g} s"
        finally:
            _end(process)
        return f"exit {code}" if code >= 0 else f"killed by signal {-code}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the tests and what they started: nothing of them may run while the files change."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


@contextlib.contextmanager
def _environment(phase: Phase, path: str) -> Iterator[Mapping[str, str]]:
    # Compiled files are told apart by whole seconds and sizes; two versions of a file can agree in both.
    shared = {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    if phase == "before":
        yield shared
    elif phase == "bypassed":
        yield {**shared, "APICACHE": "off"}
    else:
        with tempfile.TemporaryDirectory(prefix="apicache-verify-") as folder:
            yield {**shared, "APICACHE": "on", "APICACHE_DIR": folder, "APICACHE_TIERS": "memory,disk"}


def _tail(output: IO[bytes]) -> tuple[str, ...]:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _TAIL_BYTES))
    return tuple(output.read().decode(errors="replace").splitlines()[-_TAIL_LINES:])
