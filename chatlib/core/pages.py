"""The page of an app, and the files that the pages share."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

FOLDER = Path(__file__).parent.parent / "pages"
# The types are given, because Windows takes them from a registry that other programs write to.
SHARED = {
    "style.css": "text/css",
    "protocol.css": "text/css",
    "socket.js": "text/javascript",
}
HEADERS = {
    # A page may load nothing but this server's own files, and open a WebSocket to it alone.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    # Ask each time: a page and its script have to be of one version.
    "Cache-Control": "no-cache",
}


def add_page(app: FastAPI, name: str) -> None:
    """Serve `chatlib/pages/{name}.html` at `/`, and what the pages share below `/pages`.

    Args:
        app: the app to add the page to.
        name: `"echo"`, `"items"` or `"chat"`.

    Raises:
        FileNotFoundError: there is no such page.
    """
    page = FOLDER / f"{name}.html"
    if not page.is_file():
        known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.html")))
        raise FileNotFoundError(f"there is no page {name!r}; the pages are: {known}")
    add_file(app, "/", page, "text/html")
    for file, media_type in SHARED.items():
        add_file(app, f"/pages/{file}", FOLDER / file, media_type)


def add_file(app: FastAPI, path: str, file: Path, media_type: str) -> None:
    """Serve `file` at `path` to GET and HEAD, as text of type `media_type`."""

    @app.api_route(path, methods=["GET", "HEAD"], include_in_schema=False)
    async def send_file() -> FileResponse:
        return FileResponse(file, media_type=media_type, headers=HEADERS)
