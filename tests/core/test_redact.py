"""What uvicorn logs once `redact_logs` has been called. tests/test_main.py sees real logs."""

import logging

import pytest

from chatlib.core import redact
from chatlib.core.redact import RedactingFilter


@pytest.fixture
def redacting():
    redacting = RedactingFilter()
    redacting.parameters = {"token", "api key"}
    return redacting


def logged(redacting, message, *arguments, error=None):
    """Return the record of a log call, as a handler would get it."""
    info = (type(error), error, None) if error else None
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, message, arguments, info)
    assert redacting.filter(record)
    return record


@pytest.mark.parametrize(
    ("path", "redacted"),
    [
        ("/ws?token=s3cret", "/ws?token=[redacted]"),
        ("/ws?q=1&token=s3cret&x=2", "/ws?q=1&token=[redacted]&x=2"),
        ("/ws?token=a&token=b", "/ws?token=[redacted]&token=[redacted]"),
        ("/ws?%74oken=s3cret", "/ws?%74oken=[redacted]"),
        ("/ws?api+key=s3cret", "/ws?api+key=[redacted]"),
        ("/ws?token=a=b?c", "/ws?token=[redacted]"),
        ("/ws?broken=1&tokens=2&token", "/ws?broken=1&tokens=2&token"),
        ("/token=1", "/token=1"),
    ],
)
def test_the_values_of_named_parameters_are_redacted_and_nothing_else(redacting, path, redacted):
    record = logged(redacting, '%s - "WebSocket %s" [accepted]', "127.0.0.1:5", path)
    assert record.getMessage() == f'127.0.0.1:5 - "WebSocket {redacted}" [accepted]'


@pytest.mark.parametrize("header", ["Cookie", "authorization", "Sec-WebSocket-Protocol"])
def test_secret_headers_are_redacted(redacting, header):
    assert logged(redacting, "< %s: %s", header, "s3cret").getMessage() == f"< {header}: [redacted]"


def test_numbers_stay_numbers(redacting):
    assert logged(redacting, "%s %d", "?token=x", 200).getMessage() == "?token=[redacted] 200"


def test_text_that_is_not_utf8_leaves_no_traceback(redacting):
    error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    record = logged(redacting, "Invalid UTF-8 sequence received from client.", error=error)
    assert record.exc_info is None
    assert record.levelname == "INFO"


def test_a_decoding_error_of_the_apps_own_keeps_its_traceback(redacting):
    error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    assert logged(redacting, "Exception in ASGI application\n", error=error).exc_info


def test_what_a_filter_that_was_there_first_sees_is_redacted_too(monkeypatch):
    seen = []
    logger = logging.getLogger("uvicorn.error")
    monkeypatch.setattr(logger, "filters", [lambda record: seen.append(record.getMessage())])
    redact.redact_logs("token")
    logger.error("%s accepted", "/ws?token=s3cret")
    assert seen == ["/ws?token=[redacted] accepted"]
