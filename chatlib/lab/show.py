"""A page inside the notebook, wherever the notebook itself is shown."""

import os
import sys
from html import escape

# What goes with a frame where the output may run scripts. JupyterLab is of another origin than the
# page, so the frame cannot look up its theme: it is told, and told again when that changes. And a
# browser says to nobody that a frame shows its own error page, so the address is asked for apart.
SCRIPT = """\
{
  const frame = document.currentScript?.parentElement.querySelector("iframe");
  const below = frame?.nextElementSibling;
  const gone = document.createElement("p");
  gone.hidden = true;
  gone.setAttribute("role", "status");
  gone.textContent = "The page is not here: its server has stopped, or this browser cannot " +
    "reach it. Run the cell that starts the server again. If that is not this cell, run this " +
    "one next.";
  const tell = () => {
    const light = document.body.dataset.jpThemeLight;
    if (light === undefined) return;
    const theme = light === "true" ? "light" : "dark";
    frame.style.colorScheme = theme;
    frame.contentWindow?.postMessage({ theme }, "*");
  };
  const look = async () => {
    const answer = await fetch(frame.src, { mode: "no-cors", cache: "no-store" }).catch(() => null);
    gone.hidden = answer !== null && answer.status < 500;
    frame.hidden = below.hidden = !gone.hidden;
  };
  if (frame) {
    let loads = 0;
    frame.before(gone);
    frame.addEventListener("load", () => { tell(); if (loads++) look(); });
    new MutationObserver(tell).observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
    tell();
    look();
  }
}"""


class Page:
    """A page of a server in this kernel, shown by Jupyter below the cell that returns it.

    Under a JupyterHub or Binder the browser is on another machine than the kernel, and the page
    comes through jupyter-server-proxy. Set `CHATLIB_PROXY_PREFIX` to the base URL of a Jupyter
    server (`/`, say) to have the same where you reach a remote one in another way.
    """

    def __init__(self, server: str, port: int, path: str, height: int) -> None:
        self.server = server
        self.port = port
        self.path = path
        self.height = height

    @property
    def url(self) -> str:
        """The page's address, as the reader's browser has to ask for it."""
        prefix = os.environ.get("CHATLIB_PROXY_PREFIX") or os.environ.get(
            "JUPYTERHUB_SERVICE_PREFIX"
        )
        if prefix:
            return f"{prefix.rstrip('/')}/proxy/{self.port}{self.path}"
        return f"{self.server}{self.path}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        url = escape(self.url)
        return {
            "text/plain": repr(self),
            "text/html": (
                f'<iframe src="{url}" title="The page at {escape(self.path)}" width="100%" '
                f'height="{self.height}" style="border: 1px solid #8886; border-radius: 6px">'
                f'</iframe><p><a href="{url}" target="_blank" rel="noopener">Open the page in a '
                "tab of its own</a>. If there is no page, its server has stopped: run the cell "
                "that starts the server again. If that is not this cell, run this one next.</p>"
                f"<script>{SCRIPT}</script>"
            ),
        }

    def _ipython_display_(self) -> None:
        if "google.colab" in sys.modules:  # where only Colab's own proxy reaches the kernel
            from google.colab import output

            output.serve_kernel_port_as_iframe(self.port, path=self.path, height=self.height)
            return
        from IPython.display import publish_display_data

        publish_display_data(self._repr_mimebundle_())  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        return f"The page is at {self.url}"
