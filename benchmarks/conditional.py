"""How often the interval of a conditional estimate holds the truth, on distributions made for it.

    python benchmarks/conditional.py --seeds 0 60

Pairs of normal columns, some of x and some of y, each side warped; z is all of the partners, as
they are, linearly mixed, or through a random network. I(X; Z | Y) is the information of the pairs
of x.
"""

import argparse
import warnings

import numpy as np

from kinds import correlations, effect, linear, monotone, network, some
from mine_lightning import estimate_conditional_mutual_information

WEAK, CLEAR = 0.02, 0.1  # nats


def measure(seed: int) -> tuple[float, float, float]:
    """Return the truth and the interval of a distribution and a sample of it."""
    rng = np.random.default_rng([77, seed])
    of_x, of_y = some(rng, 1, 3), some(rng, 1, 3)
    rows, d = some(rng, 150, 1_500), of_x + of_y
    rho = correlations(rng, d, effect(rng, 0.5))
    u, noise = rng.normal(size=(2, rows, d))
    view = [lambda v: v, linear(rng, d), network(rng, d)][rng.integers(3)]
    z = view(rho * u + np.sqrt(1 - rho**2) * noise)
    x, y = monotone(rng)(u[:, :of_x]), monotone(rng)(u[:, of_x:])
    result = estimate_conditional_mutual_information(x, z, y, seed=seed, progress_bar=False)
    return float(-0.5 * np.log1p(-(rho[:of_x] ** 2)).sum()), *result.interval()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", nargs=2, type=int, default=[0, 60], help="first, one past last")
    warnings.filterwarnings("ignore")
    truth, low, high = np.array([measure(seed) for seed in range(*parser.parse_args().seeds)]).T
    print(f"inside {((low <= truth) & (truth <= high)).mean():.3f} of {len(truth)}")
    print(f"below {(truth < low).mean():.3f}, above {(truth > high).mean():.3f}")
    found = low > 0
    print(f"found {found[truth > CLEAR].mean():.3f} of those beyond {CLEAR} nats")
    print(f"found {found[truth < WEAK].mean():.3f} of those below {WEAK} nats")


if __name__ == "__main__":
    main()
