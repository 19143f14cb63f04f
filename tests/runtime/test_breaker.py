"""The breaker: closed, open, half-open, and back."""

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apicache.breaker import Breaker
from apicache.clock import ManualClock

OPEN, MAX_OPEN = 0.5, 30.0
LOST = 1.0


def opened(clock, open_seconds=OPEN, max_open_seconds=MAX_OPEN):
    breaker = Breaker(clock, open_seconds, max_open_seconds)
    breaker.failed()
    return breaker


def test_it_begins_closed_and_lets_every_call_pass():
    breaker = Breaker(ManualClock())
    assert breaker.state == "closed"
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_a_success_while_closed_changes_nothing():
    breaker = Breaker(ManualClock())
    breaker.succeeded()
    assert breaker.state == "closed"
    assert breaker.allows()


def test_one_failure_opens_it_at_once():
    breaker = opened(ManualClock())
    assert breaker.state == "open"
    assert not breaker.allows()


@pytest.mark.parametrize(("waited", "allowed"), [(0.0, False), (0.25, False), (0.5, True), (60.0, True)])
def test_it_stays_open_for_its_time(waited, allowed):
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(waited)
    assert breaker.state == "open"
    assert breaker.allows() is allowed


def test_exactly_one_caller_is_the_probe():
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(OPEN)
    assert [breaker.allows() for _ in range(4)] == [True, False, False, False]
    assert breaker.state == "half-open"


def test_exactly_one_thread_is_the_probe():
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(OPEN)
    start = threading.Barrier(8)
    answers = []

    def ask():
        start.wait()
        answers.append(breaker.allows())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(True) == 1


def test_a_probe_that_succeeds_closes_it():
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(OPEN)
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.state == "closed"
    assert [breaker.allows(), breaker.allows()] == [True, True]


@pytest.mark.parametrize(
    ("open_seconds", "max_open_seconds", "expected"),
    [
        (0.5, 30.0, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (2.0, 5.0, [2.0, 4.0, 5.0, 5.0]),
        (5.0, 1.0, [1.0, 1.0]),
    ],
)
def test_each_failed_probe_doubles_the_open_time_up_to_the_bound(open_seconds, max_open_seconds, expected):
    clock = ManualClock(0.0)
    breaker = opened(clock, open_seconds, max_open_seconds)
    for seconds in expected:
        clock.advance(seconds - 0.125)
        assert not breaker.allows()
        clock.advance(0.125)
        assert breaker.allows()
        breaker.failed()
        assert breaker.state == "open"


def test_a_success_ends_the_doubling():
    clock = ManualClock()
    breaker = opened(clock)
    for _ in range(4):
        clock.advance(MAX_OPEN)
        assert breaker.allows()
        breaker.failed()
    clock.advance(MAX_OPEN)
    assert breaker.allows()
    breaker.succeeded()
    breaker.failed()
    clock.advance(OPEN)
    assert breaker.allows()


def test_many_calls_that_fail_together_do_not_double_the_open_time():
    clock = ManualClock()
    breaker = opened(clock)
    for _ in range(10):
        breaker.failed()
    clock.advance(OPEN)
    assert breaker.allows()


def test_a_success_of_a_call_that_began_before_it_opened_does_not_close_it():
    breaker = opened(ManualClock())
    breaker.succeeded()
    assert breaker.state == "open"
    assert not breaker.allows()


@pytest.mark.parametrize(("open_seconds", "lost_after"), [(0.1, 1.0), (0.5, 1.0), (3.0, 3.0)])
def test_a_probe_that_never_reports_is_lost_and_another_is_let_through(open_seconds, lost_after):
    clock = ManualClock(0.0)
    breaker = opened(clock, open_seconds)
    clock.advance(open_seconds)
    assert breaker.allows()
    clock.advance(lost_after - 0.0625)
    assert not breaker.allows()
    clock.advance(0.0625)
    assert breaker.state == "half-open"
    assert [breaker.allows(), breaker.allows()] == [True, False]


def test_a_probe_that_is_given_back_lets_another_through_at_once():
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(OPEN)
    assert breaker.is_due()
    probe = breaker.admits()
    assert probe == 1
    assert not breaker.is_due()
    breaker.given_back(probe)
    assert breaker.state == "open"
    assert breaker.is_due()
    assert breaker.admits() == 2


def test_only_the_latest_probe_can_be_given_back():
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(OPEN)
    lost = breaker.admits()
    clock.advance(LOST)
    breaker.admits()
    breaker.given_back(lost)
    breaker.given_back(0)  # of who was let through while it was closed
    assert breaker.state == "half-open"
    assert breaker.admits() is None


def test_a_lock_that_a_fork_left_taken_is_renewed():
    breaker = opened(ManualClock())
    holder = threading.Thread(target=breaker._lock.acquire)
    holder.start()
    holder.join()
    breaker.after_fork()
    assert not breaker.allows()


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls, reports and waits, with probes that are lost."""

    def __init__(self):
        super().__init__()
        self.clock = ManualClock(0.0)
        self.breaker = Breaker(self.clock, OPEN, MAX_OPEN)
        self.probes = []

    def live_probes(self):
        return [begun for begun in self.probes if self.clock.now() < begun + LOST]

    @rule(seconds=st.sampled_from([0.125, 0.5, 1.0, 30.0]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def ask(self):
        state = self.breaker.state
        allowed = self.breaker.allows()
        if state == "closed":
            assert allowed
        elif allowed:
            self.probes = [*self.live_probes(), self.clock.now()]
            assert self.breaker.state == "half-open"

    @precondition(lambda self: self.breaker.state == "closed")
    @rule()
    def call_fails(self):
        self.breaker.failed()
        assert self.breaker.state == "open"

    @precondition(lambda self: self.breaker.state == "open")
    @rule(succeeds=st.booleans())
    def straggler_reports(self, succeeds):
        self.breaker.succeeded() if succeeds else self.breaker.failed()
        assert self.breaker.state == "open"

    @precondition(lambda self: self.probes)
    @rule(succeeds=st.booleans())
    def probe_reports(self, succeeds):
        self.probes = []
        self.breaker.succeeded() if succeeds else self.breaker.failed()
        assert self.breaker.state == ("closed" if succeeds else "open")

    @invariant()
    def never_two_probes_at_once(self):
        assert len(self.live_probes()) <= 1

    def teardown(self):
        self.clock.advance(MAX_OPEN)  # longer than any open time, and than a probe is waited for
        assert self.breaker.allows()
        self.breaker.succeeded()
        assert self.breaker.state == "closed"
        assert self.breaker.allows()


BreakerMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase
