"""What git knows of a folder, for a warning only: without git, or outside a repository, there is nothing to warn of."""

import subprocess
from pathlib import Path

_SECONDS = 10.0


def uncommitted(folder: Path) -> tuple[str, ...]:
    """The files below `folder` with changes that are not committed, untracked ones included; relative to it."""
    # No monitor of the repository's own choosing is started.
    command = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain", "-z", "--untracked-files=all", "--", "."]
    try:
        done = subprocess.run(  # noqa: S603 - constants
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if done.returncode:
        return ()
    records = done.stdout.decode(errors="replace").split("\0")
    return tuple(record[3:] for record in records if record[2:3] == " " and not _own(record[3:]))


def _own(path: str) -> bool:
    return ".apicache" in Path(path).parts
