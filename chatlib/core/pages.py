"""The page of an app, the files that the pages share, and those that are a page's own."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

FOLDER = Path(__file__).parent.parent / "pages"
# The types are given, because Windows takes them from a registry that other programs write to.
TYPES = {".css": "text/css", ".js": "text/javascript"}
SHARED = ("style.css", "protocol.css", "socket.js")
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

    A page that has files of its own, in `chatlib/pages/{name}/`, gets them below `/pages/{name}`.

    Args:
        app: the app to add the page to.
        name: `"echo"`, `"items"`, `"chat"` or `"rooms"`.

    Raises:
        FileNotFoundError: there is no such page.
    """
    page = FOLDER / f"{name}.html"
    if not page.is_file():
        known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.html")))
        raise FileNotFoundError(f"there is no page {name!r}; the pages are: {known}")
    add_file(app, "/", page, "text/html")
    own = [file for file in sorted((FOLDER / name).glob("*")) if file.suffix in TYPES]
    for file in (*(FOLDER / shared for shared in SHARED), *own):
        path = file.relative_to(FOLDER).as_posix()
        add_file(app, f"/pages/{path}", file, TYPES[file.suffix])


def add_file(app: FastAPI, path: str, file: Path, media_type: str) -> None:
    """Serve `file` at `path` to GET and HEAD, as text of type `media_type`."""

    @app.api_route(path, methods=["GET", "HEAD"], include_in_schema=False)
    async def send_file() -> FileResponse:
        return FileResponse(file, media_type=media_type, headers=HEADERS)
