"""Send bad and odd inputs through every public door and count what comes of it.

    python tests/tools/doors.py --inputs 2400

Every input is drawn from a seed: arrays of any shape, dtype, layout and container, with missing,
infinite, huge, tiny, constant and repeated values; score tensors; broken files; numbers out of
range. Allowed outcomes are a finite result and an error that is documented, `ValueError` or
`FloatingPointError` with the argument named. Anything else (another error, a value that is not
finite although the input was, a hang) is a failure: the exit status is 1.
"""

import argparse
import json
import math
import random
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import mine_lightning as ml
from mine_lightning import functional
from mine_lightning.data.reading import read_table
from mine_lightning.monitor.taps import parse_tap

ROWS = (0, 1, 2, 3, 7, 40, 120)
NUMPY_DTYPES = (
    "f2",
    "f4",
    "f8",
    ">f4",
    ">f8",
    "i1",
    "i8",
    ">i2",
    "u2",
    "?",
    "c8",
    "O",
    "U3",
    "M8[s]",
)
TORCH_DTYPES = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.uint8,
    torch.bool, torch.complex64,
)  # fmt: skip
NUMBERS = (-1, 0, 1, 2, 8, 0.5, math.nan, math.inf, -math.inf, 1e30, 1e-30)
OBJECTIVES: list[Callable[[], ml.Objective]] = [
    ml.MINE, ml.DonskerVaradhan, ml.NWJ, ml.TUBA, ml.InfoNCE, ml.SMILE, ml.JensenShannonNWJ,
    ml.FDivergence, ml.AnchoredInfoNCE, ml.InterpolatedBound, ml.CLUB, ml.LeaveOneOut,
    ml.DivergenceBound, lambda: ml.InfoNCE(symmetric=True), lambda: ml.FDivergence(ml.Pearson()),
    lambda: ml.FDivergence(ml.ReverseKL()), lambda: ml.FDivergence(ml.SquaredHellinger()),
]  # fmt: skip

Source = random.Random


def fill(source: Source, shape: tuple[int, ...]) -> np.ndarray:
    """Draw values: of one kind, with some of another kind among them."""
    rng = np.random.default_rng(source.randrange(2**32))
    kind = source.choice(
        ["normal"] * 8 + ["integers", "constant", "huge", "tiny", "denormal", "offset", "repeated"]
    )
    values = {
        "normal": rng.normal(size=shape),
        "integers": rng.integers(-3, 4, shape).astype(float),
        "constant": np.full(shape, 3.25),
        "huge": rng.normal(size=shape) * 10.0 ** source.choice([5, 30, 38, 140, 300]),
        "tiny": rng.normal(size=shape) * 10.0 ** -source.choice([5, 30, 140, 300]),
        "denormal": rng.normal(size=shape) * 5e-324,
        "offset": rng.normal(size=shape) + 10.0 ** source.choice([3, 9, 15]),
        "repeated": rng.choice([0.0, 1.5], size=shape),
    }[kind]
    values = np.asarray(values)
    if values.size and source.random() < 0.15:
        bad = source.choice([math.nan, math.inf, -math.inf, 1e39, 1e308])
        values.flat[source.randrange(values.size)] = bad
    return values


def lay_out(source: Source, values: np.ndarray) -> np.ndarray:
    """Give an array another memory layout."""
    layout = source.choice(["C", "F", "reversed", "strided", "read-only", "transposed"])
    if layout == "F":
        return np.asfortranarray(values)
    if layout == "reversed" and values.ndim:
        return values[::-1]
    if layout == "strided" and values.ndim:
        return np.repeat(values, 2, axis=0)[::2]
    if layout == "transposed":
        return values.T.copy().T
    if layout == "read-only":
        values = values.copy()
        values.setflags(write=False)
    return values


def shape_of(source: Source) -> tuple[int, ...]:
    rows = source.choice(ROWS)
    rest = source.choice([(), (1,), (1,), (2,), (3,), (0,), (1, 2, 2), (2, 1)])
    return (rows, *rest)


