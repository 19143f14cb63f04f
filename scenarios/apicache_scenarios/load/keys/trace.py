"""trace: the keys of a recorded file, in its order, again from the start when it has ended.

One key a line: any text; equal texts are one key. Keys are numbered as they first appear.
"""

from typing import TYPE_CHECKING

from apicache.errors import InputError
from apicache_scenarios.format.model import Keys
from apicache_scenarios.load.keys import Draw

if TYPE_CHECKING:
    import numpy as np


def create(keys: Keys, population: int, seed: int) -> Draw:  # noqa: ARG001 - of every distribution
    """Keys past the population share its numbers; raises InputError for a file that is missing or empty."""
    import numpy as np  # noqa: PLC0415 - for benchmarks only

    if keys.file is None:
        raise InputError("keys of dist: trace need file:, with one key a line")
    numbers: dict[str, int] = {}
    try:
        with keys.file.open(encoding="utf-8") as file:
            recorded = [numbers.setdefault(line.strip(), len(numbers)) for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the trace {keys.file} cannot be read: {error}; give a text file with one key a line"
        ) from None
    if not recorded:
        raise InputError(f"the trace {keys.file} is empty; expected one key a line")
    trace = np.asarray(recorded, dtype=np.int32) % population
    position = 0

    def draw(count: int) -> "np.ndarray":
        nonlocal position
        taken = trace[np.arange(position, position + count) % len(trace)]
        position = (position + count) % len(trace)
        return taken

    return draw
