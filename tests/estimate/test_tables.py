"""Minibatches gathered from tables hold what views say of the rows that they name."""

import torch

from mine_lightning.critics.candidates import candidates
from mine_lightning.estimate.tables import Tables, filled, padded
from mine_lightning.estimate.views import FoldView

NEEDED = torch.tensor([[7, 3, 200, 41, 12], [5, 299, 3, 8, 60]])  # of two folds


def sample() -> tuple[torch.Tensor, torch.Tensor, list[FoldView]]:
    x, noise = torch.randn(2, 300, 3, generator=torch.Generator().manual_seed(0))
    z, rows = x[:, :2].square() + noise[:, :2], torch.arange(300)
    views = [FoldView().fit(x, z, *rows.roll(shift).split([250, 50])) for shift in (0, 90)]
    return x, z, views


def test_a_batch_holds_what_each_fold_sees_of_its_rows() -> None:
    x, z, views = sample()
    rows, partners = NEEDED[:, :2], NEEDED[:, 2:4].unsqueeze(2)
    batch = Tables(views, (x, z), NEEDED).batch(rows, partners)
    for fold, view in enumerate(views):
        own, others = view(x[rows[fold]], z[rows[fold]]), partners[fold, :, 0]
        apart = view(x[rows[fold]], z[others])
        for name, side in (("x", own.x), ("u", own.x_variates)):
            assert torch.equal(batch[name][fold, :, : side.shape[1]], side)
        for candidate, seen in enumerate((own, apart)):
            for name, side in (("z", seen.z), ("v", seen.z_variates)):
                shown = candidates(batch[name], batch["places"])[fold, candidate]
                assert torch.equal(shown[:, : side.shape[1]], side)
            score = view.choice.ratio.score(seen.x_code, seen.z_code).float()
            torch.testing.assert_close(batch["offset"][fold, :, candidate], score)


def test_partners_are_the_next_rows_of_their_minibatches() -> None:
    x, z, views = sample()
    tables, order = Tables(views, (x, z), NEEDED), NEEDED[:, [3, 1, 0, 4]]
    found = tables.minibatches(order.unflatten(1, (2, 2)))
    for place, rows in enumerate(order.split(2, dim=1)):
        batch = tables.batch(rows, rows.flip(1).unsqueeze(2), rows)
        assert torch.equal(batch["places"], torch.tensor([[0, 1], [1, 0]]).expand(2, -1, -1))
        for name, values in found.items():
            torch.testing.assert_close(values[place], batch[name])


def test_rows_that_no_network_is_shown_have_the_offset_alone() -> None:
    x, z, views = sample()
    given = NEEDED[:, :2], NEEDED[:, 2:4].unsqueeze(2)
    shown, hidden = (Tables(views, (x, z), NEEDED, shown).batch(*given) for shown in (True, False))
    assert hidden.keys() == {"offset"}
    assert torch.equal(hidden["offset"], shown["offset"])


def test_last_dimensions_are_filled_up_with_zeros() -> None:
    one, two = torch.ones(3, 1), torch.ones(3, 2)
    assert [tensor.shape[1] for tensor in filled([one, two])] == [2, 2]
    assert padded([one, two])[:, 0].tolist() == [[1, 0], [1, 1]]