def odd_array(source: Source, shape: tuple[int, ...] | None = None) -> Any:
    """Draw what a user may hand over as x or z."""
    shape = shape_of(source) if shape is None or source.random() < 0.15 else shape
    values = fill(source, shape)
    container = source.choice(["numpy"] * 6 + ["torch"] * 6 + ["frame"] * 5 + ["list", "other"])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if container == "numpy":
            dtype = source.choice(["f4", "f8"] * 6 + list(NUMPY_DTYPES))
            values = np.nan_to_num(values) if dtype == "M8[s]" else values
            return lay_out(source, values.astype(dtype))
        if container == "torch":
            return odd_tensor(source, values)
        if container == "frame":
            return odd_frame(source, values.reshape(len(values), math.prod(shape[1:])))
        if container == "list":
            return values.tolist()
    return source.choice([None, 3.5, "abc", {"a": 1}, [[1], [1, 2]], [], [None, 1.0], b"abc"])


def odd_tensor(source: Source, values: np.ndarray) -> Tensor:
    tensor = torch.from_numpy(values.copy()).to(
        source.choice([torch.float32] * 6 + list(TORCH_DTYPES))
    )
    kind = source.choice(["plain", "plain", "gradient", "view", "meta", "sparse"])
    if kind == "gradient" and tensor.is_floating_point():
        return tensor.requires_grad_()
    if kind == "view" and tensor.ndim > 1:
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)
    if kind == "meta" and source.random() < 0.3:
        return tensor.to("meta")
    if kind == "sparse" and source.random() < 0.3 and tensor.ndim == 2:
        return tensor.to_sparse()
    return tensor


def odd_frame(source: Source, values: np.ndarray) -> Any:
    if values.ndim < 2 or values.shape[1] == 0:
        return pd.Series(values.ravel(), name=source.choice([None, "a"]))
    frame = pd.DataFrame(values, columns=[f"c{i}" for i in range(values.shape[1])])
    kind = source.choice(
        ["plain", "plain", "text", "category", "nullable", "object", "index", "twin"]
    )
    if kind == "text":
        frame["t"] = source.choice([["u", "v"], ["1", "2"], ["1", "v"], ["u", None]]) * (
            len(frame) // 2
        ) + ["u"] * (len(frame) % 2)
    elif kind == "category":
        return frame.round(0).astype(str).astype("category")
    elif kind == "nullable":
        return frame.astype(source.choice(["Float64", "Float32", "double[pyarrow]"]))
    elif kind == "object":
        return frame.astype(object)
    elif kind == "index":
        frame.index = frame.index[::-1]
    elif kind == "twin":
        return pd.concat([frame, frame], axis=1)
    return frame


def pair(source: Source, least: int = 0) -> tuple[Any, Any]:
    """Draw x and z, mostly of equally many rows; half of the time with nothing wrong but form."""
    rows = max(least, source.choice(ROWS))
    shapes = [(rows, *source.choice([(), (1,), (2,), (3,)])) for _ in range(2)]
    draw = source.choice([odd_array, calm_array])
    return draw(source, shapes[0]), draw(source, shapes[1])


def calm_array(source: Source, shape: tuple[int, ...]) -> Any:
    """Draw numbers that vary, in any container, dtype and layout that holds them."""
    values = np.random.default_rng(source.randrange(2**32)).normal(size=shape) * 3
    container = source.choice(["numpy", "torch", "frame", "list"])
    if container == "numpy":
        return lay_out(source, values.astype(source.choice(["f2", "f4", "f8", ">f4", ">f8", "i8"])))
    if container == "torch":
        tensor = torch.from_numpy(values).to(source.choice(TORCH_DTYPES[:5]))
        return tensor.requires_grad_() if tensor.is_floating_point() else tensor
    if container == "frame":
        columns = values.reshape(len(values), -1) if values.size else values.reshape(0, 1)
        return pd.DataFrame(columns).astype(source.choice(["f4", "f8", "Float64", object]))
    return values.tolist()


