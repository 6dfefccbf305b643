"""The page of an app, and the files that the pages share."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

FOLDER = Path(__file__).parent.parent / "pages"
# A page may load nothing but this server's own files, and open a WebSocket to it alone.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
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

    @app.get("/", include_in_schema=False)
    async def show_page() -> FileResponse:
        return FileResponse(page, media_type="text/html", headers=HEADERS)

    app.mount("/pages", StaticFiles(directory=FOLDER), name="pages")
