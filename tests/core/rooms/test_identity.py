"""Tokens: who is in one, and which are good."""

import base64
import contextlib
import hashlib
import hmac
import json
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from chatlib.core.rooms.identity import AUDIENCE, BadTokenError, Tokens

SECRET = "a secret of at least thirty-two bytes"
TOKENS = Tokens(SECRET)
LATER = 4_000_000_000


def part(data):
    """Return a part of a token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims, header=None):
    """Return a token with these claims, JSON as it is, signed well."""
    head = json.dumps({"alg": "HS256", "typ": "JWT"} if header is None else header).encode()
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    text = f"{part(head)}.{part(body)}"
    return f"{text}.{part(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())}"


def claims(**more):
    return {"sub": "ana", "exp": LATER, "aud": AUDIENCE} | more


def without(name):
    return {key: value for key, value in claims().items() if key != name}


@pytest.mark.parametrize("name", ["ana", "Ana Ärm", "名前", "a", "x" * 40, "<b>", "a:b"])
def test_a_token_says_the_name_it_was_signed_for(name):
    assert TOKENS.read(TOKENS.sign(name, 3600)).name == name


@pytest.mark.parametrize("seconds", [0.2, 1, 1.5, 3600])
def test_a_token_is_good_for_as_long_as_it_was_signed_for(seconds):
    before = time.time()
    expires = TOKENS.read(TOKENS.sign("ana", seconds)).expires
    assert before + seconds <= expires <= time.time() + seconds + 1


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (None, "there is none: sign in first"),
        ("", "there is none"),
        ("x", "Not enough segments"),
        ("a.b.c", "not good"),
        ("ä.ö.ü", "not good"),
        ("\0", "not good"),
        (signed(claims(exp=1)), "expired"),
        (signed(claims(exp=True)), "expired"),
        (signed(without("exp")), 'missing the "exp"'),
        (signed(without("sub")), 'missing the "sub"'),
        (signed(without("aud")), 'missing the "aud"'),
        (signed(claims(aud="other.app")), "Audience"),
        (signed(claims(aud={})), "aud"),
        (signed(claims(nbf=LATER)), "not yet valid"),
        (signed(claims(sub=7)), "must be a string"),
        (signed(claims(exp="soon")), "must be an integer"),
        (signed(claims(exp=[])), "must be an integer"),
        (signed(b'{"sub":"ana","aud":"chatlib.rooms","exp":Infinity}'), "not good"),
        (signed(b'{"sub":"ana","aud":"chatlib.rooms","exp":NaN}'), "not good"),
        (signed(claims(exp=10**400)), "not good"),
        (signed(b"[]"), "not good"),
        (signed(b"\xff"), "not good"),
        (signed(b"[" * 9000), "not good"),
        (signed(claims(), {"alg": "none"}), "alg"),
        (signed(claims(), {"alg": "HS512"}), "alg"),
        (signed(claims(), {"alg": ["HS256"]}), "alg"),
        (signed(claims(), {"alg": "HS256", "crit": ["x"]}), "crit"),
        (part(b"[" * 9000) + ".e30.", "not good"),
        (part(b'{"alg":"none"}') + "." + part(json.dumps(claims()).encode()) + ".", "alg"),
        (jwt.encode(claims(), "another secret of the same length!!!", "HS256"), "Signature"),
        (TOKENS.sign("ana", 3600)[:-2], "not good"),
    ],
)
def test_a_token_that_is_not_good_is_refused_with_the_reason(token, says):
    with pytest.raises(BadTokenError, match=says):
        TOKENS.read(token)


@pytest.mark.parametrize(
    "name", ["", "@ana", " ana", "ana ", "a\0b", "a\u202eb", "e\u0301", "\ud800"]
)
def test_what_cannot_be_a_name_is_in_no_token(name):
    with pytest.raises(ValueError, match="expected a name of 1 to 40"):
        TOKENS.sign(name, 3600)
    with pytest.raises(BadTokenError, match="expected a name of 1 to 40"):
        TOKENS.read(signed(claims(sub=name)) if name else jwt.encode(claims(sub=""), SECRET))


@given(st.text() | st.binary().map(part))
def test_no_text_is_taken_for_a_token(text):
    with pytest.raises(BadTokenError):
        TOKENS.read(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
    st.sampled_from(["sub", "exp", "aud", "nbf", "iat", "jti", "iss"]),
)
def test_a_claim_may_be_anything_and_the_token_is_good_or_not(value, name):
    with contextlib.suppress(BadTokenError):
        TOKENS.read(signed(claims(**{name: value})))


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_secret_that_is_too_short_is_refused_with_how_to_make_one(secret):
    with pytest.raises(ValueError, match=r"at least 32 bytes, got \d+: .*token_urlsafe"):
        Tokens(secret)


def asked(headers=(), subprotocols=()):
    """Return a connection with these headers."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return HTTPConnection({"type": "websocket", "headers": raw, "subprotocols": subprotocols})


ANA, BEN, CY = (TOKENS.sign(name, 3600) for name in ("ana", "ben", "cy"))


@pytest.mark.parametrize(
    ("headers", "subprotocols", "name"),
    [
        ([("cookie", f"session={ANA}")], [], "ana"),
        ([("authorization", f"Bearer {ANA}")], [], "ana"),
        ([("authorization", f"bearer   {ANA} ")], [], "ana"),
        ([], ["chatlib.rooms.1", f"token.{ANA}"], "ana"),
        # What the client says now counts more than what its browser keeps.
        ([("authorization", f"Bearer {ANA}"), ("cookie", f"session={BEN}")], [], "ana"),
        ([("cookie", f"session={BEN}")], [f"token.{ANA}"], "ana"),
        ([("authorization", f"Bearer {ANA}")], [f"token.{CY}"], "ana"),
        ([("authorization", "Basic YTpi"), ("cookie", f"session={ANA}")], [], "ana"),
        ([("cookie", f"other=1; session={ANA}; x=y")], [], "ana"),
    ],
)
def test_a_token_is_found_in_each_of_its_places(headers, subprotocols, name):
    assert TOKENS.of(asked(headers, subprotocols)).name == name


def test_a_bad_token_is_not_made_up_for_by_another():
    with pytest.raises(BadTokenError):
        TOKENS.of(asked([("authorization", "Bearer x"), ("cookie", f"session={ANA}")]))


def test_of_a_cookie_that_comes_twice_one_counts():
    twice = asked([("cookie", f"session={ANA}; session={BEN}")])
    assert TOKENS.of(twice).name in {"ana", "ben"}
