"""Real data that scikit-learn ships."""

from typing import Literal

import torch
from torch import Tensor

from mine_lightning.data.modules import PairArguments, PairDataModule
from mine_lightning.data.transforms import Identity
from mine_lightning.support.keywords import Unpack, check_keywords

__all__ = ["DigitsDataModule"]

DIGITS = 10
INK = 16  # the largest value of a pixel


class DigitsDataModule(PairDataModule):
    r"""1,797 real images of handwritten digits, 8 x 8 pixels, with values in [0, 1].

    With ``z="label"``, x is the image and z its label in one-hot form. The label is a function of
    the image to within about a percent, so that :math:`I(X; Z)` lies just under
    :math:`H(Z) = 2.30` nats. With ``z="right half"``, x is the left half of the image and z the
    right half.

    Pixels keep their common scale by default: standardising would blow up those at the border,
    which are blank in nearly all images.

    References:
        Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.

    Args:
        z: What stands opposite the image.
        flatten: Whether an image is a row of pixels, shape ``(N, D)``, or one channel, shape
            ``(N, 1, H, W)``.
        kwargs: Arguments of :class:`~mine_lightning.data.modules.PairDataModule`.

    Raises:
        ValueError: If ``z`` is something else.

    Example:
        >>> data = DigitsDataModule(z="right half")
        >>> data.x_dim, data.z_dim
        (32, 32)
    """

    def __init__(
        self,
        z: Literal["label", "right half"] = "label",
        flatten: bool = True,
        **kwargs: Unpack[PairArguments],
    ) -> None:
        check_keywords(DigitsDataModule.__init__, kwargs)
        super().__init__(**kwargs)
        if z not in ("label", "right half"):
            raise ValueError(f"Expected `z` to be 'label' or 'right half', got {z!r}.")
        self.z, self.flatten = z, flatten
        self.x_transform = self.x_transform or Identity()
        if z == "right half":
            self.z_transform = self.z_transform or Identity()

    def load(self) -> tuple[Tensor, Tensor]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(digits.images).float().unsqueeze(1) / INK  # (N, 1, 8, 8)
        if self.z == "right half":
            left, right = images.chunk(2, dim=-1)
            return self._shape(left), self._shape(right)
        labels = torch.from_numpy(digits.target).long()
        return self._shape(images), torch.nn.functional.one_hot(labels, DIGITS).float()

    def _shape(self, images: Tensor) -> Tensor:
        return images.flatten(1) if self.flatten else images
