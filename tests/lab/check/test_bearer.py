"""`check.bearer` tells right answers from wrong ones."""

import re
from typing import Annotated

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import (
    Cookie,
    Depends,
    Header,
    HTTPException,
    Query,
    Request,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from chatlib.lab import check

OPENS = "Authorization: Bearer t opens the door, and the credential is t"
WHOLE = "the credential stays as it is, whatever letters are in it"
NOTHING = "no header at all: refused with 403"
BASIC = "Authorization: Basic dDE6, another scheme: refused with 403"
LIKE = "Authorization: BearerX t, another word: refused with 403"
QUIET = "none of this left a traceback in the log"
EMPTY = "Authorization: Bearer, with nothing behind it: refused with 403"

Authorization = Annotated[str | None, Header()]


def taking(credential_of, is_right):
    """Return an answer that returns `credential_of(header)` if `is_right(header)`."""

    async def bearer(authorization: Authorization = None) -> str:
        if not is_right(authorization):
            raise WebSocketException(1008)
        return credential_of(authorization)

    return bearer


def behind(header):
    return header.partition(" ")[2]


def right(header):
    scheme, _, credential = (header or "").partition(" ")
    return scheme == "Bearer" and bool(credential)


def begins_with_bearer(header):
    return header is not None and header.startswith("Bearer ") and len(header) > 7


async def stub(authorization: Authorization = None):
    return authorization


async def lets_all_in(authorization: Authorization = None):
    return (authorization or "").rpartition(" ")[2]


async def no_bearer_no_check(authorization: Authorization = None):
    if authorization is None:
        raise WebSocketException(1008)
    return authorization.rpartition(" ")[2]


async def takes_it_apart_at_once(authorization: Authorization = None):
    scheme, _, credential = authorization.partition(" ")
    if scheme != "Bearer" or not credential:
        raise WebSocketException(1008)
    return credential


async def unpacks(authorization: Authorization = None):
    if authorization is None:
        raise WebSocketException(1008)
    scheme, credential = authorization.split(" ")
    if scheme != "Bearer":
        raise WebSocketException(1008)
    return credential


async def http_exception(authorization: Authorization = None):
    if not right(authorization):
        raise HTTPException(403)
    return behind(authorization)


async def http_exception_401(authorization: Authorization = None):
    if not right(authorization):
        raise HTTPException(401)
    return behind(authorization)


async def another_code(authorization: Authorization = None):
    if not right(authorization):
        raise WebSocketException(4401)
    return behind(authorization)


async def forgets_return(authorization: Authorization = None):
    if not right(authorization):
        raise WebSocketException(1008)
    behind(authorization)


async def disconnects(authorization: Authorization = None):
    if not right(authorization):
        raise WebSocketDisconnect(1008)
    return behind(authorization)


async def asserts(authorization: Authorization = None):
    if authorization is None:
        raise WebSocketException(1008)
    assert right(authorization)
    return behind(authorization)


async def from_a_cookie(
    authorization: Authorization = None,
    cookie: Annotated[str | None, Cookie(alias="authorization")] = None,
):
    if not right(authorization or cookie):
        raise WebSocketException(1008)
    return behind(authorization or cookie)


async def from_the_session(
    authorization: Authorization = None, session: Annotated[str | None, Cookie()] = None
):
    if not (right(authorization) or session):
        raise WebSocketException(1008)
    return session or behind(authorization)


async def from_the_request(request: Request):
    if not right(request.headers.get("authorization")):
        raise WebSocketException(1008)
    return behind(request.headers["authorization"])


async def from_the_query(authorization: Annotated[str | None, Query()] = None):
    if not right(authorization):
        raise WebSocketException(1008)
    return behind(authorization)


async def from_either(
    authorization: Authorization = None, token: Annotated[str | None, Query()] = None
):
    if token:
        return token
    if not right(authorization):
        raise WebSocketException(1008)
    return behind(authorization)


async def no_type(authorization):
    return behind(authorization)


async def a_pair(authorization: Authorization = None):
    if not right(authorization):
        raise WebSocketException(1008)
    return authorization.split(" ")


async def credential_of(header):
    return behind(header)


async def forgets_await(authorization: Authorization = None):
    return credential_of(authorization)


async def closes_and_goes_on(websocket: WebSocket, authorization: Authorization = None):
    if not right(authorization):
        await websocket.close(1008)
        return None
    return behind(authorization)


class Bearer:
    async def __call__(self, authorization: Authorization = None):
        if not right(authorization):
            raise WebSocketException(1008)
        return behind(authorization)


WRONG = {
    "the stub": (stub, OPENS, "expected 't1', got: 'Bearer t1'"),
    "always t1": (taking(lambda header: "t1", right), OPENS, "expected 't2', got: 't1'"),
    "letters are stripped": (
        taking(lambda header: header.strip("Bearer "), right),  # noqa: B005
        WHOLE,
        "take off the word",
    ),
    "the word is taken out everywhere": (
        taking(lambda header: header.replace("Bearer", "").strip(), right),
        WHOLE,
        "expected 'Bearer', got: ''",
    ),
    "small letters": (taking(lambda header: behind(header).lower(), right), WHOLE, "'bearer'"),
    "word characters alone": (
        taking(lambda header: re.search(r"Bearer (\w+)", header)[1], right),
        WHOLE,
        "'rarer-Bear-error', got: 'rarer'",
    ),
    "all are let in": (lets_all_in, NOTHING, "expected HTTP 403 for /ws, got: let in"),
    "None is taken apart": (takes_it_apart_at_once, NOTHING, "AttributeError: 'NoneType'"),
    "HTTPException(403)": (
        http_exception,
        NOTHING,
        'got: HTTP 403 with the body \'{"detail":"Forbidden"}\'\nraise WebSocketException(1008)',
    ),
    "HTTPException(401)": (http_exception_401, NOTHING, "got: HTTP 401 with the body"),
    "another exception": (disconnects, NOTHING, "raise WebSocketException(1008)"),
    "another exception for some": (asserts, BASIC, "any other exception here is an error"),
    "another code": (another_code, NOTHING, "got: 4401"),
    "the query opens too": (from_either, NOTHING, "for /ws?token=t3, got: let in"),
    "a cookie opens too": (from_a_cookie, NOTHING, "the header Authorization counts alone"),
    "the session opens too": (from_the_session, NOTHING, "for Cookie: session=t3;"),
    "a Request": (from_the_request, OPENS, "take websocket: WebSocket"),
    "any scheme": (no_bearer_no_check, BASIC, "for Authorization: Basic dDE6, got: let in"),
    "any word that begins so": (
        taking(behind, lambda header: header and header.startswith("Bearer") and behind(header)),
        LIKE,
        "for Authorization: BearerX t5",
    ),
    "any word that ends so": (
        taking(
            behind,
            lambda header: (
                header and header.partition(" ")[0].endswith("Bearer") and behind(header)
            ),
        ),
        LIKE,
        "for Authorization: XBearer t5",
    ),
    "any word that is in Bearer": (
        taking(
            behind,
            lambda header: header and header.partition(" ")[0] in "Bearer" and behind(header),
        ),
        LIKE,
        "for Authorization: Bear t5",
    ),
    "the word anywhere": (
        taking(behind, lambda header: header and "Bearer" in header and behind(header)),
        BASIC,
        "for Authorization: Basic Bearer",
    ),
    "nothing behind it": (
        taking(behind, lambda header: header and header.partition(" ")[0] == "Bearer"),
        EMPTY,
        "an empty credential counts as none",
    ),
    "it unpacks what may not be there": (unpacks, LIKE, "ValueError: not enough values"),
    "it closes, and goes on": (closes_and_goes_on, QUIET, "end there, or raise"),
    "no return": (forgets_return, OPENS, "without `return`"),
    "the query": (from_the_query, OPENS, "got: HTTP 403"),
    "no type": (no_type, OPENS, "Annotated[str | None, Header()]"),
    "a list": (a_pair, OPENS, "got: ['Bearer', 't1']"),
    "a forgotten await": (forgets_await, OPENS, "you forgot `await`"),
    "a class for a function": (Bearer, OPENS, "an instance: Bearer()"),
    "nothing for a function": (None, OPENS, "a function that takes (authorization)"),
}


def plain(authorization: str = Header("")):
    if not begins_with_bearer(authorization):
        raise WebSocketException(code=1008, reason="no")
    return authorization.removeprefix("Bearer ")


async def from_the_websocket(websocket: WebSocket):
    scheme, _, rest = websocket.headers.get("Authorization", "").partition(" ")
    if (scheme.lower(), bool(rest)) != ("bearer", True):
        raise WebSocketException(1008)
    return rest


def from_the_connection(connection: HTTPConnection):
    match = re.fullmatch(r"Bearer (\S+)", connection.headers.get("authorization", ""))
    if match is None:
        raise WebSocketException(1008)
    return match[1]


async def required(value: Annotated[str, Header(alias="Authorization")]):
    words = value.split()
    if len(words) != 2 or words[0] != "Bearer":
        raise WebSocketException(1008)
    return words[1]


async def with_pattern(authorization: Annotated[str, Header(pattern=r"^Bearer .+$")]):
    return authorization[len("Bearer ") :]


def header(authorization: Authorization = None):
    return authorization or ""


def of_another(given: Annotated[str, Depends(header)]):
    if not right(given):
        raise WebSocketException(1008)
    yield behind(given)


def made_for(word):
    async def dependency(authorization: Authorization = None):
        if authorization is None or not authorization.startswith(f"{word} "):
            raise WebSocketException(1008)
        if not (rest := authorization[len(word) + 1 :]):
            raise WebSocketException(1008)
        return rest

    return dependency


async def by_match(authorization: Authorization = None):
    match (authorization or "").split():
        case ["Bearer", credential]:
            return credential
        case _:
            raise WebSocketException(1008, reason="no bearer token")


async def by_exceptions(authorization: Authorization = None):
    try:
        scheme, credential = authorization.split(" ", 1)
        assert scheme == "Bearer"
        assert credential
    except (AttributeError, ValueError, AssertionError):
        raise WebSocketException(1008) from None
    return credential


async def of_fastapi(authorization: Authorization = None):
    scheme, credential = get_authorization_scheme_param(authorization)
    if scheme.lower() != "bearer" or not credential:
        raise WebSocketException(1008)
    return credential


RIGHT = {
    "the solution": taking(behind, right),
    "def, and a default": plain,
    "the WebSocket's headers": from_the_websocket,
    "the connection's headers": from_the_connection,
    "a header that is required": required,
    "a pattern": with_pattern,
    "a dependency of its own, and yield": of_another,
    "a closure": made_for("Bearer"),
    "an instance of a class": Bearer(),
    "match": by_match,
    "exceptions that are caught": by_exceptions,
    "FastAPI's own parser": of_fastapi,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.bearer(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.bearer(RIGHT[name]))


def test_an_http_exception_leaves_no_traceback():
    *_, (rule, mark, _) = check.bearer(http_exception).lines
    assert (rule.says, mark) == (QUIET, "✓")


async def takes_the_second_word(authorization: Authorization = None):
    if authorization is None or authorization.split(" ")[0] != "Bearer":
        raise WebSocketException(1008)
    if not authorization.split(" ")[1]:
        raise WebSocketException(1008)
    return behind(authorization)


def test_an_error_that_one_header_alone_leads_to_is_a_traceback_too():
    report = check.bearer(takes_the_second_word)
    assert "IndexError" in repr(report)
    assert [rule.says for rule, mark, _ in report.lines if mark == "✗"] == [EMPTY, QUIET]
