"""What a critic sees of a row follows from the row and from the training rows alone."""

import torch

from closed_forms import confirmed
from mine_lightning import Identity
from mine_lightning.estimate.ratios import FAMILY
from mine_lightning.estimate.views import FoldView


def test_equal_rows_are_seen_alike() -> None:
    """Sums over columns are rounded differently in different rows; ranks must not feel it."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 4, (870,), generator=generator)
    noise = torch.randint(0, 2, (870,), generator=generator)
    x, z = torch.eye(4)[levels], torch.eye(5)[levels + noise]
    train, val = torch.arange(700), torch.arange(700, 800)
    for kind in FAMILY:
        view = FoldView().fit(x, z, train, val)
        a, b = view.describe(x, z)
        ratio = confirmed(kind, *(side.take(rows) for rows in (train, val) for side in (a, b)))
        for code in (ratio.encode_x(a), view(x, z).x):
            alike = [code[levels == level] for level in range(4)]
            assert max((rows - rows[0]).abs().max() for rows in alike) < 1e-4


def test_the_widths_of_one_row_are_those_of_all() -> None:
    x, noise = torch.randn(2, 300, 3, generator=torch.Generator().manual_seed(0))
    z = x[:, :2] + noise[:, :2]
    view = FoldView().fit(x, z, torch.arange(250), torch.arange(250, 300))
    for one, every in zip(view.one, view(x, z), strict=True):
        assert one.shape[1:] == every.shape[1:]
        assert len(every) == 300
    for code, every in zip(view.encode(*view.describe(x, z)), view(x, z)[2:4], strict=True):
        assert torch.equal(code, every)


def test_features_of_the_same_rows_are_fitted_once() -> None:
    x, z, other = torch.randn(3, 300, 1, generator=torch.Generator().manual_seed(0))
    rows, known = torch.arange(300).split([250, 50]), {}
    pairs = (x, z), (x, other), (other.exp(), x)
    views = [FoldView() for _ in pairs]
    for view, sides in zip(views, pairs, strict=True):
        view.look(*sides, *rows, known)
    assert views[0].x_features is views[1].x_features is views[2].z_features
    assert len(known) == 4
    FoldView(Identity()).look(x, z, *rows, known)
    assert len(known) == 5
