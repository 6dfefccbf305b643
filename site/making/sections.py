"""What the search looks through: each section of each page, each name, and each question.

Sphinx's own index knows pages, and no places in them: a chapter is twenty screens long. This one
is a script that the search's page loads (`static/search.js`), so that it works from the disk too.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from making.lists import number

QUESTIONS = "questions"
FILE = "_static/sections.js"


def text_of(node: nodes.Node) -> str:
    """Return the text of `node` without that of the sections and names in it."""
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, nodes.section | addnodes.desc | nodes.raw | nodes.comment | nodes.title):
        return ""
    if isinstance(node, nodes.Element):
        # Beside HTML stands what Python calls the object.
        if node.get("nb_element") == "mime_bundle" and any(node.findall(nodes.raw)):
            return ""
        glue = "" if isinstance(node, nodes.TextElement) else " "
        return glue.join(filter(None, map(text_of, node.children)))
    return ""


def entries_of(doctree: nodes.document, docname: str, page: str) -> Iterator[list[str]]:
    """Yield what the search shows of a page's sections and names, in order.

    Args:
        doctree: of the page.
        docname: its name.
        page: its address.

    Yields:
        The title, the address, the title of the page, and the text.
    """
    whole = ""
    for node in doctree.findall(lambda each: isinstance(each, nodes.section | addnodes.desc)):
        if isinstance(node, nodes.section):
            title = node.next_node(nodes.title)
            name = title.astext() if title else ""
            anchor = node["ids"][0]
            if not whole:
                whole = name = number(docname) + name
        else:
            signature = node.next_node(addnodes.desc_signature)
            if signature is None or not signature["ids"]:
                continue
            name, anchor = signature.get("fullname") or signature["ids"][0], signature["ids"][0]
        text = " ".join(" ".join(map(text_of, node.children)).split())
        yield [name, f"{page}#{anchor}", "" if name == whole else whole, text]


def questions_in(doctree: nodes.document) -> Iterator[list[str]]:
    """Yield each question, the address of its first place, and how that is called."""
    for item in doctree.findall(nodes.list_item):
        link = item.next_node(lambda each: isinstance(each, nodes.reference))
        if isinstance(link, nodes.reference) and "refuri" in link:
            before, found, _ = item.astext().partition("?")
            place = link.astext()
            if found and not place.startswith(before):  # else a heading, which is a section
                yield [f"{' '.join(before.split())}?", link["refuri"], place, place]


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write the list, at the end of a build."""
    if exception or app.builder.name != "html":
        return
    env, builder = app.env, app.builder
    sections = [
        entry
        for docname in sorted(env.found_docs - {QUESTIONS})
        for entry in entries_of(env.get_doctree(docname), docname, builder.get_target_uri(docname))
    ]
    asked = env.get_and_resolve_doctree(QUESTIONS, builder)
    content = json.dumps(
        {"questions": list(questions_in(asked)), "sections": sections}, ensure_ascii=False
    )
    Path(app.outdir, FILE).write_text(f"const SECTIONS = {content};\n", "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the list when all pages are there."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
