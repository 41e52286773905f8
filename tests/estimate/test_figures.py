"""Figures of results, in a notebook and in HTML."""

from base64 import b64decode

from matplotlib.figure import Figure

from mine_lightning.estimate.figures import Drawing, as_image, drawing

PNG = b"\x89PNG"


def test_a_given_figure_is_drawn_on_and_no_other_is_made() -> None:
    given = Figure()
    assert drawing(given, 1, 1) is given


def test_a_new_figure_has_its_size_and_shows_itself() -> None:
    figure = drawing(None, 6, 2.5)
    assert isinstance(figure, Drawing)
    assert figure.get_size_inches().tolist() == [6, 2.5]
    assert figure._repr_png_().startswith(PNG)


def test_an_image_needs_no_file() -> None:
    image = as_image(drawing(None, 2, 1))
    assert image.startswith('<img src="data:image/png;base64,')
    assert b64decode(image.split(",")[1].removesuffix('">')).startswith(PNG)
