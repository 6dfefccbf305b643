"""Source code is shown as what it is: highlighted by Jupyter, and in plain text."""

import pytest

from chatlib.core.group import Group
from chatlib.lab import source


class Speaker:
    """Says things."""

    def hello(self):
        """Say hello.

        With a ``fence`` and ``` in it.
        """

        # politely
        return "hello"

    async def wait(self, gate):
        await gate.wait()  # until it is open
        return [gate]

    def each(self, gates):
        found = []
        for gate in gates:  # in their order
            if gate:
                found.append(gate)
        return found

    def nothing(self):
        """Do nothing."""


def test_a_docstring_is_left_out_and_the_code_starts_at_the_margin():
    assert repr(source(Speaker.hello)) == ('def hello(self):\n    # politely\n    return "hello"')


def test_a_docstring_that_is_all_there_is_stays():
    assert repr(source(Speaker.nothing)) == 'def nothing(self):\n    """Do nothing."""'


def test_several_stand_below_each_other():
    text = repr(source(Speaker.hello, Speaker.nothing))
    assert '"hello"\n\n\ndef nothing' in text


def test_jupyter_gets_a_python_fence_which_it_highlights_and_the_text():
    code = source(Group.flush)
    assert code._repr_mimebundle_() == {
        "text/plain": repr(code),
        "text/markdown": f"```python\n{code!r}\n```",
    }
    assert repr(code).startswith("def flush(self)")


def test_no_backticks_in_the_code_end_the_fence():
    def quoting():
        return "```"

    fence, _, code = source(quoting)._repr_mimebundle_()["text/markdown"].partition("\n")
    assert fence == "````python"
    assert code.endswith("\n````")


def test_only_the_lines_with_given_words_are_shown_below_the_name():
    assert repr(source(Speaker.wait, Speaker.hello, only="gate.")) == (
        "async def wait(...):\n    await gate.wait()\n\ndef hello(...):"
    )


def test_a_loop_that_begins_with_such_a_line_is_shown_as_a_whole():
    assert repr(source(Speaker.each, only="in gates")) == (
        "def each(...):\n    for gate in gates:\n        if gate:\n            found.append(gate)"
    )


@pytest.mark.parametrize("thing", [len, 3])
def test_what_has_no_source_in_python_is_refused(thing):
    with pytest.raises(TypeError):
        source(thing)