def odd_scores(source: Source) -> tuple[Any, Any]:
    rows, partners = source.choice([0, 1, 2, 3, 8]), source.choice([0, 1, 2, 7])
    shapes = [(rows,), source.choice([(rows,), (rows, partners), (rows, rows - 1 if rows else 0)])]
    if source.random() < 0.2:
        shapes[source.randrange(2)] = source.choice([(), (rows, 1), (rows + 1,), (2, 2, 2)])
    dtypes = [torch.float32] * 6 + [torch.float64, torch.float16, torch.bfloat16, torch.int64]
    dtype = source.choice(dtypes)
    scale = source.choice([1.0, 1.0, 10.0, 1e4, 1e30])
    tensors = []
    for shape in shapes:
        values = torch.as_tensor(np.clip(fill(source, shape), -1e6, 1e6)) * scale
        tensors.append(values.nan_to_num(0.0) if dtype == torch.int64 else values)
    a, b = (tensor.to(dtype) for tensor in tensors)
    if source.random() < 0.3 and a.is_floating_point():
        a, b = a.requires_grad_(), b.requires_grad_()
    return a, b


def numbers_in(value: Any) -> Iterable[float]:
    """Yield every number of a result."""
    if isinstance(value, Tensor):
        yield from value.detach().double().flatten().tolist() if value.numel() else ()
    elif isinstance(value, np.ndarray):
        yield from value.astype(float).ravel().tolist()
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, (int, float)):
        yield float(value)


def finite(*values: Any) -> bool:
    return all(math.isfinite(number) for number in numbers_in(values))


class PassedError(Exception):
    """Not finite in, not finite out, as the documentation says of functions of scores."""


def of_scores(result: Any, scores: tuple[Tensor, Tensor], limit: float = 80.0) -> Any:
    """Allow what the documentation of functions of scores allows: see their module."""
    if finite(result):
        return result
    extreme = any(not abs(number) < limit for number in numbers_in(list(scores)))
    if extreme:
        raise PassedError
    return result


def tensor_data(source: Source) -> Any:
    x, z = pair(source, source.choice([0, 40, 40]))
    odd = source.random() < 0.2
    data = ml.TensorDataModule(
        x,
        z,
        missing=source.choice(["raise", "drop"]),
        batch_size=source.choice(NUMBERS if odd else [8, 16]),
        val_fraction=source.choice(NUMBERS if odd else [0.2, 0.3]),
        eval_partners=source.choice([1, 4, 500]),
        marginal=source.choice([None, ml.Partners(3), ml.CyclicShift(3), ml.IndependentDraw()]),
        x_transform=source.choice([None, ml.RankToNormal(), ml.Identity()]),
        seed=0,
    )
    data.setup()
    loaders = data.train_dataloader(), data.val_dataloader(), data.test_dataloader()
    return [list(batch.values()) for loader in loaders for batch in loader]


def table_data(source: Source) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = odd_file(source, Path(folder))
        columns = source.choice([["a"], ["a", "c"], [0], [0], [], ["zz"], [99], ["x"]])
        data = ml.TableDataModule(path, columns, source.choice([["b"], [1], [1]]), batch_size=4)
        data.setup()
        return [batch["joint"] for batch in data.train_dataloader()]


def table(source: Source) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return len(read_table(odd_file(source, Path(folder))))


def odd_file(source: Source, folder: Path) -> Path:
    """Write a table file: whole, cut short, damaged, or another one under its name."""
    suffix = source.choice([".csv", ".csv", ".tsv", ".parquet", ".npz", ".npy", ".txt"])
    path = folder / f"table{suffix}"
    values = fill(source, (source.choice([0, 1, 30, 60]), 3))
    frame = pd.DataFrame(
        values, columns=source.choice([["a", "b", "c"], ["a", "b", "c"], ["a", "a", "b"]])
    )
    if source.random() < 0.2:
        frame["t"] = [source.choice(["u", "", "7", "ü", "a,b", 'say "x"']) for _ in values]
    if suffix == ".parquet":
        frame.columns = ["a", "b", "c", "t"][: frame.shape[1]]
        frame.to_parquet(path)
    elif suffix == ".npz":
        np.savez(path, a=values[:, 0], b=values[:, 1], x=lay_out(source, values))
    elif suffix == ".npy":
        np.save(path, lay_out(source, values.astype(source.choice([">f4", "f8", "i4"]))))
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    content = path.read_bytes()
    damage = source.choice(["none", "none", "cut", "bytes", "noise", "other", "empty", "text"])
    if damage == "cut":
        content = content[: source.randrange(len(content) + 1)]
    elif damage == "bytes" and content:
        place = source.randrange(len(content))
        content = content[:place] + source.randbytes(3) + content[place + 3 :]
    elif damage == "noise":
        content = source.randbytes(200)
    elif damage == "other":
        path = folder / f"other{source.choice(['.csv', '.parquet', '.npz', '.npy'])}"
    elif damage == "empty":
        content = b""
    elif damage == "text":
        content += source.choice([b"1,2\n", b'"\n', b"\xff\xfe\n", b"x,y,z,u,v\n", b"\0\0\n"])
    path.write_bytes(content)
    return path


