"""The checks of the exercises are tried in one form, with enough wrong answers and right ones."""

import importlib

import pytest

from chatlib.lab import check
from chatlib.lab.check.progress import CHAPTERS

CONTRACTS = ("echo", "items", "chat")
EXERCISES = [name for names in CHAPTERS.values() for name in names]


def rules_of(name):
    """Return the sentences of the rules, which a report on nothing has all."""
    return {rule.says for rule, _, _ in getattr(check, name)(None).lines}


@pytest.mark.parametrize("name", [*EXERCISES, *CONTRACTS])
def test_there_are_eight_wrong_answers_and_three_right_ones(name):
    module = importlib.import_module(f"test_{name}")
    assert len(module.WRONG) >= 8
    assert len(module.RIGHT) >= 3
    assert {rule for _, rule, _ in module.WRONG.values()} <= rules_of(name)


@pytest.mark.parametrize("name", [*EXERCISES, *CONTRACTS])
def test_each_rule_rejects_something(name):
    module = importlib.import_module(f"test_{name}")
    rejecting = {rule for _, rule, _ in module.WRONG.values()}
    assert rules_of(name) - {"the app starts"} <= rejecting


@pytest.mark.parametrize("name", EXERCISES)
def test_a_report_on_the_stub_is_the_same_each_time(name):
    """It is stored in the chapter; the stub is the first of the wrong answers."""
    stub, *_ = next(iter(importlib.import_module(f"test_{name}").WRONG.values()))
    assert repr(getattr(check, name)(stub)) == repr(getattr(check, name)(stub))
