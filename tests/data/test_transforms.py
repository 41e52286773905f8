"""Transforms are fitted on training rows and leave mutual information unchanged."""

import re

import numpy as np
import pytest
import torch
from sklearn import preprocessing
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from mine_lightning.data.transforms import Identity, RankToNormal, Standardize, as_transform

TRANSFORMS = [Identity(), Standardize(), RankToNormal()]


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(200, 3, generator=torch.Generator().manual_seed(0)).exp()


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)
def test_every_transform_keeps_shape_order_and_type(transform, rows: torch.Tensor) -> None:
    out = transform.fit(rows)(rows)
    assert out.shape == rows.shape
    assert out.dtype == rows.dtype
    assert torch.equal(out.argsort(0), rows.argsort(0))


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("ties", [False, True])
def test_training_rows_are_transformed_alike_at_once(transform, ties, rows: torch.Tensor) -> None:
    rows = rows.round() if ties else rows
    assert torch.equal(transform.fit_transform(rows), transform.fit(rows)(rows))


def test_ranks_have_the_quantiles_of_a_normal_variable(rows: torch.Tensor) -> None:
    out = RankToNormal().fit(rows)(rows).sort(0).values
    expected = torch.special.ndtri((torch.arange(200) + 0.5) / 200)
    torch.testing.assert_close(out, expected.unsqueeze(1).expand(-1, 3))


def test_ranks_do_not_depend_on_an_increasing_function(rows: torch.Tensor) -> None:
    rows = rows.double()
    first, second = (RankToNormal().fit(v)(v) for v in (rows, rows.log() * 3 - 7))
    torch.testing.assert_close(first, second)


def test_ranks_of_a_discrete_column_keep_its_levels() -> None:
    column = torch.tensor([[0.0], [0.0], [1.0], [2.0]])
    out = RankToNormal().fit(column)(column).flatten()
    assert out[0] == out[1] < out[2] < out[3]
    torch.testing.assert_close(out, torch.special.ndtri(torch.tensor([1, 1, 2.5, 3.5]) / 4))


def test_ranks_of_other_rows_lie_between_and_stay_finite(rows: torch.Tensor) -> None:
    transform = RankToNormal().fit(rows)
    low, high = rows.min(0).values, rows.max(0).values
    beyond = transform(torch.stack([low - 1e6, (low + high) / 2, high + 1e6]))
    assert beyond.isfinite().all()
    assert (beyond[0] < beyond[1]).all()
    assert (beyond[1] < beyond[2]).all()
    assert (beyond[2] >= transform(high.unsqueeze(0))[0]).all()


def test_images_are_transformed_value_by_value() -> None:
    images = torch.rand(50, 1, 4, 4)
    out = RankToNormal().fit(images)(images)
    assert out.shape == images.shape
    torch.testing.assert_close(
        out.flatten(1), RankToNormal().fit(images.flatten(1))(images.flatten(1))
    )


ROWS = np.random.default_rng(0).gamma(1.0, size=(200, 2))


@pytest.mark.parametrize(
    "transformer",
    [
        preprocessing.PowerTransformer(),
        preprocessing.StandardScaler().set_output(transform="pandas"),
        preprocessing.FunctionTransformer(np.log1p),
        make_pipeline(preprocessing.QuantileTransformer(n_quantiles=50), PCA()),
        PCA(n_components=1),
    ],
)
def test_transformers_of_scikit_learn(transformer) -> None:
    transform = as_transform("x", transformer).fit(torch.from_numpy(ROWS))
    expected = clone(transformer).fit(ROWS).transform(ROWS)
    found = transform(torch.from_numpy(ROWS))
    np.testing.assert_allclose(found, expected)
    assert transform(torch.from_numpy(ROWS).float()).dtype == torch.float32
    assert type(transformer).__name__ in str(transform.config())
    assert (
        vars(transformer).keys() == vars(clone(transformer)).keys()
    )  # it is a copy that was fitted


def test_transformers_with_a_random_state_repeat_their_rows() -> None:
    transformer = preprocessing.QuantileTransformer(n_quantiles=20, subsample=50)
    first, second = (
        as_transform("x", transformer).fit(torch.from_numpy(ROWS))(torch.from_numpy(ROWS))
        for _ in range(2)
    )
    assert torch.equal(first, second)


def test_transformed_rows_have_to_be_finite() -> None:
    transform = as_transform("x", preprocessing.FunctionTransformer(np.log))
    message = "Expected `FunctionTransformer(func=<ufunc 'log'>)` to give finite numbers, got"
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match=re.escape(message)):
        transform.fit(torch.ones(3, 1))(torch.zeros(3, 1))
