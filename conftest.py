"""What `pytest` and `pytest --nbval` need to run anywhere in this project without options."""

import os
import re
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

CELL_SECONDS = 60.0
# A test of one chapter, as pytest-xdist calls it: tests/notebooks/test_reruns.py::test_x[03_chat]
OF_A_CHAPTER = re.compile(r"(tests/.*?)::\w+\[(\d\d_\w+|open_exercises)\]")


def pytest_configure(config: pytest.Config) -> None:
    """Set nbval's options.

    They are not in `addopts`, where the path would be taken from the working directory: `pytest
    --nbval` in notebooks/ would not find the file.
    """
    option = config.option
    if not (getattr(option, "nbval", False) or getattr(option, "nbval_lax", False)):
        return
    given = [str(argument).partition("=")[0] for argument in config.invocation_params.args]
    if option.nbval_sanitize_with is None:
        option.nbval_sanitize_with = str(
            config.rootpath / "tests" / "notebooks" / "nbval_sanitize.cfg"
        )
    if "--nbval-cell-timeout" not in given:
        option.nbval_cell_timeout = CELL_SECONDS
    if option.nbval_kernel_name is None:
        option.nbval_current_env = True  # and not whichever python3 a Jupyter elsewhere registered


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the cells of notebooks that need a program where there is none, and say so."""
    sources = {item: getattr(item, "cell", {}).get("source", "") for item in items}
    if not any(sources.values()):
        return
    from chatlib.lab.needs import missing

    for item, source in sources.items():
        for program in missing(source):
            reason = f"it needs {program.name}; {program.how_to_get_one}"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give tests of one chapter to any worker that is free, and those of any other file to one."""
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            chapter = OF_A_CHAPTER.fullmatch(nodeid)
            scope: str = super()._split_scope(nodeid)
            return f"{scope} {chapter[2]}" if chapter else scope

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CHATLIB_REQUIRE_ALL=1, which CI sets, have a skipped test fail."""
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Likewise for a module that is skipped as a whole."""
    report = yield
    refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn `report` into a failure if it says *skipped* and nothing may be."""
    if report.skipped and not hasattr(report, "wasxfail") and required():
        where = report.longrepr
        reason = where[-1] if isinstance(where, tuple) else where
        report.outcome = "failed"
        report.longrepr = f"CHATLIB_REQUIRE_ALL=1, yet this was skipped. {reason}"


def required() -> bool:
    """Return whether every test has to run."""
    return os.environ.get("CHATLIB_REQUIRE_ALL", "") not in ("", "0")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was left out, and why: one line for each reason."""
    reasons = Counter(
        report.longrepr[-1].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    for reason, number in reasons.most_common():
        terminalreporter.write_line(f"left out: {number}, since {reason}")
