"""A process that answers, line by line, and does not outlive who started it."""

import json
import subprocess
import sys

import pytest

from chatlib.lab.child import Child, ChildError

DOUBLES = """
import json, sys
for line in sys.stdin:
    print(json.dumps(2 * json.loads(line)), flush=True)
"""
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(1, flush=True)
sys.stdin.read()
"""
# A process that starts one, and is killed. Its stdout is that of the child as well, so its end is
# seen when both have ended.
PARENT = """
import sys
from chatlib.lab.child import Child
child = Child("import os, sys; os.write(1, b'1\\\\n'); sys.stdin.read()")
child.answer()
print(child.pid, flush=True)
input()
"""


@pytest.fixture
def child():
    child = Child(DOUBLES)
    yield child
    child.kill()


def test_it_answers_what_it_is_asked_in_order(child):
    for order in (1, [2, "a"], "é"):
        child.order(order)
    assert [child.answer() for _ in range(3)] == [2, [2, "a", 2, "a"], "éé"]


def test_it_finds_the_modules_that_this_process_finds():
    child = Child("import json, sys; import chatlib; print(json.dumps(chatlib.__file__))")
    import chatlib

    assert child.answer() == chatlib.__file__
    child.kill()


def test_one_that_has_ended_says_its_last_words():
    child = Child("import sys; sys.exit('first\\nit cannot be')")
    with pytest.raises(ChildError, match=r"^it cannot be$"):
        child.answer()
    with pytest.raises(ChildError, match=r"^it cannot be$"):
        child.order("nobody reads this")
    child.kill()


def test_one_that_ends_without_a_word_is_told_of_too():
    child = Child("")
    with pytest.raises(ChildError, match="it said nothing"):
        child.answer()
    child.kill()


def test_it_ends_when_it_is_killed_and_a_second_time_does_no_harm(child):
    assert child.running
    child.kill()
    assert not child.running
    child.kill()
    child.ask_to_end(0)


def test_it_may_end_by_itself_when_it_is_asked(child):
    child.ask_to_end(20)
    assert not child.running


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to ignore")
def test_one_that_does_not_listen_is_killed():
    child = Child(STUBBORN)
    child.answer()
    child.ask_to_end(0.05)
    assert not child.running


def test_it_ends_with_the_process_that_started_it_even_if_that_is_killed():
    command = [sys.executable, "-c", PARENT]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert json.loads(parent.stdout.readline()) > 0
    parent.kill()
    parent.communicate(timeout=20)
