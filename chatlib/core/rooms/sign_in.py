"""Signing in with a name: for a course, and among people who trust each other."""

import math
import unicodedata
from typing import Annotated

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, BeforeValidator

from chatlib.core.rooms.identity import COOKIE, Tokens, until
from chatlib.core.rooms.protocol import Person

TOKEN_SECONDS = 7 * 24 * 3600.0


def tidy(name: object) -> object:
    """Return a name as it was meant: without spaces at its ends, in Unicode's form NFC."""
    return unicodedata.normalize("NFC", name.strip()) if isinstance(name, str) else name


class SignIn(BaseModel):
    """Who wants to sign in."""

    name: Annotated[Person, BeforeValidator(tidy)]


class SignedIn(BaseModel):
    """A token, also set as a cookie; `expires` is in seconds of Unix time."""

    name: str
    token: str
    expires: float


def add_sign_in(app: FastAPI, tokens: Tokens, seconds: float) -> None:
    """Add the routes that give a token to whoever asks, under any name.

    Args:
        app: the app to add them to.
        tokens: signs them.
        seconds: how long they are good.
    """

    @app.post("/sign-in")
    def sign_in(body: SignIn, request: Request, response: Response) -> SignedIn:
        expires = until(seconds)
        token = tokens.sign_until(body.name, expires)
        response.set_cookie(
            COOKIE,
            token,
            max_age=math.ceil(seconds),
            path=path_of(request),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",  # no other site's page brings it along
        )
        return SignedIn(name=body.name, token=token, expires=expires)

    @app.post("/sign-out", status_code=204)
    def sign_out(request: Request, response: Response) -> None:
        response.delete_cookie(COOKIE, path=path_of(request))


def path_of(request: Request) -> str:
    """Return the path that the app is below, for its cookie."""
    return request.scope.get("root_path", "") or "/"
