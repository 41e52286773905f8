"""Figures of results: where they are drawn, and how a notebook shows them."""

from base64 import b64encode
from io import BytesIO

from matplotlib.figure import Figure

__all__ = ["Drawing", "as_image", "drawing"]

INLINE = 72  # dots per inch of a figure beside text


class Drawing(Figure):
    """A figure that a notebook shows once, where a cell ends with it."""

    def _repr_png_(self) -> bytes:
        return _png(self, self.dpi)


def drawing(figure: Figure | None, width: float, height: float) -> Figure:
    """Return the figure given, or a new one of that size in inches."""
    return Drawing(figsize=(width, height), layout="constrained") if figure is None else figure


def as_image(figure: Figure) -> str:
    """Return a figure as an HTML image that needs no file."""
    return f'<img src="data:image/png;base64,{b64encode(_png(figure, INLINE)).decode()}">'


def _png(figure: Figure, dpi: float) -> bytes:
    content = BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    return content.getvalue()
