"""The chain rule."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mine_lightning import ConditionalEstimate, estimate_conditional_mutual_information
from shared import QUICK


def chain(rows: int, direct: float, seed: int = 0) -> tuple[torch.Tensor, ...]:
    y, a, b = torch.randn(3, rows, generator=torch.Generator().manual_seed(seed))
    return y + a, y + b + direct * a, y


@pytest.mark.trained
@pytest.mark.parametrize(("direct", "truth"), [(0.0, 0.0), (1.0, 0.5 * math.log(2))])
def test_conditioning_removes_the_common_cause(direct, truth, seed, outcome) -> None:
    x, z, y = chain(1000, direct, seed)
    result = estimate_conditional_mutual_information(x, z, y, seed=seed, progress_bar=False)
    outcome(result.nats - truth, -0.12, 0.12)
    separate = math.hypot(result.both.standard_error, result.given.standard_error)
    outcome(result.standard_error / separate, high=1, of="standard error")


def test_a_conditional_estimate_is_a_difference_and_shows_it(tmp_path: Path) -> None:
    result = estimate_conditional_mutual_information(*chain(1000, 1.0), **QUICK)
    assert result.nats == pytest.approx(result.both.nats - result.given.nats)
    assert repr(result).startswith(f"ConditionalEstimate({result.nats:.3f} nats")
    assert result.rows == 1000
    _shows_and_stores(result, tmp_path)


def _shows_and_stores(result: ConditionalEstimate, folder: Path) -> None:
    assert f"{result.both.nats:.4f} - {result.given.nats:.4f} nats" in result.summary()
    assert f"{result.nats:.3f} nats" in result._repr_html_()
    assert len(result.plot().axes[0].get_yticks()) == 3
    for suffix in ("json", "npz"):
        result.save(folder / f"result.{suffix}")
        loaded = ConditionalEstimate.load(folder / f"result.{suffix}")
        assert (loaded.both, loaded.given) == (result.both, result.given)
        assert str(loaded) == str(result)


def test_incomplete_rows_of_all_three_are_dropped() -> None:
    x, z, y = (v.clone() for v in chain(100, 0.0))
    x[1] = y[2] = math.nan
    with pytest.warns(UserWarning, match="Dropped 2 of 100"):
        result = estimate_conditional_mutual_information(x, z, y, missing="drop", **QUICK)
    assert result.rows == 98
    with pytest.raises(ValueError, match="missing or infinite"):
        estimate_conditional_mutual_information(x, z, y)


def test_misaligned_frames_are_refused() -> None:
    x, z = pd.DataFrame({"a": range(60)}), pd.DataFrame({"b": range(60)})
    with pytest.raises(ValueError, match="same index"):
        estimate_conditional_mutual_information(x, z.iloc[::-1], np.arange(60.0))
