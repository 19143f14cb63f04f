"""`python -m apicache_scenarios.upstream`: the embedded upstream in this process, until interrupted.

The first line on stdout is its base URL.
"""

import argparse
import asyncio
import os
import signal
import sys

from aiohttp import web

from apicache_scenarios.upstream.latency import DEFAULT_MEAN_MS
from apicache_scenarios.upstream.server import Behaviour, EmbeddedUpstream

HOST = "127.0.0.1"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m apicache_scenarios.upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--latency-ms", type=float, default=DEFAULT_MEAN_MS, help="mean of the latency, 0 for none")
    parser.add_argument("--seed", type=int, default=0, help="seed of the latency's draws")
    parser.add_argument("--fail-share", type=float, default=0.0, help="share of the requests that fail, 0 to 1")
    parser.add_argument("--fail-status", type=int, default=500, help="HTTP status of the failing ones")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end with the process that holds our stdin")
    return parser.parse_args()


def _stop_at_end_of_file(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1):
        stop.set()


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM, or until stdin closes when told so."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    if arguments.until_stdin_closes:
        # A parent that was killed cannot stop us, but the kernel closes its end of the pipe.
        loop.add_reader(sys.stdin.fileno(), _stop_at_end_of_file, stop)
    behaviour = Behaviour(arguments.latency_ms, arguments.fail_share, arguments.fail_status)
    runner = web.AppRunner(
        EmbeddedUpstream(behaviour, seed=arguments.seed).application(), access_log=None, shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, arguments.port).start()
        port = runner.addresses[0][1]
        sys.stdout.write(f"http://{HOST}:{port}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(_arguments()))
