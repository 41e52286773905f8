"""Keyword arguments that are handed on are those of the function behind."""

from typing import TypedDict

import pytest

from mine_lightning.support.keywords import Unpack, annotations_of, check_keywords


class Options(TypedDict, total=False):
    width: int
    depth: int


class Tower:
    def __init__(self, name: str, *floors: int, **kwargs: Unpack[Options]) -> None: ...


def test_arguments_come_before_those_that_are_handed_on() -> None:
    assert list(annotations_of(Tower)) == ["name", "depth", "width"]
    assert annotations_of(Tower)["name"] is str


def test_known_names_pass() -> None:
    check_keywords(Tower.__init__, ["name", "width", "depth"])


def test_an_unknown_name_raises_as_python_does_and_names_the_nearest() -> None:
    with pytest.raises(
        TypeError, match=r"^Tower\(\) got an unexpected keyword argument 'widht'\. .* `width`\?$"
    ):
        check_keywords(Tower.__init__, ["width", "widht"])


def test_arguments_by_their_place_are_no_keywords() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'floors'"):
        check_keywords(Tower.__init__, ["floors"])
