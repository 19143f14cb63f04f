"""Locust's side: users who stand for tasks of the worker's event loop, reports to the master, the merged result."""

import logging
from pathlib import Path
from typing import Any, ClassVar, Final

import gevent
from locust import User, events, task
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from apicache_scenarios.application import load_application
from apicache_scenarios.load.plan import RunPlan
from apicache_scenarios.load.recording import Histogram
from apicache_scenarios.load.result import Block, save
from apicache_scenarios.load.scenario_run import plan_of_file
from apicache_scenarios.load.settings import FileSettings
from apicache_scenarios.load.workload import Share
from apicache_scenarios.locust_load.collecting import Collector, encoded
from apicache_scenarios.locust_load.driver import Driver
from apicache_scenarios.locust_load.load_file import LoadFile

THRESHOLD_MISSED: Final = 99
REQUESTS_FAILED: Final = 1
_SLICE_SECONDS: Final = 1.0
_LAST_SECONDS: Final = 30.0
"""How long the master waits for the workers' last reports."""
_REPORT: Final = "apicache"
"""Of Locust's worker reports, the key of ours."""
_BEGINS, _FINISH, _FINISHED = "apicache-begins", "apicache-finish", "apicache-finished"
"""Messages: to workers, how many they are; to workers, to end; to the master, a worker's last report."""
_logger: Final = logging.getLogger("apicache.locust")
_worker: "_Worker | None" = None


class ArmUser(User):
    """One user of an arm: a task of the worker's event loop, for as long as Locust keeps the user."""

    abstract = True
    arm: ClassVar[str]

    @task
    def stand(self) -> None:
        """Stand for the event loop's task until Locust ends the user."""
        if _worker is None or _worker.driver is None:
            raise RuntimeError("the locustfile attaches no load; write it anew with apicache bench export --to locust")
        driver = _worker.driver
        number = driver.begin(self.arm)
        try:
            while True:
                gevent.sleep(_SLICE_SECONDS)
        finally:
            driver.end(number)


def attach(file: LoadFile) -> None:
    """Have Locust's next environment load what the file says."""

    def begin(environment: Environment, **_: Any) -> None:
        global _worker  # noqa: PLW0603 - Locust creates users itself, one environment a process
        if isinstance(environment.runner, MasterRunner):
            _Master(file, environment, environment.runner)
            return
        _worker = _Worker(file, environment)

    events.init.add_listener(begin)


def _plan(file: LoadFile) -> RunPlan:
    cache = load_application(file.application, file.working_directory)
    settings = FileSettings(path=file.scenarios, application=file.application, working_directory=file.working_directory)
    return plan_of_file(settings, cache)


class _Worker:
    """A process that makes requests; without a master it collects its own reports."""

    def __init__(self, file: LoadFile, environment: Environment) -> None:
        self._file, self._environment = file, environment
        self.driver: Driver | None = None
        self._share = Share()
        self._waiting: list[Block] = []
        self._is_remote = isinstance(environment.runner, WorkerRunner)
        self._collector = Collector()
        environment.events.test_start.add_listener(self._begins)
        environment.events.report_to_master.add_listener(self._reports)
        if environment.runner is not None and self._is_remote:
            environment.runner.register_message(_BEGINS, self._is_told)
            environment.runner.register_message(_FINISH, self._finishes)
        else:
            environment.events.test_stop.add_listener(self._ends_alone)

    def _is_told(self, msg: Any, **_: Any) -> None:
        runner = self._environment.runner
        index = runner.worker_index if isinstance(runner, WorkerRunner) else 0
        self._share = Share(index % msg.data["workers"], msg.data["workers"])

    def _begins(self, **_: Any) -> None:
        if self.driver is not None:
            self.driver.close()
        self._waiting, self._collector = [], Collector()
        self.driver = Driver(self._file, _plan(self._file), self._share)
        gevent.spawn(self._looks, self.driver)

    def _looks(self, driver: Driver) -> None:
        """Cut slices while the driver is this run's, and have Locust's own statistics know of them."""
        while driver is self.driver:
            gevent.sleep(_SLICE_SECONDS)
            if driver is self.driver:
                self._take(driver.taken())

    def _take(self, blocks: list[Block]) -> None:
        self._waiting += blocks
        for block in blocks:
            self._tell_locust(block)

    def _tell_locust(self, block: Block) -> None:
        stats = self._environment.stats
        for series in block.series:
            for nanoseconds, count in Histogram.decoded(series.latency).counts():
                for _ in range(count):
                    stats.log_request(block.arm, series.operation, round(nanoseconds / 1e6), 0)
        for operation, classes in block.errors.items():
            for name, count in classes.items():
                for _ in range(count):
                    stats.log_request(block.arm, operation, 0, 0)
                    stats.log_error(block.arm, operation, name)

    def _report(self) -> str:
        blocks, self._waiting = self._waiting, []
        assert self.driver is not None  # noqa: S101 - it begins before it reports
        return encoded(blocks, self.driver.ends())

    def _reports(self, data: dict[str, Any], **_: Any) -> None:
        if self.driver is not None:
            data[_REPORT] = self._report()

    def _finishes(self, **_: Any) -> None:
        """Send what is left: after this the process measures nothing more."""
        runner, report = self._environment.runner, self._last()
        if runner is not None and report is not None:
            runner.send_message(_FINISHED, {"report": report})

    def _last(self) -> str | None:
        driver = self.driver
        if driver is None:
            return None
        self._take(driver.finish())
        report = self._report()
        self.driver = None
        driver.close()
        return report

    def _ends_alone(self, **_: Any) -> None:
        report = self._last()
        if report is not None:
            self._collector.add("local", report, is_last=True)
            _finish(self._collector, self._file, self._environment, is_whole=True)


