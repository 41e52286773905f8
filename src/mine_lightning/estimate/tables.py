"""Rows as the critics of all folds see them, in tables from which minibatches are gathered."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mine_lightning.data.loading.loaders import gather
from mine_lightning.data.loading.placement import placed
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.estimate.features import Described
from mine_lightning.estimate.networks import Widths
from mine_lightning.estimate.views import FoldView

__all__ = ["ROWS_SEEN", "Tables", "filled", "padded"]

ROWS_SEEN = 2**15  # described at once: functions of a row are many times its columns


class Tables:
    """Some rows as the critics of all folds see them.

    Args:
        views: What the critics see, E of them.
        sides: All rows of x and of z.
        rows: Numbers of the rows that each fold needs, shape ``(E, L)``.
        shown: Whether networks are shown them, or the closed forms alone score them.
        described: The rows of each fold as its view describes both sides, where that is known.
    """

    def __init__(
        self,
        views: Sequence[FoldView],
        sides: Sequence[Tensor],
        rows: Tensor,
        shown: bool = True,
        described: Sequence[tuple[Described, Described]] = (),
    ) -> None:
        self.views, self.shown = views, shown
        folds, length = rows.shape
        starts = length * torch.arange(folds, device=rows.device).unsqueeze(1)
        self.places = starts.repeat(1, len(sides[0]))  # (E, N) in (E L,)
        self.places.scatter_(1, rows, starts + torch.arange(length, device=rows.device))
        self._open(rows)
        every = torch.arange(length, device=rows.device)
        for fold, known in enumerate(described):
            self._fill(fold, every, *known)
        for fold, needed in enumerate(() if described else rows):
            for places in every.split(ROWS_SEEN):
                seen = views[fold].describe(*(side[needed[places]] for side in sides))
                self._fill(fold, places, *seen)

    @property
    def widths(self) -> Widths:
        """The numbers of inputs of the networks."""
        x, z = (rows.shape[1] - self.products for rows in (self.x_rows, self.z_rows))
        return Widths(x, z, self.products)

    def _open(self, rows: Tensor) -> None:
        """Make tables of what networks are shown, and of what closed forms score by."""
        one = [view.one for view in self.views]
        self.products = widest([seen.x_variates for seen in one])
        widths = [self.products + widest(side) for side in zip(*(s[:2] for s in one), strict=True)]
        length = rows.numel() if self.shown else 0
        self.x_rows, self.z_rows = (
            torch.zeros(length, width, device=rows.device) for width in widths
        )  # (E L, P + F)
        self.codes = [
            tuple(code.new_empty(rows.shape[1], code.shape[1]) for code in (s.x_code, s.z_code))
            for s in one
        ]

    def _fill(self, fold: int, places: Tensor, a: Described, b: Described) -> None:
        """Put some rows of a fold into their places."""
        view, (x_code, z_code) = self.views[fold], self.codes[fold]
        if not self.shown:
            x_code[places], z_code[places] = view.encode(a, b)
            return
        seen = view.show(a, b)
        x_code[places], z_code[places] = seen.x_code, seen.z_code
        rows, start = fold * len(x_code) + places, self.products
        for table, variates, shown in (
            (self.x_rows, seen.x_variates, seen.x),
            (self.z_rows, seen.z_variates, seen.z),
        ):
            table[rows, : variates.shape[1]] = variates
            table[rows, start : start + shown.shape[1]] = shown

    def batch(self, rows: Tensor, partners: Tensor, near: Tensor | None = None) -> Batch:
        """Return the batch of some rows, the offset alone of rows that networks are not shown.

        Args:
            rows: Row numbers for each fold, shape ``(E, N)``.
            partners: Row numbers of the partners, shape ``(E, N, K)``.
            near: Row numbers of rows and partners, each once, for networks that warp, ``(E, M)``.
        """
        rows, partners = (placed(numbers, self.places.device) for numbers in (rows, partners))
        candidates = torch.cat([rows.unsqueeze(2), partners], dim=2)  # (E, N, 1 + K)
        i, j = (self.places.gather(1, part.flatten(1)) for part in (rows, candidates))
        j = j.view(candidates.shape)
        offset = self._offsets(i, j).float()
        if not self.shown:
            return {"offset": offset}
        x, z = gather(self.x_rows, i).unsqueeze(2), gather(self.z_rows, j)
        (u, x), (v, z) = (side.tensor_split([self.products], dim=3) for side in (x, z))
        known = {} if near is None else self._once(placed(near, j.device), j)
        return {"x": x, "z": z, "u": u, "v": v, "offset": offset, **known}

    def _once(self, near: Tensor, candidates: Tensor) -> Batch:
        """Return what networks are shown of rows near, and where the candidates are among them."""
        found = self.places.gather(1, near)
        order = torch.arange(near.shape[1], device=near.device).expand_as(near)
        among = found.new_zeros(len(self.z_rows)).scatter_(0, found.flatten(), order.flatten())
        return {
            "near": gather(self.z_rows, found)[..., self.products :],
            "places": among[candidates],
        }

    def _offsets(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """Return the scores of the closed forms of rows by their places, shape ``(E, N, K)``."""
        folds = enumerate(zip(self.views, self.codes, rows, candidates, strict=True))
        scores = []
        for fold, (view, (a, b), i, j) in folds:
            start = fold * len(a)
            pairs = gather(a, i - start).unsqueeze(1), gather(b, j - start)
            scores.append(view.choice.ratio.score(*pairs))
        return torch.stack(scores)


def widest(tensors: Sequence[Tensor]) -> int:
    """Return the largest last dimension."""
    return max(tensor.shape[-1] for tensor in tensors)


def filled(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Fill tensors whose last dimensions differ up with zeros."""
    most = widest(tensors)
    return [F.pad(tensor, (0, most - tensor.shape[-1])) for tensor in tensors]


def padded(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors whose last dimensions differ, filled up with zeros."""
    return torch.stack(filled(tensors))
