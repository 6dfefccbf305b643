"""A chart as Jupyter shows it: a picture in the colours of the theme, and its words."""

import base64
import io
import logging
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, PAPER = "#1f2328", "#5b616a", "#ffffff"
# Told apart by the colour-blind (Okabe and Ito's, most of them, but darker: one can read words in
# them), and by their dashes on a grey print.
COLOURS = ("#0072b2", "#b84f00", "#007a59", "#a8487f", "#6b5000", "#5b4b9a")
DOTS_PER_INCH = 144
WIDTH = 7.0  # inches

# A chart is on paper, so that it is read wherever it is shown. In a dark JupyterLab, style turns
# the paper into the page's own #111 and what is on it light, with the hues that they had. It cannot
# be in one output with the picture: of the two Jupyter would show one.
CLASS = "chatlib-chart"
TURN = "invert(0.9333) hue-rotate(180deg)"
STYLE = (
    f".{CLASS} {{ position: absolute; width: 1px; height: 1px; overflow: hidden; "
    "clip-path: inset(50%); } "
    f".jp-OutputArea-child:has(.{CLASS}) {{ position: absolute; }} "
    f'body[data-jp-theme-light="false"] .jp-OutputArea-child:has(.{CLASS}) + '
    f".jp-OutputArea-child img {{ filter: {TURN}; }}"
)


class Chart:
    """A picture, drawn when it is shown, and what it says in words.

    Jupyter gets two outputs of it: the words, which are there for who cannot see the picture and
    bring the dark theme, and the picture.

    Attributes:
        text: what is in it, without a number that was measured. It stands where no picture can.
        alt: the same with the numbers, for readers who cannot see the picture.
    """

    def __init__(
        self, draw: "Callable[[Axes], None]", *, height: float, text: str, alt: str
    ) -> None:
        self.text = text
        self.alt = alt
        self._draw = draw
        self._height = height

    def png(self) -> bytes:
        """Return the picture as a PNG file."""
        # It says on stderr that it looks for fonts, if that takes a while the first time.
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, self._height), facecolor=PAPER, layout="constrained")
        axes = figure.add_subplot(facecolor=PAPER)
        axes.tick_params(colors=INK, labelsize=9, length=0)
        axes.spines[:].set_visible(False)
        self._draw(axes)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Description": self.alt})
        return file.getvalue()

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, dict[str, object]]]:
        data = {"text/plain": self.text, "image/png": base64.b64encode(self.png()).decode()}
        return data, {"image/png": {"alt": self.alt, "width": int(WIDTH * 100)}}

    def _ipython_display_(self) -> None:
        from IPython.display import publish_display_data

        words = {"text/plain": self.text, "text/html": f"<p class={CLASS}>{escape(self.text)}</p>"}
        words["text/html"] += f"<style>{STYLE}</style>"
        publish_display_data(words)  # type: ignore[no-untyped-call]
        publish_display_data(*self._repr_mimebundle_())  # type: ignore[no-untyped-call]
