"""What uvicorn logs once `redact_logs` has been called: every level, each of its protocols.

tests/test_main.py sees the logs of processes.
"""

import logging
import re
import socket

import pytest
from fastapi import FastAPI, Request, WebSocket
from hypothesis import example, given, settings
from hypothesis import strategies as st
from live import Served

from chatlib.core import redact
from chatlib.core.fanout import FanoutProtocol
from chatlib.core.redact import RedactingFilter

NAMES = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi")
TRACE = 5
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

app = FastAPI()
decoded: list[str] = []


@app.websocket("/{path:path}")
async def endpoint(websocket: WebSocket):
    decoded.extend(websocket.query_params.getlist("token"))
    offered = websocket.scope["subprotocols"]
    await websocket.accept(offered[-1] if offered else None, [(b"set-cookie", b"a=s3cret")])


@app.get("/{path:path}")
async def page(request: Request):
    decoded.extend(request.query_params.getlist("token"))


@pytest.fixture(scope="module")
def printed():
    """All that uvicorn's loggers would print from TRACE on, tracebacks included, as it comes."""
    lines, formatter = [], logging.Formatter("%(name)s %(levelname)s %(message)s")

    def keep(record):
        lines.append(formatter.format(record))
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redact, "_filter", RedactingFilter())
        for name in NAMES:
            logger = logging.getLogger(name)
            patch.setattr(logger, "filters", [])
            patch.setattr(logger, "level", TRACE)
            patch.setattr(logger, "propagate", False)
        redact.redact_logs("token", "api key", "clé")
        redact.redact_logs("X-Secret")
        for name in NAMES:
            logging.getLogger(name).filters.append(keep)
        yield lines


@pytest.fixture(
    scope="module",
    params=[
        *[(FanoutProtocol, "httptools"), (FanoutProtocol, "h11"), ("websockets-sansio", "h11")],
        ("wsproto", "httptools"),
    ],
    ids=lambda pair: f"{getattr(pair[0], '__name__', pair[0])}-{pair[1]}",
)
def server(request, printed):
    ws, http = request.param
    with Served(app, ws=ws, http=http, log_level=TRACE) as server:
        yield server


def ask(server, path, headers=UPGRADE):
    """Send a request, and return its answer once the connection has ended."""
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(request.encode("latin-1"))
        data = b""
        while more := client.recv(65536):
            data += more
    server.until(lambda: not server.uvicorn.server_state.tasks)
    return data.decode("latin-1")


def upgraded(*headers):
    """Return the headers of a WebSocket handshake, with `headers` among them."""
    return UPGRADE + "".join(f"{header}\r\n" for header in headers)


# What stands around a secret may be anything that an HTTP parser lets through.
PIECES = st.sampled_from(
    [
        *("token", "%74oken", "t%6Fken", "TOKEN", "api+key", "api%20key", "cl%C3%A9", "X-Secret"),
        *(
            "=",
            "=",
            "&",
            "?",
            "#",
            ";",
            "+",
            '"',
            "'",
            "%",
            "%0a",
            "%00",
            "%s",
            "{",
            "\\",
            "/",
            ",",
        ),
        *("SECRET", "SECRET", "[redacted]"),
    ]
)
QUERIES = st.lists(PIECES | st.text(st.characters(min_codepoint=33, max_codepoint=126)))


@example(["q=", '"', "&", "token", "=", "SECRET"])
@example(["token", "=", "SECRET", '"', "SECRET"])
@example(["token", "=", "SECRET", "?", "SECRET"])
@example(["#", "&", "%74oken", "=", "SECRET"])
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(QUERIES)
@pytest.mark.parametrize("headers", [UPGRADE, "Connection: close\r\n"], ids=["websocket", "http"])
def test_what_the_server_takes_for_a_secret_is_not_in_its_log(server, printed, headers, pieces):
    secrets = (f"s3cret{number}." for number in range(len(pieces)))
    query = "".join(next(secrets) if piece == "SECRET" else piece for piece in pieces)
    del printed[:], decoded[:]
    head = ask(server, f"/ws?{query}", headers)
    assert head.startswith(("HTTP/1.1 101", "HTTP/1.1 200"))
    text = "\n".join(printed)
    assert "uvicorn.error" in text or "uvicorn.access" in text
    for value in decoded:
        for secret in re.findall(r"s3cret\d+\.", value):
            assert secret not in text


@pytest.mark.parametrize(
    "path", ["/ws?token=s3cret", "/ws?cl%C3%A9=s3cret", "/ws?api+key=s3cret", "/ws?Token=s3cret"]
)
def test_the_other_parameters_and_the_path_stay(server, printed, path):
    del printed[:]
    ask(server, f"{path}&q=1&token")
    (line,) = [line for line in printed if "[accepted]" in line]
    assert f'"WebSocket {path.replace("s3cret", "[redacted]")}&q=1&token" [accepted]' in line


@pytest.mark.parametrize(
    "header",
    [
        *("Cookie: a=s3cret", "Authorization: Bearer s3cret", "Proxy-Authorization: s3cret"),
        *("X-API-Key: s3cret", "x-secret: s3cret", "Sec-WebSocket-Protocol: bearer, s3cret"),
        "Referer: http://x/page?token=s3cret",
        'Sec-WebSocket-Protocol: "s3cret',  # cannot be read, and is quoted in an exception
    ],
)
def test_what_travels_in_headers_is_not_in_the_log(server, printed, header):
    del printed[:]
    ask(server, "/ws", upgraded(header))
    assert "s3cret" not in "\n".join(printed)


def test_an_app_that_logs_an_address_itself_has_it_redacted_too(printed):
    del printed[:]
    logging.getLogger("uvicorn.error").info("opened ws://localhost/ws?token=s3cret&q=1")
    assert printed == ["uvicorn.error INFO opened ws://localhost/ws?token=[redacted]&q=1"]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("%s %d %s", ("/ws?q=1", 200, None)),
        ("%s", ({"query_string": "token=s3cret", "headers": 3},)),
        ("100 %", ()),
        ({"query_string": None}, ()),
        (ValueError("broken"), ()),
        ("why? token=%s", ("yes",)),
    ],
)
def test_what_has_another_form_is_logged_as_it_is(printed, text, arguments):
    del printed[:]
    logging.getLogger("uvicorn.error").info(text, *arguments)
    plain = logging.LogRecord("", 0, "", 0, text, arguments, None).getMessage()
    assert printed == [f"uvicorn.error INFO {plain}"]


def test_text_that_is_not_utf8_leaves_no_traceback(printed):
    del printed[:]
    log_error("Invalid UTF-8 sequence received from client.")
    assert printed == ["uvicorn.error INFO Invalid UTF-8 sequence received from client."]


def test_an_error_of_the_apps_own_keeps_its_traceback(printed):
    del printed[:]
    log_error("Exception in ASGI application\n")
    assert "UnicodeDecodeError" in printed[0]


def log_error(text):
    """Log `text` with an exception."""
    try:
        b"\xff".decode()
    except UnicodeDecodeError:
        logging.getLogger("uvicorn.error").exception(text)


def test_what_a_filter_that_was_there_first_sees_is_redacted_too(monkeypatch):
    seen = []
    logger = logging.getLogger("uvicorn.error")
    monkeypatch.setattr(logger, "filters", [lambda record: seen.append(record.getMessage())])
    redact.redact_logs("token")
    logger.error("%s accepted", "/ws?token=s3cret")
    assert seen == ["/ws?token=[redacted] accepted"]
