"""The loopback server to which the browser comes back: one answer, with the right state, in time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from phorest_ghl.ghl.callback import Callback, CallbackFailed

STATE = "a state of this authorization"
LONG_S = 30.0


@contextmanager
def coming_back(callback: Callback, *queries: dict[str, str]) -> Iterator[list[int]]:
    """A browser that comes back with each of these, one after the other; the statuses that it got."""
    seen: list[int] = []

    def visit() -> None:
        seen.extend(httpx.get(callback.url, params=query, timeout=LONG_S).status_code for query in queries)

    browser = threading.Thread(target=visit)
    browser.start()
    yield seen
    browser.join()


def test_the_code_is_taken_with_the_right_state_and_the_port_is_closed_after_it() -> None:
    with Callback(0, STATE) as callback:
        with coming_back(callback, {"code": "c-1", "state": STATE}) as seen:
            code = callback.wait(LONG_S)
        assert (code.get_secret_value(), seen) == ("c-1", [200])
        assert "c-1" not in repr(code)
        with pytest.raises(httpx.ConnectError):
            httpx.get(callback.url, params={"code": "c-2", "state": STATE})


def test_it_listens_on_this_machine_alone() -> None:
    with Callback(0, STATE) as callback:
        assert urlsplit(callback.url).hostname == "127.0.0.1"


def test_an_answer_with_a_wrong_state_or_none_is_refused_and_the_right_one_still_waited_for() -> None:
    wrong = [{"code": "evil", "state": "x"}, {"code": "evil"}, {"code": "evil", "state": STATE[:-1]}]
    with Callback(0, STATE) as callback, coming_back(callback, *wrong, {"code": "c-1", "state": STATE}) as seen:
        assert callback.wait(LONG_S).get_secret_value() == "c-1"
    assert seen == [400, 400, 400, 200]


def test_nobody_coming_back_in_time_is_a_sentence_that_tells_of_strangers() -> None:
    with (
        Callback(0, STATE) as callback,
        pytest.raises(CallbackFailed, match=r"Nobody came back .* within 0\.05 seconds"),
    ):
        callback.wait(0.05)


def test_a_person_who_does_not_agree_ends_the_wait() -> None:
    with (
        Callback(0, STATE) as callback,
        coming_back(callback, {"error": "access_denied", "state": STATE}),
        pytest.raises(CallbackFailed, match="was not installed"),
    ):
        callback.wait(LONG_S)


def test_a_port_that_is_taken_is_a_sentence() -> None:
    with Callback(0, STATE) as callback, pytest.raises(CallbackFailed, match="GHL_CALLBACK_PORT"):
        Callback(urlsplit(callback.url).port or 0, STATE)
