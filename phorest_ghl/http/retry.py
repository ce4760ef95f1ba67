"""Whether, when and how often a call is sent again.

Belongs here: the bounds and the waits. Does not: what a failure is (`errors`), sending (`session`).

The category alone decides, because the category already knows whether the call may be repeated: a write that may have
happened is UNKNOWN_OUTCOME, never TRANSIENT or UNREACHABLE.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from phorest_ghl.http.errors import ApiError, Category

T = TypeVar("T")

AGAIN = frozenset({Category.RATE_LIMITED, Category.TRANSIENT, Category.UNREACHABLE})
"""What is sent again. A 429 was refused before anything was done, so even a POST may be."""


class DamagedAnswerError(ApiError):
    """An answer to a repeatable call whose body cannot be used (a web page, cut off): asked again, then PROTOCOL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Bounds in attempts and in seconds, whichever comes first; all times in seconds.

    `window_s` is the vendor's rate window: what a 429 without any hint costs (facts/ghl-api §4: 10 s).
    """

    attempts: int = 5
    elapsed_s: float = 120.0
    window_s: float = 10.0
    first_s: float = 1.0
    longest_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.elapsed_s, self.window_s, self.first_s, self.longest_s) < 0:
            raise ValueError("A retry policy needs at least one attempt and no negative times.")

    def run(self, call: Callable[[int], T]) -> T:
        """Call with the attempt's number (from 1) until it succeeds; the last ApiError is raised as it is."""
        started = self.clock()

        def spent(state: tenacity.RetryCallState) -> bool:
            waited = self.clock() - started + state.upcoming_sleep
            return state.attempt_number >= self.attempts or waited > self.elapsed_s

        def wait(state: tenacity.RetryCallState) -> float:
            failure = state.outcome.exception() if state.outcome else None
            return self.wait_s(failure, state.attempt_number) if isinstance(failure, ApiError) else 0.0

        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception(worth_repeating), wait=wait, stop=spent, sleep=self.sleep, reraise=True
        ):
            with attempt:
                return call(attempt.retry_state.attempt_number)
        raise AssertionError("tenacity either returns or raises")

    def wait_s(self, failure: ApiError, attempt: int) -> float:
        """Seconds before the attempt after this one: what the vendor asks for, one rate window, or exponential."""
        if failure.retry_after is not None:
            # Everybody who was refused at the same moment would otherwise come back at the same moment.
            return failure.retry_after + self.jitter() * min(1.0, 0.1 * failure.retry_after)
        if failure.category is Category.RATE_LIMITED:
            return self.window_s * (1 + 0.2 * self.jitter())
        step = min(self.longest_s, self.first_s * 2.0 ** (attempt - 1))
        return step / 2 + step / 2 * self.jitter()


def worth_repeating(failure: BaseException) -> bool:
    """Whether another attempt may help and can do no harm."""
    return isinstance(failure, DamagedAnswerError) or (isinstance(failure, ApiError) and failure.category in AGAIN)
