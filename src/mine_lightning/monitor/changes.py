"""Changes of a series in time: where its mean jumped, and where it is heading."""

import math

import torch
from torch import Tensor

__all__ = ["change_point", "jump", "parts", "trend"]

PARTS = 64  # of a window
LEAST = 4  # parts that a mean takes
CERTAIN = 5.0  # standard errors: one of 5,000 constant normal series of 64 parts has such a jump
SMALLEST = 1e-3  # nats, of a standard error: at a ceiling, rows differ by rounding alone
SHOWN = 2.0  # standard errors: half of such a difference is part of the error


def parts(values: Tensor, least: int = 8) -> Tensor:
    """Return the means of at most 64 equal parts of the rows, each of ``least`` rows or more."""
    count = max(1, min(PARTS, len(values) // least))
    size = len(values) // count
    return values[len(values) - count * size :].view(count, size).mean(1)


def noise(series: Tensor) -> float:
    """Return the variance of one value, by the differences of neighbours: a trend adds nothing."""
    return float(series.diff().square().mean() / 2)


def change_point(series: Tensor) -> int:
    r"""Return the first index after the largest jump of the mean; 0 if there is none.

    A jump counts from five standard errors on,

    .. math:: |\bar s_{>k} - \bar s_{\le k}| > 5 \sigma \sqrt{1 / k + 1 / (n - k)}

    with at least four values on either side, and a standard error of at least .001 nats. A slow
    change appears as a jump once it is as large.
    """
    count = len(series)
    if count < 2 * LEAST:
        return 0
    first = torch.arange(LEAST, count - LEAST + 1, device=series.device)
    sums = series.cumsum(0)
    before = sums[first - 1] / first
    after = (sums[-1] - sums[first - 1]) / (count - first)
    errors = (noise(series) * (1 / first + 1 / (count - first))).sqrt()
    sizes = (after - before).abs() / errors.clamp(min=SMALLEST)
    return int(first[sizes.argmax()]) if sizes.max() > CERTAIN else 0


def trend(series: Tensor) -> float:
    """Return how far the end of a series lies above its mean.

    That of a straight line does by as much as the mean of its later half lies above that of the
    earlier one. A difference of less than two standard errors is none.
    """
    middle = len(series) // 2
    if middle < LEAST:
        return 0.0
    rise = float(series[middle:].mean() - series[:middle].mean())
    return rise if abs(rise) > SHOWN * math.sqrt(4 * noise(series) / len(series)) else 0.0


def jump(values: Tensor) -> int:
    """Return the first row after the largest jump of the mean, an even number; 0 for none."""
    series = parts(values)
    after = len(series) - change_point(series)
    start = len(values) - after * (len(values) // len(series))
    return start - start % 2 if after < len(series) else 0
