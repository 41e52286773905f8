import math
import re

import pytest

from mine_lightning.support.arguments import (
    check_integer,
    check_positive,
    check_share,
    check_widths,
)


@pytest.mark.parametrize("value", [1, 2, 10**12])
def test_integers_pass(value):
    check_integer("rows", value)
    check_integer("rows", value - 1, least=0)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "2", None, math.nan])
def test_what_is_no_positive_integer_is_refused(value):
    message = f"Expected `rows` to be an integer of at least 1, got {value!r}."
    with pytest.raises(ValueError, match=re.escape(message)):
        check_integer("rows", value)


def test_the_least_integer_is_named():
    with pytest.raises(
        ValueError, match=r"Expected `rows` to be an integer of at least 2, got 1\."
    ):
        check_integer("rows", 1, least=2)


@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan])
def test_what_is_not_positive_is_refused(value):
    check_positive("noise", 1e-300)
    with pytest.raises(
        ValueError, match=f"Expected `noise` to be positive and finite, got {value}."
    ):
        check_positive("noise", value)


@pytest.mark.parametrize("value", [0, 1, 1.5, -0.5, math.nan])
def test_what_is_no_share_is_refused(value):
    check_share("part", 0.5)
    message = re.escape(f"Expected `part` to be in (0, 1), got {value}.")
    with pytest.raises(ValueError, match=message):
        check_share("part", value)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((), "Expected `widths` to hold at least one width, got none."),
        ((8, 0), "Expected `widths` to hold positive integers, got (8, 0)."),
        ([8.0], "Expected `widths` to hold positive integers, got [8.0]."),
        ([True], "Expected `widths` to hold positive integers, got [True]."),
    ],
)
def test_what_holds_no_widths_is_refused(sizes, message):
    check_widths("widths", (8, 1))
    with pytest.raises(ValueError, match=re.escape(message)):
        check_widths("widths", sizes)