def metric(source: Source) -> Any:
    kind = source.choice(
        [ml.MutualInformation, ml.MutualInformationStandardError, ml.EffectiveSampleSize]
    )
    scores = odd_scores(source)
    computed = kind(source.choice(OBJECTIVES)())
    for _ in range(source.choice([1, 2])):
        computed.update(*scores)
    if len(scores[0]) * computed._update_count < 2:
        raise PassedError  # documented: no standard error of less than two rows
    return of_scores(computed.compute(), scores)


def scores_function(source: Source) -> Any:
    scores, number = odd_scores(source), source.choice([0.5, 1.0, 5.0])
    functions: list[Callable[..., Any]] = [
        functional.donsker_varadhan, functional.nwj, functional.club, functional.leave_one_out,
        functional.infonce, functional.tuba, ml.mutual_information,
        lambda a, b: functional.smile(a, b, number),
        lambda a, b: functional.infonce(a, b, temperature=number, symmetric=True),
        lambda a, b: functional.interpolated_bound(a, b, min(number, 1.0)),
        lambda a, b: functional.f_divergence(a, b, ml.JensenShannon()),
    ]  # fmt: skip
    return of_scores(source.choice(functions)(*scores), scores)


def objective_estimate(source: Source) -> Any:
    return source.choice(OBJECTIVES)().estimate(*odd_scores(source))


def objective_loss(source: Source) -> Any:
    objective, scores = source.choice(OBJECTIVES)(), odd_scores(source)
    return objective.check_finite(objective.loss(*scores), "loss")


def objective_arguments(source: Source) -> Any:
    number = source.choice(NUMBERS)
    source.choice(
        [
            lambda: ml.MINE(number),
            lambda: ml.SMILE(number),
            lambda: ml.InfoNCE(temperature=number),
            lambda: ml.AnchoredInfoNCE(number),
            lambda: ml.InterpolatedBound(number),
            lambda: ml.TUBA(ml.MovingAverageBaseline(number)),
            lambda: ml.FDivergence(ml.Pearson(number)),
            lambda: ml.MutualInformation(number),
        ]
    )()
    return 0


def estimator(source: Source) -> Any:
    """Call the module on an odd batch."""
    rows, dims = source.choice([0, 1, 2, 8, 8]), source.choice([1, 2])
    x = torch.from_numpy(fill(source, (rows, dims))).float()
    z = torch.from_numpy(fill(source, (rows, source.choice([1, 2])))).float()
    apart = source.choice([z, z, z.unsqueeze(1), z[:1], z.flatten()])
    batch = source.choice(
        [{"joint": (x, z), "marginal": apart}] * 9
        + [{"joint": (x, z)}, (x, z), None, {"joint": x, "marginal": z}]
    )
    critic = source.choice([ml.ConcatCritic([4]), ml.SeparableCritic(2, [4]), ml.BilinearCritic()])
    model = ml.MutualInformationEstimator(critic, all_pairs=source.random() < 0.3)
    return model(batch)


def critic(source: Source) -> Any:
    """Score odd rows."""
    shapes = [source.choice([(5,), (1,), (0,), (5, 1), (1, 4)]) for _ in range(2)]
    x, z = (torch.from_numpy(fill(source, (*shape, 2))).float() for shape in shapes)
    network = source.choice(
        [
            ml.ConcatCritic([4]),
            ml.SeparableCritic(2, [4]),
            ml.BilinearCritic(),
            ml.CriticEnsemble(ml.ConcatCritic([4]), source.choice([1, 5])),
        ]
    )
    return of_scores(network(x, z), (x, z), 1e6)


