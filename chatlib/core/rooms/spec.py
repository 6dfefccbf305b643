"""The protocol as others read it: a page, JSON Schema, and AsyncAPI 3, all made of the models."""

from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chatlib.core.pages import HEADERS
from chatlib.core.rooms.exchange import BEFORE, exchange
from chatlib.core.rooms.names import MINE, ROOM_PATTERN
from chatlib.core.rooms.protocol import CLOSES, DOWN, FRAME_BYTES, SUBPROTOCOL, UP, Message
from chatlib.core.rooms.words import INTRODUCTION, LEFT_OUT, MEASURES


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
    closes = rows({str(code): text for code, text in CLOSES.items()})
    frames = exchange()
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
<h2>One exchange</h2>
<p>The newest message in the room is <code>{BEFORE}</code>. You are <code>ana</code>, and send:</p>
{shown(frames["say"])}
<p>You get the <code>ack</code>, and all in the room get the <code>message</code>, you too:</p>
{shown(frames["ack"])}
{shown(frames["message"])}
<p>Everybody's cursor is now <code>{cursor_in(frames["message"])}</code>.</p>
<h2>Limits and units</h2>
<div class="wide" tabindex="0" role="region" aria-label="Limits and units">
<table>{rows(MEASURES)}</table></div>
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


def rows(cells: dict[str, str]) -> str:
    """Return the rows of a table with two columns, the first with their headings."""
    return "".join(
        f"<tr><th scope=row>{marked(name)}</th><td>{marked(text)}</td></tr>"
        for name, text in cells.items()
    )


def shown(frame: str) -> str:
    """Return a frame as HTML."""
    return f"<pre><code>{escape(frame, quote=False)}</code></pre>"


def cursor_in(message: str) -> str:
    """Return the cursor of a client that has heard `message`, a frame."""
    heard = Message.model_validate_json(message)
    return f"{heard.id}.{heard.tag}"


def section(model: type[BaseModel]) -> str:
    """Return the description of a frame."""
    schema = model.model_json_schema(by_alias=True)
    required = schema.get("required", ())
    fields = "".join(
        f"<tr><th scope=row><code>{name}</code></th><td>{escape(kind(field))}"
        f"{'' if name in required else ', optional'}"
        f"{': ' if 'description' in field else ''}{marked(field.get('description', ''))}</td></tr>"
        for name, field in schema["properties"].items()
    )
    name = kind_of(model)
    return f"""<h3><code>{name}</code></h3>
{marked_paragraphs(model.__doc__ or "")}
<div class="wide" tabindex="0" role="region" aria-label="Fields of {name}">
<table>{fields}</table></div>
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
