"""A MariaDB of our own, from PATH, on a socket in a folder of its own, started once and ended with the process."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

SECONDS = 60.0
"""How long it may take to start, far beyond what it needs."""
_ABSENT = "no MariaDB in PATH: apt-get install mariadb-server"
PLANTED = "my-planted-3f3f"
"""The password of the user `secret`."""
USERS = f"""
    CREATE USER plain; GRANT ALL ON *.* TO plain;
    CREATE USER secret IDENTIFIED BY '{PLANTED}'; GRANT ALL ON *.* TO secret;
    CREATE DATABASE suite; CREATE DATABASE another; CREATE DATABASE empty;
"""


@functools.cache
def mysql() -> str:
    """Its socket, for the user `plain`, who needs no password."""
    server, install = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    assert server is not None, _ABSENT
    assert install is not None, _ABSENT
    folder = Path(tempfile.mkdtemp(prefix="apicache-my-"))
    data, socket, log = folder / "data", folder / "socket", folder / "log"
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
    as_user: list[str] = [] if user is None else [f"--user={user}"]
    if user is not None:
        shutil.chown(folder, user)
    quiet = ["--skip-name-resolve", "--skip-test-db", "--auth-root-authentication-method=normal"]
    subprocess.run(
        [install, "--no-defaults", f"--datadir={data}", *as_user, *quiet], check=True, capture_output=True, cwd=folder
    )
    first = folder / "users.sql"
    first.write_text("".join(f"{each.strip()};\n" for each in USERS.split(";") if each.strip()))
    first.chmod(0o644)
    options: list[Any] = ["--no-defaults", f"--datadir={data}", f"--socket={socket}", "--skip-networking", *as_user]
    more = ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=8M", f"--init-file={first}"]
    with log.open("wb") as output:
        process = subprocess.Popen([server, *options, *more], stdout=output, stderr=output, cwd=folder)

    def end() -> None:
        process.kill()
        process.wait(SECONDS)
        shutil.rmtree(folder)

    atexit.register(end)
    deadline = time.monotonic() + SECONDS
    while b"ready for connections" not in log.read_bytes():
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, "MariaDB did not start"
        time.sleep(0.02)
    return str(socket)
