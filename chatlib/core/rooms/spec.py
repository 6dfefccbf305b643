"""The protocol as others read it: a page, JSON Schema, and AsyncAPI 3, all made of the models."""

from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chatlib.core.pages import HEADERS
from chatlib.core.rooms.names import MINE, ROOM_PATTERN
from chatlib.core.rooms.protocol import CLOSES, DOWN, FRAME_BYTES, SUBPROTOCOL, UP

LEFT_OUT = {
    "Several rooms on one socket": "a slow room would hold up the others, and a cursor would be a "
    "table. HTTP/2 and a proxy make a second socket cheap.",
    "Edits and deletes": "they are further kinds of message in the same log: whoever reads it from "
    "the beginning sees what became of each.",
    "Receipts of reading": "one cursor for each reader and room, kept where your users are.",
    "Binary frames": "a picture belongs on an HTTP server, and its address in a message.",
    "Acknowledgements from clients": "TCP has brought what the next cursor says it has.",
}


def schemas() -> dict[str, Any]:
    """Return the JSON Schema of each frame, by its name."""
    models = [(model, "validation") for model in (*UP, *DOWN)]
    _, found = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    defined: dict[str, Any] = found["$defs"]
    return defined


def asyncapi(version: str, title: str) -> dict[str, Any]:
    """Return the AsyncAPI 3 document of the protocol.

    Args:
        version: of the app.
        title: of the app.
    """
    messages = {
        model.__name__: {
            "name": kind_of(model),
            "summary": (model.__doc__ or "").partition("\n")[0],
            "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        }
        for model in (*UP, *DOWN)
    }

    def listed(models: tuple[type[BaseModel], ...]) -> list[dict[str, str]]:
        return [{"$ref": f"#/channels/room/messages/{model.__name__}"} for model in models]

    room = {"$ref": "#/channels/room"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": version,
            "description": f"The WebSocket subprotocol `{SUBPROTOCOL}`. Each frame is a JSON "
            f"object of at most {FRAME_BYTES} bytes; its `type` says which.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "room": {
                "address": "/rooms/{room}",
                "description": "A room, over a WebSocket. The query parameter `after` is the "
                "cursor up to which the client has heard; or else `last` is how many of the "
                "newest messages it gets, from 0 to 200.",
                "parameters": {
                    "room": {
                        "description": f"It matches `{ROOM_PATTERN}`; or it is `{MINE}`, the "
                        "inbox of the token's name."
                    }
                },
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "query": QUERY, "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            "hear": {"action": "send", "channel": room, "messages": listed(DOWN)},
            "speak": {"action": "receive", "channel": room, "messages": listed(UP)},
        },
        "components": {"messages": messages, "schemas": schemas()},
    }


QUERY = {
    "type": "object",
    "properties": {
        "after": {"type": "string", "pattern": r"^\d{1,15}\.[0-9a-f]{8}$"},
        "last": {"type": "integer", "minimum": 0, "maximum": 200},
    },
}


def kind_of(model: type[BaseModel]) -> str:
    """Return the `type` of the frames that `model` describes."""
    kind: str = model.model_json_schema()["properties"]["type"]["const"]
    return kind


def page(title: str) -> str:
    """Return the page that describes the protocol."""
    closes = "".join(
        f"<tr><th scope=row>{code}</th><td>{marked(text)}</td></tr>"
        for code, text in CLOSES.items()
    )
    left_out = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in LEFT_OUT.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{SUBPROTOCOL}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="pages/style.css">
<link rel="stylesheet" href="pages/protocol.css">
</head>
<body>
<header><h1>{escape(title)}: the protocol {SUBPROTOCOL}</h1></header>
<main>
{marked_paragraphs(INTRODUCTION)}
<h2>What you send</h2>
{"".join(section(model) for model in UP)}
<h2>What you get</h2>
{"".join(section(model) for model in DOWN)}
<h2>When the connection closes</h2>
<div class="wide" tabindex="0" role="region" aria-label="Close codes"><table>
<tr><th scope=col>code</th><th scope=col>what it means for you</th></tr>{closes}</table></div>
<h2>What is left out, and why</h2>
<dl>{left_out}</dl>
<p>For programs: <a href="asyncapi.json">AsyncAPI 3</a>, with the JSON Schema of each frame;
<a href="docs">the HTTP routes</a>.</p>
</main>
</body>
</html>
"""


INTRODUCTION = f"""\
A room is a log: its messages have the ids 1, 2, 3 … without gaps, in one order for all. Open a
WebSocket at `/rooms/lobby` to hear and to speak; `/rooms/{MINE}` is your own inbox.

Say who you are by a token: in the cookie `session`, in the header `Authorization: Bearer …`, or as
a second subprotocol, `token.…`, beside `{SUBPROTOCOL}`. Never in the address, which is logged.

Keep the last `id` and `tag` that you have heard, as the cursor `17.a41f09c2`. When you come back,
`?after=17.a41f09c2` brings all that you missed, or says that it cannot. Without a cursor,
`?last=50` brings the newest messages, from 0 to 200.

Give each message a key of your own, and keep it until its `ack` comes or you hear it yourself.
After a lost connection send it again, with the same key: it is in the room once. Wait for one `ack`
before you send the next message, and their order stays.

If no frame comes for `beat` and ten seconds more, the connection is dead: come back. If an id is
not one more than the last, you have missed something: come back with your cursor."""


def section(model: type[BaseModel]) -> str:
    """Return the description of a frame."""
    schema = model.model_json_schema(by_alias=True)
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><th scope=row><code>{name}</code></th><td>{escape(kind(field))}"
        f"{'' if name in required else ', optional'}"
        f"{': ' if 'description' in field else ''}{marked(field.get('description', ''))}</td></tr>"
        for name, field in schema["properties"].items()
    )
    name = kind_of(model)
    return f"""<h3><code>{name}</code></h3>
{marked_paragraphs(model.__doc__ or "")}
<div class="wide" tabindex="0" role="region" aria-label="Fields of {name}">
<table>{rows}</table></div>
"""


def kind(field: dict[str, Any]) -> str:
    """Return what may stand in a field of a JSON Schema, in words."""
    if "const" in field:
        return f'"{field["const"]}"'
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " or ".join(map(kind, field["anyOf"]))
    if "$ref" in field:
        return "object: text and frame, whole numbers"
    if field.get("type") == "array":
        return "list of texts"
    words = {"integer": "whole number", "number": "number", "string": "text"}
    words |= {"boolean": "true or false", "null": "null"}
    text = words[field["type"]]
    if "pattern" in field:
        text += f" like {field['pattern']}"
    if "maxLength" in field:
        text += f" of {field['minLength']} to {field['maxLength']} characters"
    return text


def marked_paragraphs(text: str) -> str:
    """Return the paragraphs of `text` as HTML."""
    return "".join(f"<p>{marked(part)}</p>" for part in text.split("\n\n"))


def marked(text: str) -> str:
    """Return `text` as HTML, with what stands between backticks as code."""
    parts = escape(" ".join(text.split()), quote=False).split("`")
    return "".join(f"<code>{part}</code>" if odd % 2 else part for odd, part in enumerate(parts))


def add_spec(app: FastAPI) -> None:
    """Add the page of the protocol, and the AsyncAPI document, to `app`."""
    document, html = asyncapi(app.version, app.title), page(app.title)

    @app.get("/asyncapi.json", include_in_schema=False)
    def send_document() -> JSONResponse:
        return JSONResponse(document)

    @app.get("/protocol", include_in_schema=False)
    def send_page() -> HTMLResponse:
        return HTMLResponse(html, headers=HEADERS)
