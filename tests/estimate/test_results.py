"""The result: numbers, comparison, files, figures."""

import copy
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from mine_lightning.estimate.results import MutualInformationEstimate
from shared import RESULT

RNG = np.random.default_rng(1)
PLAIN = replace(RESULT, x=RNG.normal(size=100), z=RNG.normal(size=100))


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


def test_results_compare_by_their_numbers() -> None:
    same = replace(copy.deepcopy(RESULT), seconds=99.0)
    other = replace(RESULT, nats=1.1)
    assert same == RESULT
    assert hash(same) == hash(RESULT)
    assert other != RESULT
    assert replace(RESULT, pointwise=RESULT.pointwise + 1) != RESULT
    assert RESULT != 1.0212
    assert max(other, RESULT) is other
    assert other > RESULT
    assert other >= RESULT


def test_it_is_picklable() -> None:
    assert pickle.loads(pickle.dumps(PLAIN)) == PLAIN


@pytest.mark.parametrize("suffix", ["json", "npz"])
@pytest.mark.parametrize("result", [RESULT, PLAIN], ids=["many columns", "two columns"])
def test_it_survives_a_file(result: MutualInformationEstimate, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"result.{suffix}"
    result.save(path)
    assert MutualInformationEstimate.load(path) == result


def test_json_holds_what_a_reader_looks_for(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    RESULT.save(path)
    stored = json.loads(path.read_text())
    assert stored["nats"] == RESULT.nats
    assert stored["interval"] == list(RESULT.interval())
    assert {"bits", "standard_error", "rows", "settings", "seed", "versions"} <= stored.keys()


def test_files_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.npz"
    RESULT.save(path)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="no space"):
        RESULT.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected `output` to end in one of \.json, \.npz"):
        RESULT.save(tmp_path / "result.pkl")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "other.json").write_text('{"nats": 1}')
    for name in ("other.npz", "other.json"):
        with pytest.raises(ValueError, match="Expected `path` to be a saved result"):
            MutualInformationEstimate.load(tmp_path / name)


@pytest.mark.parametrize(("result", "panels"), [(RESULT, 1), (PLAIN, 2)])
def test_the_plot_shows_the_curve_and_the_samples(result, panels: int, tmp_path: Path) -> None:
    figure = result.plot()
    assert isinstance(figure, Figure)
    curve, *others = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert len(others) == panels - 1
    assert curve.get_ylabel() == "mutual information (nats)"
    figure.savefig(tmp_path / "figure.png")


def test_the_summary_names_what_speaks_against_the_number() -> None:
    text = RESULT.summary()
    assert "1.0212 nats (1.4733 bits)" in text
    assert "\nclipped: A sentence.\nwhat the notes mean: https://" in text
    assert "https://" not in replace(RESULT, diagnostics={}).summary()


def test_an_interval_may_be_wider_above() -> None:
    result = replace(RESULT, errors=(0.01, 0.03))
    low, high = result.interval(0.68268949)
    assert (RESULT.nats - low, high - RESULT.nats) == pytest.approx((0.01, 0.03))


def test_a_value_that_may_be_infinite_has_no_upper_end(tmp_path: Path) -> None:
    result = replace(RESULT, standard_error=math.inf, errors=(0.01, math.inf))
    assert result.interval()[1] == math.inf
    assert result.correlation_interval()[1] == 1
    for suffix in ("json", "npz"):
        result.save(tmp_path / f"result.{suffix}")
        assert MutualInformationEstimate.load(tmp_path / f"result.{suffix}") == result
    result.plot().savefig(tmp_path / "figure.png")


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


def test_axes_are_named_after_the_columns(tmp_path: Path) -> None:
    columns = {"x_columns": ["alcohol"], "z_columns": ["0"]}
    samples = replace(PLAIN, settings=columns).plot().axes[1]
    assert (samples.get_xlabel(), samples.get_ylabel()) == ("alcohol", "z")