def critic_arguments(source: Source) -> Any:
    number = source.choice([-1, 0, 1, 4])
    source.choice(
        [
            lambda: ml.ConcatCritic([number]),
            lambda: ml.ConcatCritic([]),
            lambda: ml.ConcatCritic([4], chunk_size=number),
            lambda: ml.ConcatCritic([4], activation=source.choice(["relu", "sine"])),
            lambda: ml.SeparableCritic(number),
            lambda: ml.CriticEnsemble(ml.ConcatCritic(), number),
            lambda: ml.RestartCheckpoint(number),
        ]
    )()
    return 0


def sampler(source: Source) -> Any:
    rows = torch.arange(source.choice([0, 1, 2, 5, 9]))
    count = source.choice([-1, 0, 1, 3, 8])
    made = source.choice([ml.Derangement, ml.IndependentDraw, lambda: ml.Partners(count),
                          lambda: ml.CyclicShift(count)])()  # fmt: skip
    partners = made.partners(rows, source.choice([len(rows), 0, 1, 20]))
    own = partners == (rows if partners.ndim == 1 else rows.unsqueeze(1))
    return math.nan if bool(own.any()) else partners


def transform(source: Source) -> Any:
    kinds = [ml.Standardize, ml.RankToNormal, ml.Identity]
    shape = source.choice([(0, 2), (1, 2), (5,), (7, 2), (4, 1, 2, 2), (5, 0)])
    rows = torch.from_numpy(fill(source, shape)).to(source.choice(TORCH_DTYPES[:5]))
    chosen = source.choice(kinds)()
    if isinstance(chosen, ml.Identity) and not finite(rows):
        raise PassedError
    return chosen.fit(rows)(rows)


def learner(source: Source) -> Any:
    made = ml.MutualInformationLearner(ml.ConcatCritic([4]), rows=source.choice([2, 64]))
    for _ in range(2):
        shape = source.choice([(), (2,), (1, 2, 2)])
        rows = source.choice([0, 1, 2, 8])
        x, z = (torch.from_numpy(fill(source, (rows, *shape))).float() for _ in range(2))
        made.update(x, z if source.random() < 0.8 else z[:1])
    if not made.update(torch.randn(8, 2), torch.randn(8, 2)):
        raise PassedError
    return list(made.compute())


def monitor(source: Source) -> Any:
    texts = [
        "a:output",
        "a",
        "",
        ":",
        "a:output[0]",
        "batch[0]",
        "a:inputs",
        "a:output[",
        "b:input[k]",
    ]
    parse_tap("x", source.choice(texts))
    ml.MutualInformationMonitor(
        x=source.choice(texts), z="b:output", every_n_steps=source.choice([1, 0, -3])
    )
    return 0


def estimate(source: Source) -> Any:
    x, z = pair(source, source.choice([0, 40, 40, 40]))
    result = ml.estimate_mutual_information(
        x, z, max_epochs=1, folds=source.choice([2, 2, 2, 2, 3, 1, 0]), progress_bar=False,
        missing=source.choice(["raise", "drop"]), seed=1,
    )  # fmt: skip
    return [result.nats, result.standard_error, *result.interval(), *result.per_fold]


def conditional(source: Source) -> Any:
    x, z = pair(source, 40)
    result = ml.estimate_conditional_mutual_information(
        x, z, odd_array(source, (40,)), max_epochs=1, folds=2, progress_bar=False
    )
    return [result.nats, result.standard_error]


def matrix(source: Source) -> Any:
    frame = pd.DataFrame(fill(source, (source.choice([0, 40, 40]), source.choice([0, 1, 2, 2]))))
    if source.random() < 0.5 and frame.shape[1]:
        frame["t"] = pd.Series(["u", "v"] * 20)[: len(frame)]
    groups = source.choice([None, None, {}, {"a": [0], "b": [0]}, {"a": [0], "b": [7]}])
    result = ml.mutual_information_matrix(frame, groups, max_epochs=1, folds=2)
    return [estimate.nats for estimate in result.estimates.values()]


def result_file(source: Source) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = odd_file(source, Path(folder))
        ml.MutualInformationEstimate.load(path)
    return 0


