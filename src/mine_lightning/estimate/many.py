"""Estimates for many pairs of variables, spread by joblib over what there is."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from joblib import Parallel, delayed
from tqdm import tqdm

from mine_lightning.estimate.arguments import EstimateArguments
from mine_lightning.estimate.call import estimate_mutual_information
from mine_lightning.estimate.results import MutualInformationEstimate

__all__ = ["estimate_each"]

BAR = "pair {n_fmt} of {total_fmt} |{bar}| {elapsed}<{remaining}"


def estimate_each(
    sides: Sequence[tuple[Any, Any]], arguments: EstimateArguments
) -> Iterator[MutualInformationEstimate]:
    """Yield the estimate of each pair in turn, under one progress bar that counts pairs.

    Under ``joblib.parallel_config(n_jobs=2)`` two are worked on at a time, and other backends
    spread them over machines; the results are the same.

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
    job = delayed(partial(estimate_mutual_information, **quiet))
    results = Parallel(return_as="generator")(job(x, z) for x, z in sides)
    shown = arguments.get("progress_bar", True)
    yield from tqdm(results, total=len(sides), bar_format=BAR, disable=not shown)