class _Master:
    """The process that adds up."""

    def __init__(self, file: LoadFile, environment: Environment, runner: MasterRunner) -> None:
        self._file, self._environment, self._runner = file, environment, runner
        self._collector = Collector()
        self._workers: set[str] = set()
        self._is_under_way = False
        _plan(file)  # what is wrong with the file is told before workers come
        runner.register_message(_FINISHED, self._finished)
        environment.events.worker_report.add_listener(self._reported)
        environment.events.test_start.add_listener(self._begins)
        environment.events.test_stop.add_listener(self._ends)

    def _begins(self, **_: Any) -> None:
        self._collector = Collector()
        self._workers = {client.id for client in self._runner.clients.ready}
        self._is_under_way = True
        self._runner.send_message(_BEGINS, {"workers": max(1, len(self._workers))})

    def _reported(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        self._workers.add(client_id)
        if self._is_under_way and _REPORT in data:
            self._collector.add(client_id, data[_REPORT])

    def _finished(self, msg: Any, **_: Any) -> None:
        self._collector.add(msg.node_id, msg.data["report"], is_last=True)

    def _ends(self, **_: Any) -> None:
        """Have the workers send what is left, before Locust has them quit."""
        self._runner.send_message(_FINISH, {})
        with gevent.Timeout(_LAST_SECONDS, exception=False):
            while not self._workers <= self._collector.finished:
                gevent.sleep(0.05)
        missing = self._workers - self._collector.finished
        if missing:
            _logger.warning("no last report of %s: the result lacks its last second", ", ".join(sorted(missing)))
        self._is_under_way = False
        _finish(self._collector, self._file, self._environment, is_whole=not missing)


def _finish(collector: Collector, file: LoadFile, environment: Environment, *, is_whole: bool) -> None:
    result = collector.result(_plan(file), file, is_whole=is_whole)
    _written(file.save, save(result))
    for name, arm in result.arms.items():
        _logger.info(
            "%s: %s requests, hit rate %.1f%%, p50 %s ms, p99 %s ms, %s errors",
            *(name, arm.requests, 100 * arm.hit_rate, arm.p50_ms, arm.p99_ms, arm.errors),
        )
    _logger.info("saved to %s; type: apicache bench report %s", file.save, file.save.name)
    if result.missed:
        environment.process_exit_code = THRESHOLD_MISSED
        for each in result.missed:
            _logger.error("threshold missed: %s, measured %s", each.written, each.measured)
    elif result.errors and environment.process_exit_code is None:
        environment.process_exit_code = REQUESTS_FAILED


def _written(path: Path, contents: bytes) -> None:
    partial = path.with_name(f"{path.name}.part")
    partial.write_bytes(contents)
    partial.replace(path)