def checkpoint_file(source: Source) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.ckpt"
        torch.save({"state_dict": {"a": torch.ones(3)}, "loops": {}}, path)
        content = path.read_bytes()
        place = source.randrange(len(content))
        damaged = [content, content[:place], source.randbytes(50), b"",
                   content[:place] + source.randbytes(2) + content[place + 2 :]]  # fmt: skip
        path.write_bytes(source.choice(damaged))
        source.choice(
            [ml.WholeCheckpointIO().load_checkpoint,
             ml.MutualInformationEstimator.load_from_checkpoint]
        )(path)  # fmt: skip
    return 0


def distribution(source: Source) -> Any:
    number = source.choice(NUMBERS)
    data = ml.GaussianDataModule(
        dim=source.choice([1, 2, 0, -1]), rows=source.choice([None, 50, 5, 0]), eval_rows=8,
        batch_size=4, **{source.choice(["correlation", "target"]): number},
    )  # fmt: skip
    data.setup()
    return [*next(iter(data.train_dataloader()))["joint"], data.true_mi]


DOORS: dict[str, tuple[Callable[[Source], Any], int]] = {
    "TensorDataModule": (tensor_data, 12),
    "TableDataModule": (table_data, 8),
    "read_table": (table, 8),
    "metrics": (metric, 10),
    "functions of scores": (scores_function, 12),
    "Objective.estimate": (objective_estimate, 10),
    "Objective.loss": (objective_loss, 10),
    "arguments of objectives": (objective_arguments, 4),
    "MutualInformationEstimator": (estimator, 8),
    "critics": (critic, 6),
    "arguments of critics": (critic_arguments, 3),
    "marginal samplers": (sampler, 4),
    "transforms": (transform, 6),
    "MutualInformationLearner": (learner, 4),
    "MutualInformationMonitor": (monitor, 2),
    "distributions": (distribution, 5),
    "saved results": (result_file, 4),
    "checkpoints": (checkpoint_file, 4),
    "estimate_mutual_information": (estimate, 6),
    "conditional mutual information": (conditional, 1),
    "mutual_information_matrix": (matrix, 1),
}


def stop(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("no answer in time")


def outcome(door: Callable[[Source], Any], source: Source) -> str:
    """Return "finite", "error", "passed on", or what went wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = door(source)
    except PassedError:
        return "passed on"
    except (ValueError, FloatingPointError) as error:
        named = str(error).startswith("Expected") and type(error) in (
            ValueError,
            FloatingPointError,
        )
        return "error" if named else f"{type(error).__name__}: {str(error)[:200]}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:160]
        return f"{type(error).__name__}: {text} ({Path(place.filename).name}:{place.lineno})"
    return "finite" if finite(result) else f"not finite: {str(result)[:80]}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=120, help="seconds for one input")
    parser.add_argument("--only", default="", help="part of a door's name")
    parser.add_argument("--output", type=Path, default=None)
    given = parser.parse_args()
    signal.signal(signal.SIGALRM, stop)
    chosen = {name: door for name, door in DOORS.items() if given.only in name}
    shares = sum(share for _, share in chosen.values())
    table: dict[str, Counter[str]] = {}
    for name, (door, share) in chosen.items():
        table[name] = Counter()
        for number in range(math.ceil(given.inputs * share / shares)):
            torch.manual_seed(0)
            signal.alarm(given.limit)
            found = outcome(door, random.Random(f"{given.seed} {name} {number}"))
            signal.alarm(0)
            allowed = found in ("finite", "error", "passed on")
            table[name][found if allowed else "failure"] += 1
            if not allowed:
                print(f"{name}, input {number}: {found}", flush=True)
    columns = ("finite", "error", "passed on", "failure")
    print(f"{'door':32s}" + "".join(f"{column:>11s}" for column in columns))
    for name, counts in table.items():
        print(f"{name:32s}" + "".join(f"{counts[column]:11d}" for column in columns))
    total = sum(table.values(), Counter())
    print(f"{'all':32s}" + "".join(f"{total[column]:11d}" for column in columns))
    if given.output is not None:
        given.output.write_text(json.dumps(table, indent=2) + "\n")
    return int(total["failure"] > 0)


if __name__ == "__main__":
    sys.exit(main())
