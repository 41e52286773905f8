"""The 40 tasks of "Beyond Normal", a benchmark of mutual information estimators."""

from mine_lightning.data.distributions.base import (
    Bimodal,
    Distribution,
    GaussianPairs,
    Transformed,
    UniformAdditive,
)
from mine_lightning.data.distributions.elliptical import (
    DenseNormal,
    MultivariateStudent,
    SparseNormal,
)
from mine_lightning.data.distributions.warps import (
    Asinh,
    HalfCube,
    NormalCDF,
    Spiral,
    SwissRoll,
    Warp,
    Wiggly,
)

__all__ = ["beyond_normal_tasks"]

X_WAVES = [[0.4, 1.0, 0.0], [0.2, 1.7, 1.0], [0.03, 3.3, -2.5]]
Z_WAVES = [[-0.4, 0.4, 0.0], [0.17, 1.3, 3.5], [0.02, 4.3, -2.5]]


def beyond_normal_tasks() -> dict[str, Distribution]:
    """Build the 40 tasks, by their names in the benchmark and in its order.

    References:
        Czyż et al., "Beyond Normal: On the Evaluation of Mutual Information Estimators",
        NeurIPS 2023.

    Returns:
        A distribution for each name.

    Example:
        >>> tasks = beyond_normal_tasks()
        >>> len(tasks), round(tasks["1v1-normal-0.75"].mutual_information, 4)
        (40, 0.4133)
    """
    return one_dimensional() | normal() | student() | transformed()


def both(base: Distribution, warp: Warp) -> Distribution:
    return Transformed(base, warp, warp)


def spiral(base: Distribution) -> Distribution:
    return Transformed(base, Spiral(plane=(0, 1)), Spiral(plane=(1, 2)))


def one_dimensional() -> dict[str, Distribution]:
    pair = GaussianPairs(correlation=0.75)
    cauchy = MultivariateStudent(1, 1, degrees_of_freedom=1)
    uniform = both(pair, NormalCDF())
    return {
        "1v1-normal-0.75": pair,
        "normal_cdf-1v1-normal-0.75": uniform,
        "1v1-additive-0.1": UniformAdditive(noise=0.1),
        "1v1-additive-0.75": UniformAdditive(noise=0.75),
        "1v1-bimodal-0.75": Bimodal(correlation=0.75),
        "wiggly-1v1-normal-0.75": Transformed(pair, Wiggly(X_WAVES), Wiggly(Z_WAVES)),
        "half_cube-1v1-normal-0.75": both(pair, HalfCube()),
        "student-identity-1-1-1": cauchy,
        "asinh-student-identity-1-1-1": both(cauchy, Asinh()),
        "swissroll_x-normal_cdf-1v1-normal-0.75": Transformed(uniform, x_warp=SwissRoll()),
    }


def normal() -> dict[str, Distribution]:
    dense = {f"multinormal-dense-{d}-{d}-0.5": DenseNormal(d, d) for d in (2, 3, 5, 25, 50)}
    sparse = {f"multinormal-sparse-{d}-{d}-2-2.0": SparseNormal(d, d) for d in (2, 3, 5, 25)}
    return {**dense, **sparse}


def student() -> dict[str, Distribution]:
    return {
        f"student-identity-{d}-{d}-{freedom}": MultivariateStudent(d, d, freedom)
        for d, freedom in ((2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3))
    }


def transformed() -> dict[str, Distribution]:
    sparse = {f"multinormal-sparse-{d}-{d}-2-2.0": SparseNormal(d, d) for d in (3, 5, 25)}
    uniform = {f"normal_cdf-{name}": both(base, NormalCDF()) for name, base in sparse.items()}
    half_cube = {f"half_cube-{name}": both(base, HalfCube()) for name, base in sparse.items()}
    spirals = {f"spiral-{name}": spiral(base) for name, base in (sparse | uniform).items()}
    asinh = {
        f"asinh-student-identity-{d}-{d}-{freedom}": both(
            MultivariateStudent(d, d, freedom), Asinh()
        )
        for d, freedom in ((2, 1), (3, 2), (5, 2))
    }
    return {**uniform, **half_cube, **spirals, **asinh}
