"""Locust: one master, any number of workers, each an event loop that calls through apicache. https://docs.locust.io."""

import json
import math
import os
from pathlib import Path
from typing import Final

from apicache_scenarios.exporting import Asked
from apicache_scenarios.format.model import Stage

DEFAULT_TARGET: Final = "locustfile.py"
MARK: Final = '"""Load by Locust for apicache'
RATE_PER_USER: Final = 10.0
"""Requests a second of one user of an open loop: small next to what a worker bears, so that users spread evenly."""

_TEMPLATE: Final = '''{mark}: {name}, from as many machines as there are workers.

Written by `apicache bench export --to locust`. Each machine has this project and
apicache-toolkit[locust]; one is the master:

    locust -f {target} --headless -u {users} -r {users} -t {seconds}s --master --expect-workers 3

and three others, or the same, a process per core:

    locust -f {target} --worker --master-host HOST

Without --master and --worker one process does all of it.

{meaning}
Each worker sends encoded histograms; the master adds their counts, so percentiles are of all requests, and writes
{save}: see `apicache bench report {save}` and `apicache bench compare`. A missed threshold of the scenario file ends
the master with 99.
"""

from pathlib import Path

from apicache_scenarios.locust_load import real_threads

real_threads()  # before locust is imported: it would replace threads and sockets, which apicache's event loop needs

from apicache_scenarios.locust_load.load_file import LoadFile  # noqa: E402
from apicache_scenarios.locust_load.users import ArmUser, attach  # noqa: E402

FOLDER = Path(__file__).resolve().parent

attach(
    LoadFile(
        scenarios=FOLDER / {scenarios},
        application={application},
        working_directory=FOLDER / {directory},
        save=FOLDER / {save_literal},
        rate_per_user={rate!r},
        max_in_flight={in_flight!r},
    )
)
{users_classes}'''
_CLASS: Final = '''

class {name}(ArmUser):
    """A user of the arm {arm}."""

    arm = {literal}
    weight = 1
'''
_OPEN: Final = """\
A user is {rate:g} requests a second, sent when they are due, whether or not earlier ones were answered; {users} users
in all arms together are the {total:g} a second of each arm in the file. Latency counts from when a request was due."""
_CLOSED: Final = (
    """A user sends its next request when the last was answered; {users} users in all arms together are the file's."""
)


def written(asked: Asked) -> str:
    """The locustfile: the file's busiest stage in all its arms, which share the users equally."""
    stage = max((leg.stage for leg in asked.plan.legs), key=_busy)
    arms = [arm.name for arm in asked.plan.arms]
    rate = stage.target or stage.rate
    per_user = None if rate is None else min(RATE_PER_USER, rate)
    users = len(arms) * ((stage.vus or 1) if rate is None or per_user is None else math.ceil(rate / per_user))
    meaning = _CLOSED if rate is None else _OPEN
    folder = asked.target.parent
    return _TEMPLATE.format(
        mark=MARK,
        name=asked.scenarios.name,
        target=asked.target.name,
        users=users,
        seconds=max(1, round(sum(leg.stage.duration for leg in asked.plan.legs if leg.measured))),
        meaning=meaning.format(rate=per_user, users=users, total=rate),
        save="bench.json",
        save_literal=_literal("bench.json"),
        scenarios=_literal(_relative(asked.scenarios, folder)),
        application="None" if asked.application is None else _literal(asked.application),
        directory=_literal(_relative(asked.working_directory, folder)),
        rate=per_user,
        in_flight=stage.max_in_flight,
        users_classes="".join(_CLASS.format(name=_class_name(arm), arm=arm, literal=_literal(arm)) for arm in arms),
    )


def _busy(stage: Stage) -> float:
    return stage.target or stage.rate or float(stage.vus or 1)


def _class_name(arm: str) -> str:
    words = "".join(character if character.isalnum() else " " for character in arm).split()
    return f"{''.join(word.capitalize() for word in words)}User"


def _literal(text: str) -> str:
    """The text in double quotes: a JSON string is a Python one."""
    return json.dumps(text)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
