"""The trained critics of all folds, for rows as the user has them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mine_lightning.estimate.logistic import supported
from mine_lightning.estimate.networks import FEATURES, FoldNetworks
from mine_lightning.estimate.tables import padded
from mine_lightning.estimate.views import FoldView

__all__ = ["FoldCritics", "log_rows"]


class FoldCritics(nn.Module):
    """The trained critics of all folds, for rows as the user has them.

    Args:
        views: What each fold's critic sees of the data.
        networks: What they add to their closed-form critics.
        swapped: Whether they were trained with z in the place of x.
    """

    def __init__(
        self, views: Sequence[FoldView], networks: FoldNetworks, swapped: bool = False
    ) -> None:
        super().__init__()
        self.views, self.networks, self.swapped = list(views), networks, swapped

    @torch.no_grad()
    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the log density ratio of each pair by each fold's critic.

        Args:
            x: Rows, shape ``(N, ...)``; text and labels one-hot.
            z: Rows, likewise.

        Returns:
            In nats, shape ``(E, N)``.
        """
        x, z = (z, x) if self.swapped else (x, z)
        seen = [view(x, z) for view in self.views]
        offsets = [
            view.choice.ratio.score(rows.x_code, rows.z_code)
            for view, rows in zip(self.views, seen, strict=True)
        ]
        offset = torch.stack(offsets).float()
        parts = zip(*(rows.shown for rows in seen), strict=True)
        batch = dict(zip(FEATURES, map(padded, parts), strict=True), offset=offset.unsqueeze(2))
        batch["places"] = torch.arange(len(x), device=offset.device).expand_as(offset).unsqueeze(2)
        added = self.networks(batch).squeeze(2)
        return offset + supported(offset, log_rows(self.views)) * added


def log_rows(views: Sequence[FoldView]) -> float:
    """Return the log of the number of rows that the closed forms were fitted on."""
    return math.log(views[0].choice.ratio.rows)
