"""What the tests of the checks expect of a report."""


def expect_rejected(report, rule, words):
    """Expect that the first line that fails is `rule`'s, and that it or its hint has `words`."""
    failing = [(tried.says, came, tried.hint) for tried, mark, came in report.lines if mark == "✗"]
    assert failing, f"accepted:\n{report}"
    says, came, hint = failing[0]
    assert says == rule, report
    assert words in f"{came}\n{hint}", report
    # What a reader sees: no object of ours, no address, no path.
    for never in ("Outcome(", "Wrong(", " at 0x", "site-packages", "chatlib/"):
        assert never not in repr(report), report
    assert "hint: " in repr(report)


def expect_accepted(report):
    """Expect that each line holds."""
    assert report.passed, report
