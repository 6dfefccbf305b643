"""Who a client is: a name in a signed token that expires (RFC 7519)."""

import math
import time
from typing import NamedTuple

from starlette.requests import HTTPConnection

from chatlib.core.rooms.names import expect_person

try:
    import jwt
except ImportError as error:
    raise ImportError(f"rooms need PyJWT ({error}): pip install 'chatlib[rooms]'") from error

AUDIENCE = "chatlib.rooms"
ALGORITHM = "HS256"
SECRET_BYTES = 32  # RFC 7518, section 3.2: a key is as long as the hash, or longer
COOKIE = "session"
IN_SUBPROTOCOL = "token."


class Claim(NamedTuple):
    """What a token says: a name, and until when, in seconds of Unix time."""

    name: str
    expires: float


class BadTokenError(ValueError):
    """There is no token, or it is not good. The text says why."""


def until(seconds: float) -> int:
    """Return the time in so many seconds, as a token has it: a whole number of Unix time."""
    return math.ceil(time.time() + seconds)


class Tokens:
    """Signs tokens, and reads those that it has signed.

    Args:
        secret: of at least 32 bytes. Who knows it can sign any name.

    Raises:
        ValueError: it is shorter.
    """

    def __init__(self, secret: str) -> None:
        if len(secret.encode()) < SECRET_BYTES:
            raise ValueError(
                f"expected a secret of at least {SECRET_BYTES} bytes, got {len(secret.encode())}: "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))' prints a good one"
            )
        self._secret = secret

    def sign(self, name: str, seconds: float) -> str:
        """Return a token for `name` that is good for so many seconds, and up to one more.

        Raises:
            ValueError: that cannot be a name.
        """
        return self.sign_until(name, until(seconds))

    def sign_until(self, name: str, expires: int) -> str:
        """Return a token for `name` that is good until then, in seconds of Unix time.

        Raises:
            ValueError: that cannot be a name.
        """
        claims = {"sub": expect_person(name), "exp": expires, "aud": AUDIENCE}
        return jwt.encode(claims, self._secret, ALGORITHM)

    def read(self, token: str | None) -> Claim:
        """Return what `token` says.

        Raises:
            BadTokenError: there is none, it has expired, or it was not signed with this secret.
        """
        if not token:
            raise BadTokenError("expected a token, and there is none: sign in first")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                options={"require": ["sub", "exp", "aud"]},
            )
            return Claim(expect_person(claims["sub"]), float(claims["exp"]))
        except jwt.ExpiredSignatureError:
            raise BadTokenError("the token has expired: sign in again") from None
        except (jwt.PyJWTError, ValueError, OverflowError) as error:
            raise BadTokenError(f"the token is not good: {error}") from None

    def of(self, connection: HTTPConnection) -> Claim:
        """Return what the token of a request or WebSocket says; raise as `read`.

        It is taken from the header `Authorization: Bearer …`, from a subprotocol `token.…` (a
        browser can set no header for a WebSocket), or from the cookie `session`. Not from the query
        string: that is logged on its way.
        """
        scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.read(bearer.strip())
        for protocol in connection.scope.get("subprotocols", ()):
            if protocol.startswith(IN_SUBPROTOCOL):
                return self.read(protocol.removeprefix(IN_SUBPROTOCOL))
        return self.read(connection.cookies.get(COOKIE))
