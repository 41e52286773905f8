"""Cross-fitting: no row is scored by a critic that has seen it."""

import pytest
import torch

from mine_lightning.critics.candidates import candidates
from mine_lightning.estimate import folds
from mine_lightning.estimate.folds import CrossFitData, Levels, PassingEvaluation


def sample(rows: int = 203) -> tuple[torch.Tensor, torch.Tensor]:
    x, noise = torch.randn(2, rows, 2, generator=torch.Generator().manual_seed(0))
    return x, x[:, :1] + noise[:, :1]


def test_a_views_features_ignore_the_rows_held_out() -> None:
    x, z = sample()
    first = CrossFitData(x, z)
    held = first.folds.held[0]
    changed = x.clone()
    changed[held] += 1000
    second = CrossFitData(changed, z)
    for data in (first, second):
        data.fit()
    train = first.folds.train[0]
    seen, same = (data.views[0](data.x, data.z) for data in (first, second))
    assert torch.equal(seen.x[train], same.x[train])
    assert torch.equal(seen.x_code[train], same.x_code[train])
    assert first.views[0].choice.losses == second.views[0].choice.losses
    other, changed = (data.views[1](data.x, data.z) for data in (first, second))
    assert not torch.equal(other.x[train], changed.x[train])


def test_folds_fitted_in_turn_see_what_they_see_together(monkeypatch) -> None:
    tables = []
    for most in (folds.MOST_DESCRIBED, 0):
        monkeypatch.setattr(folds, "MOST_DESCRIBED", most)
        data = CrossFitData(*sample())
        data.fit()
        tables.append(data.tables)
    together, in_turn = tables
    for name, rows in together.rows.items():
        torch.testing.assert_close(rows, in_turn.rows[name], atol=1e-5, rtol=1e-5)
    for codes in zip(together.codes, in_turn.codes, strict=True):
        torch.testing.assert_close(*codes)


def test_partners_are_never_the_own_row() -> None:
    data = CrossFitData(*sample())
    data.fit()
    rows = data.folds.val
    for given in (rows, torch.cat([rows, rows[:, :1]], dim=1)):
        loader = data.evaluation(given, 20, seed=0)
        partners = loader.partners(slice(None))
        assert partners.shape == (*given.shape, loader.shape[2] - 1)
        assert not (partners == given.unsqueeze(2)).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": 1}, "Expected `folds` to be an integer of at least 2, got 1"),
        ({"max_rows": 10}, "Expected `max_rows` to be an integer of at least 50, got 10"),
    ],
)
def test_mistakes_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrossFitData(*sample(), **arguments)


def test_rows_beyond_the_most_are_scored_but_train_nothing() -> None:
    x, z = sample(1_000)
    data = CrossFitData(x, z, max_rows=500)
    data.fit()
    assert data.folds.train.shape[1] + data.folds.val.shape[1] == pytest.approx(400, abs=2)
    assert torch.cat(data.folds.held).sort().values.tolist() == list(range(1_000))
    rows = torch.stack(data.folds.held)
    partners = rows.roll(1, 1).unsqueeze(2)
    (batch,) = PassingEvaluation(data, rows, lambda chunk: partners[:, chunk], 1, away=0)
    expected = data.views[0](x[rows[0]], z[rows[0]]).x
    assert torch.equal(batch["x"][0, :, : expected.shape[1]], expected)


@pytest.mark.parametrize("kind", ["numbers", "labels"])
def test_rows_are_described_part_after_part_as_all_together(kind, monkeypatch) -> None:
    """Partners stand in the part before, in the same one or in the next one."""
    x, z = sample(1_000)
    data = CrossFitData(x, z if kind == "numbers" else (z > 0).float())
    data.fit()
    rows, away = torch.stack(data.folds.held), 7
    places = torch.arange(rows.shape[1])
    if kind == "labels":
        near = data.levels.rows.expand(*rows.shape, -1)
    else:
        sides = [(places + step).clamp(0, len(places) - 1) for step in (-away, away)]
        near = rows[:, torch.stack(sides, dim=1)]
    given = data, rows, lambda chunk: near[:, chunk], near.shape[2], away
    (whole,) = PassingEvaluation(*given)
    monkeypatch.setattr(folds, "PAIRS_AT_ONCE", 30)
    monkeypatch.setattr(folds, "ROWS_SEEN", 25)
    for shown in (True, False):
        parts = list(PassingEvaluation(*given, shown=shown))
        assert len(parts) == 20
        names = whole.keys() if shown else {"offset"}
        assert all(part.keys() == names for part in parts)
        for name in names & {"z", "v"}:
            all_rows, *each = (candidates(p[name], p["places"]) for p in (whole, *parts))
            assert torch.equal(torch.cat(each, dim=2), all_rows)
        if shown and kind == "numbers":
            assert all(part["z"].shape[1] <= 10 + 2 * away for part in parts)
        for name in names - {"z", "v", "places"}:
            assert torch.equal(torch.cat([part[name] for part in parts], dim=1), whole[name])


def test_levels_are_the_values_of_a_discrete_variable() -> None:
    values = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).repeat(10, 1)
    levels = Levels.of(values)
    assert levels is not None
    assert values[levels.rows].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert levels.log_weights.exp().tolist() == pytest.approx([0.75, 0.25])
    assert Levels.of(torch.arange(40.0).unsqueeze(1)) is None
