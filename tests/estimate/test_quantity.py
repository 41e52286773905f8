"""A number of nats: how it prints, its interval, what speaks against it."""

import math
from dataclasses import replace

import pytest

from shared import PLAIN, RESULT

HEADLINE = "1.021 nats (1.473 bits), 95 % interval [1.000, 1.043], 10,000 rows, 5 folds, 6.2 s"


def test_it_prints_with_what_speaks_against_it() -> None:
    assert str(RESULT) == f"{HEADLINE}\nnote: clipped: A sentence."
    assert str(replace(RESULT, diagnostics={})) == HEADLINE
    assert repr(RESULT) == f"MutualInformationEstimate({HEADLINE}; clipped)"


def test_it_formats_as_a_number() -> None:
    assert f"{RESULT:.2f} {RESULT:8.1e}" == "1.02  1.0e+00"
    assert f"{RESULT}" == str(RESULT)


def test_nats_bits_and_intervals_agree() -> None:
    assert float(RESULT) == RESULT.nats
    assert RESULT.bits == pytest.approx(RESULT.nats / math.log(2))
    low, high = RESULT.interval(0.5)
    assert (low + high) / 2 == pytest.approx(RESULT.nats)
    assert high - low == pytest.approx(2 * 0.67449 * 0.011, rel=1e-4)
    assert RESULT.interval(0.99)[0] < RESULT.interval()[0] < low


@pytest.mark.parametrize("level", [0, 1, 95])
def test_levels_out_of_range_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"Expected `level` to be in \(0, 1\), got"):
        RESULT.interval(level)


def test_the_summary_names_what_speaks_against_the_number() -> None:
    text = RESULT.summary()
    assert "1.0212 nats (1.4733 bits)" in text
    assert "\nclipped: A sentence.\nwhat the notes mean: https://" in text
    assert "https://" not in replace(RESULT, diagnostics={}).summary()


def test_an_interval_may_be_wider_above() -> None:
    result = replace(RESULT, errors=(0.01, 0.03))
    low, high = result.interval(0.68268949)
    assert (RESULT.nats - low, high - RESULT.nats) == pytest.approx((0.01, 0.03))


def test_the_correlation_is_that_of_a_normal_pair() -> None:
    normal = replace(RESULT, nats=-0.5 * math.log(1 - 0.6**2))
    assert normal.correlation == pytest.approx(0.6)
    low, high = normal.correlation_interval()
    assert low < 0.6 < high
    assert replace(RESULT, nats=0.0).correlation == 0
    assert replace(normal, nats=-normal.nats).correlation == pytest.approx(-0.6)


def test_a_notebook_shows_number_flags_and_figure() -> None:
    shown = replace(RESULT, diagnostics={"clipped": "A <b> of `x`."})._repr_html_()
    assert "1.021 nats" in shown
    assert "[1.000, 1.043]" in shown
    assert 'interval.html#clipped">clipped</a>: A &lt;b&gt; of `x`.' in shown
    assert shown.count('<img src="data:image/png;base64,') == 1
    assert PLAIN.plot()._repr_png_().startswith(b"\x89PNG")
