"""What the locustfiles of `apicache bench export --to locust` are made of."""

import os
import sys

_FLAG = "LOCUST_SKIP_MONKEY_PATCH"


def real_threads() -> None:
    """Have Locust leave threads and sockets as they are: begins the process again unless it was told so.

    Locust replaces them by gevent's when it is imported, which is before the locustfile is. Loads then run in an event
    loop in a thread of its own, which gevent's threads, all in one, cannot hold. The variable is Locust's:
    https://github.com/locustio/locust/blob/master/locust/__init__.py.
    """
    if os.environ.get(_FLAG):
        from gevent import monkey  # noqa: PLC0415 - comes with Locust

        monkey.patch_time()  # Locust's master sleeps while it waits for workers, and has to hear them meanwhile
        return
    os.environ[_FLAG] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same program, no shell
