"""What is said of the protocol: the page, JSON Schema and AsyncAPI 3."""

import json
import re
import warnings
from html import escape
from html.parser import HTMLParser
from typing import get_args

import jsonschema
from guests import play

from chatlib.core.frames import JSON
from chatlib.core.rooms.exchange import BEFORE, exchange
from chatlib.core.rooms.protocol import CLOSES, DOWN, UP, Code, Message
from chatlib.core.rooms.spec import asyncapi, kind_of, page, schemas

DOCUMENT = asyncapi("0.1.0", "Rooms")


def test_the_document_is_asyncapi_3():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", 'Field name "schema" in', UserWarning)
        from asyncapi3.models import AsyncAPI3

        document = AsyncAPI3.model_validate(DOCUMENT)
    assert document.asyncapi == "3.0.0"


def references(node):
    """Yield each `$ref` in a JSON value."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_in_the_document_leads_somewhere():
    found = set(references(DOCUMENT))
    assert len(found) > 2 * len(UP + DOWN)
    for reference in found:
        here, *path = reference.split("/")
        assert here == "#"
        node = DOCUMENT
        for step in path:
            node = node[step]


def test_each_frame_is_in_the_document_in_its_direction():
    for operation, models in {"speak": UP, "hear": DOWN}.items():
        listed = references(DOCUMENT["operations"][operation]["messages"])
        names = {reference.rpartition("/")[2] for reference in listed}
        assert names == {model.__name__ for model in models}
    kinds = {message["name"] for message in DOCUMENT["components"]["messages"].values()}
    assert kinds == {kind_of(model) for model in UP + DOWN}


def test_every_schema_is_one():
    for schema in schemas().values():
        jsonschema.Draft202012Validator.check_schema(schema)


class Words(HTMLParser):
    """The text of a page, and the elements that are open where it ends."""

    def __init__(self, html):
        super().__init__()
        self.text, self.open, self.tags = "", [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


PAGE = page("Rooms")


def test_the_page_lists_each_type_and_each_of_its_fields():
    for title, models in {"What you send": UP, "What you get": DOWN}.items():
        _, _, chapter = PAGE.partition(f"<h2>{title}</h2>")
        for model in models:
            _, _, section = chapter.partition(f"<h3><code>{kind_of(model)}</code></h3>")
            section, _, _ = section.partition("<h")
            for name in model.model_json_schema(by_alias=True)["properties"]:
                assert f"<th scope=row><code>{name}</code></th>" in section


def test_the_page_says_what_to_do_after_each_close_code():
    codes = {1000, 1001, 1002, 1003, 1006, 1007, 1008, 1009, 1011, 1012, 1013, 4401, 4403, 4409}
    assert codes == set(CLOSES)
    for code in codes:
        assert f"<tr><th scope=row>{code}</th><td>" in PAGE


def test_the_page_names_each_code_of_an_error():
    for code in get_args(Code):
        assert f"<code>{code}</code>" in PAGE


def test_the_page_is_html_with_no_script_and_no_style_of_its_own():
    words = Words(PAGE)
    assert words.open == []
    assert not {"script", "style"} & {tag for tag, _ in words.tags}
    assert not any(name == "style" or name[:2] == "on" for _, attrs in words.tags for name in attrs)
    assert "`" not in words.text


def test_a_title_is_no_markup():
    assert "<script>" not in page("<script>alert(1)</script>")


def test_all_that_the_page_loads_is_below_its_own_address():
    for address in re.findall(r'(?:href|src)="([^"]*)"', PAGE):
        assert address == "data:," or not re.match(r"/|\w+:", address)


def test_the_exchange_on_the_page_is_what_a_server_sends():
    frames = exchange()

    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await ana.connection.send(frames["say"])
        waited = {"ack", "message"}
        while waited:
            text = await ana.connection.recv()
            real = json.loads(text)
            if real["type"] in waited:
                waited.remove(real["type"])
                example = json.loads(frames[real["type"]])
                own = {name: real[name] for name in ("id", "tag", "at") if name in example}
                assert text == JSON.encode(example | own)

    play(scenario)
    for frame in frames.values():
        assert escape(frame, quote=False) in PAGE


def test_the_exchange_goes_on_from_the_cursor_that_is_explained():
    message = Message.model_validate_json(exchange()["message"])
    after, _, _ = PAGE.partition("<h2>One exchange</h2>")
    assert f"?after={BEFORE}" in after
    assert message.id == BEFORE.id + 1
    assert f"<code>{message.id}.{message.tag}</code>" in PAGE


def measures():
    """Return the rows of the page's table of limits and units."""
    _, _, chapter = PAGE.partition("<h2>Limits and units</h2>")
    table, _, _ = chapter.partition("</table>")
    return dict(re.findall(r"<tr><th scope=row>(.*?)</th><td>(.*?)</td></tr>", table))


def test_the_page_names_the_limits_of_a_frame_and_of_a_text_and_the_patterns_of_names():
    said = measures()
    assert "16,384 bytes" in said["a frame"]
    assert "1 to 4,000 characters" in said["<code>text</code>"]
    assert "<code>[a-z0-9][a-z0-9._-]{0,63}</code>" in said["a room"]
    assert "<code>[A-Za-z0-9_-]{1,64}</code>" in said["<code>key</code>"]
    assert "1 to 40" in said["a name"]


def test_the_page_says_the_unit_of_each_time():
    said = measures()
    assert "Seconds" in said["<code>beat</code>, <code>wait</code>"]
    assert "Milliseconds" in said["<code>at</code>"]
    assert "Milliseconds" in said["<code>retry</code> in <code>welcome</code>"]
    assert "<code>true</code>" in said["<code>retry</code> in <code>error</code>"]


def test_the_page_says_first_what_a_frame_is():
    assert "<main>\n<p>Each frame is a text message of the WebSocket with one JSON object" in PAGE
