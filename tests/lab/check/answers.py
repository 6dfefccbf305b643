"""What the tests of the checks expect of a report."""


def expect_rejected(report, rule, words):
    """Expect that `rule` is the first that does not hold, and that `words` help to see why."""
    failed = [(tried, came) for tried, mark, came in report.lines if mark == "✗"]
    assert failed, f"accepted:\n{report}"
    first, came = failed[0]
    assert first.says == rule, report
    assert words in came or words in first.hint, report


def expect_accepted(report):
    """Expect that every rule holds."""
    assert report.passed, report
