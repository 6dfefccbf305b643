"""SIGTERM is noted at once, and handed on to the server, at once or later."""

import asyncio
import os
import signal
import sys
import threading

import pytest
from joining import in_loop

from chatlib.core.ops.stopping import VARIABLE, Stopping, drain_from_environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there, os.kill ends the process")


@pytest.fixture
def told():
    """What a server would be told, in a list; SIGTERM is its own for as long as the test runs."""
    told = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    yield told
    signal.signal(signal.SIGTERM, before)


def sigterm():
    os.kill(os.getpid(), signal.SIGTERM)


@in_loop
async def test_sigterm_is_noted_and_handed_on_at_once(told):
    stopping = Stopping()
    with stopping.noted():
        assert not stopping.began
        sigterm()
        assert stopping.began
        assert told == [signal.SIGTERM]


@in_loop
async def test_with_a_drain_the_server_is_told_so_many_seconds_later(told):
    stopping = Stopping(drain=7)
    loop, timers = asyncio.get_running_loop(), []
    loop.call_later = lambda seconds, *call: timers.append((seconds, call))
    with stopping.noted():
        sigterm()
        assert stopping.began
        await asyncio.sleep(0)
        assert told == []
        ((seconds, (call, *arguments)),) = timers
        assert seconds == 7
        call(*arguments)
        assert told == [signal.SIGTERM]


@in_loop
async def test_a_second_sigterm_ends_the_drain(told):
    stopping = Stopping(drain=1000)
    with stopping.noted():
        sigterm()
        await asyncio.sleep(0)
        sigterm()
        assert told == [signal.SIGTERM]


@in_loop
async def test_after_a_second_sigterm_the_server_is_not_told_again(told):
    stopping = Stopping(drain=7)
    loop, timers = asyncio.get_running_loop(), []
    loop.call_later = lambda seconds, *call: timers.append(call)
    with stopping.noted():
        sigterm()
        await asyncio.sleep(0)
        sigterm()
        ((call, *arguments),) = timers
        call(*arguments)
        assert told == [signal.SIGTERM]


@in_loop
async def test_who_stops_for_another_reason_in_the_drain_is_told_of_sigterm_by_then(told):
    with Stopping(drain=1000).noted():
        sigterm()
        await asyncio.sleep(0)
        assert told == []
    assert told == [signal.SIGTERM]


@in_loop
async def test_a_handler_that_python_cannot_set_again_stays(told, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(signal, "getsignal", lambda number: None)  # as for one that C has set
    with Stopping().noted():
        sigterm()
    monkeypatch.undo()
    assert told == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


@in_loop
async def test_the_handler_from_before_is_there_again(told):
    before = signal.getsignal(signal.SIGTERM)
    with Stopping().noted():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@in_loop
async def test_one_that_was_set_since_stays(told):
    def newer(number, frame):
        pass

    with Stopping().noted():
        signal.signal(signal.SIGTERM, newer)
    assert signal.getsignal(signal.SIGTERM) is newer


def test_in_another_thread_signals_are_left_alone(told):
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    async def run():
        with Stopping().noted():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join(20)
    assert seen == [before]


@pytest.mark.parametrize(("text", "seconds"), [("", 0.0), ("3", 3.0), ("0.5", 0.5)])
def test_the_environment_says_how_long(text, seconds, monkeypatch):
    monkeypatch.setenv(VARIABLE, text)
    assert drain_from_environment() == seconds


@pytest.mark.parametrize("text", ["-1", "soon", "inf", "nan"])
def test_what_is_no_number_of_seconds_is_refused(text, monkeypatch):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ValueError, match=r"\$CHATLIB_DRAIN: expected seconds from 0 on"):
        drain_from_environment()
