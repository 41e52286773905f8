r"""A hundred million scores pooled by the metrics: memory, seconds, and agreement with a reference.

Joint and marginal scores, normal with mean ``offset`` + 1 and ``offset`` - 0.5 and unit variance,
rounded to float32, go to ``MutualInformation`` and ``MutualInformationStandardError`` in batches of
2,048 rows. The reference sums the same scores in float64 with the offset taken off first, and adds
up the blocks with ``math.fsum``, which rounds once. An offset as large as 1,000 is a critic whose
constant has drifted: there :math:`\overline{r^2} - \bar r^2` loses six of its sixteen digits.

    python benchmarks/pooling.py
    python benchmarks/pooling.py --rows 1_000_000_000
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from mine_lightning import MutualInformation, MutualInformationStandardError

BLOCK, BATCH = 2**20, 2048
TOLERANCE = {
    "estimate_difference": 1e-8,  # nats
    "standard_error_relative": 1e-6,  # whose variance is a difference of squares of the offset
}


class Sums(NamedTuple):
    """Sums of one block's scores less the offset, in float64."""

    rows: float
    terms: float
    squares: float
    exponentials: float
    exponential_squares: float


def blocks(rows: int, offset: float) -> Iterator[tuple[Tensor, Tensor]]:
    for block, first in enumerate(range(0, rows, BLOCK)):
        generator = torch.Generator().manual_seed(block)
        joint, marginal = torch.randn(2, min(BLOCK, rows - first), generator=generator)
        yield joint + (offset + 1), marginal + (offset - 0.5)


def sums(joint: Tensor, marginal: Tensor, offset: float) -> Sums:
    terms, exponentials = joint.double() - offset, (marginal.double() - offset).exp()
    parts = terms, terms.square(), exponentials, exponentials.square()
    return Sums(len(joint), *(part.sum().item() for part in parts))


def reference(parts: list[Sums]) -> tuple[float, float]:
    """Return the Donsker-Varadhan estimate and its standard error."""
    rows, terms, squares, exponentials, exponential_squares = map(
        math.fsum, zip(*parts, strict=True)
    )
    mean, log_mean = terms / rows, math.log(exponentials / rows)
    variance = squares / rows - mean**2
    log_variance = rows * exponential_squares / exponentials**2 - 1
    return mean - log_mean, math.sqrt((variance + log_variance) / (rows - 1))


def peak_mb() -> float:
    """Return the most memory that this process has held."""
    (line,) = (s for s in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in s)
    return int(line.split()[1]) / 1000


def pool(rows: int, offset: float) -> dict[str, float]:
    metrics = MetricCollection([MutualInformation(), MutualInformationStandardError()])
    for metric in metrics.values():
        metric.set_dtype(torch.float64)
    parts, seconds, early = [], 0.0, math.nan
    for block, (joint, marginal) in enumerate(blocks(rows, offset)):
        parts.append(sums(joint, marginal, offset))
        start = time.perf_counter()
        for batch in zip(joint.split(BATCH), marginal.split(BATCH), strict=True):
            metrics.update(*batch)
        seconds += time.perf_counter() - start
        early = peak_mb() if block == 1 else early
    found = {name: value.item() for name, value in metrics.compute().items()}
    estimate, error = reference(parts)
    return {
        "rows": rows,
        "offset": offset,
        "seconds": seconds,
        "nanoseconds_per_row": 1e9 * seconds / rows,
        "estimate": found["MutualInformation"],
        "estimate_difference": found["MutualInformation"] - estimate,
        "standard_error": found["MutualInformationStandardError"],
        "standard_error_relative": found["MutualInformationStandardError"] / error - 1,
        "peak_mb_after_two_blocks": early,
        "peak_mb_at_the_end": peak_mb(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10**8)
    parser.add_argument("--offsets", type=float, nargs="+", default=[0.0, 1e3, -1e4])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/pooling.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = [pool(args.rows, offset) for offset in args.offsets]
    for result in results:
        print("\n".join(f"{name:26s} {value:20.12g}" for name, value in result.items()), "\n")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(results, indent=2) + "\n")
    misses = 0
    for name, most in TOLERANCE.items():
        worst = max(abs(result[name]) for result in results)
        print(f"{name}: at most {worst:.1e}, tolerance {most:.0e}")
        misses += worst > most
    sys.exit(misses > 0)


if __name__ == "__main__":
    main()
