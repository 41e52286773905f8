"""Estimates for many pairs of variables, spread by joblib over what there is."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from mine_lightning.estimate.arguments import EstimateArguments
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.estimate.together import estimate_together

__all__ = ["estimate_each"]

BAR = "pair {n_fmt} of {total_fmt} |{bar}| {elapsed}<{remaining}"
# Small pairs share the cost of a step; of 10,000 rows, three take 1.4 times as long together.
PAIRS_TOGETHER, VALUES_TOGETHER = 32, 2**14  # at most, trained in one fit; numbers in their columns
WATCHES = {"callbacks", "logger", "max_time", "profiler", "trainer"}


def estimate_each(
    sides: Sequence[tuple[Any, Any]], arguments: EstimateArguments
) -> Iterator[MutualInformationEstimate]:
    """Yield the estimate of each pair in turn, under one progress bar that counts pairs.

    Pairs are trained together, in chunks; one by one where an argument watches the training of a
    pair. Under ``joblib.parallel_config(n_jobs=2)`` two chunks are worked on at a time, and other
    backends spread them over machines; the results are the same.

    Args:
        sides: x and z of each pair, as for :func:`~mine_lightning.estimate_mutual_information`.
        arguments: Its arguments.

    Example:
        >>> import numpy as np
        >>> x, z = np.random.default_rng(0).normal(size=(2, 60))
        >>> results = estimate_each([(x, z), (x, x + z)], {"max_epochs": 1, "progress_bar": False})
        >>> [result.rows for result in results]
        [60, 60]
    """
    quiet: EstimateArguments = {**arguments, "progress_bar": False}
    job = delayed(partial(estimate_together, **quiet))
    chunks = np.array_split(np.arange(len(sides)), chunk_count(sides, arguments))
    found = Parallel(return_as="generator")(job([sides[n] for n in chunk]) for chunk in chunks)
    with tqdm(
        total=len(sides), bar_format=BAR, disable=not arguments.get("progress_bar", True)
    ) as bar:
        for results in found:
            bar.update(len(results))
            yield from results


def chunk_count(sides: Sequence[tuple[Any, Any]], arguments: EstimateArguments) -> int:
    """Return in how many chunks pairs are trained."""
    if not sides or WATCHES & arguments.keys():
        return max(1, len(sides))
    values = max(np.size(x) + np.size(z) for x, z in sides)
    return math.ceil(len(sides) / max(1, min(PAIRS_TOGETHER, VALUES_TOGETHER // values)))
