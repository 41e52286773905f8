"""Names in sentences."""

import pytest

from mine_lightning.support.text import near, printable, quoted


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert printable("hue\x1b[31m\n") == "hue\\x1b[31m\\n"
    assert printable("größe 大きさ") == "größe 大きさ"
    assert quoted(["a\tb"]) == "`a\\tb`"


@pytest.mark.parametrize(
    ("most", "expected"), [(3, "`a`, `b`, `c`"), (2, "`a`, `b` and 1 more"), (1, "`a` and 2 more")]
)
def test_many_names_are_cut_short_and_counted(most: int, expected: str) -> None:
    assert quoted("abc", most) == expected


def test_case_is_no_difference_and_the_name_is_said_as_it_is() -> None:
    assert near("ALCOHOL", ["Alcohol", "hue"]) == "Did you mean `Alcohol`?"
    assert near("fold", ["folds", "fields", "seed"]) == "Did you mean `folds` or `fields`?"
