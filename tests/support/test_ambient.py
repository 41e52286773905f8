"""Every public entry under every setting that a host program may have made."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything

from entries import ENTRIES, Place
from mine_lightning import estimate_mutual_information
from mine_lightning.support.ambient import own_settings

pytestmark = [
    pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint need to be"),
]
ROOT = Path(__file__).parents[2]


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


DTYPES = {"float64": torch.float64, "bfloat16": torch.bfloat16}
AROUND: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "deterministic": deterministic,
    "anomaly": lambda: torch.autograd.detect_anomaly(check_nan=True),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}
LIBRARY = ("estimate", "labels", "conditional", "transfer", "matrix", "learner", "metric")
"""Entries in which no line of the host runs."""


def finite(result: Any) -> bool:
    values = result if isinstance(result, tuple) else (result,)
    return all(bool(torch.as_tensor(value).isfinite().all()) for value in values)


@pytest.fixture(autouse=True)
def seeded() -> None:
    seed_everything(0, verbose=False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_runs_under_a_default_type(entry: str, dtype: str, tmp_path: Path) -> None:
    with default_dtype(DTYPES[dtype]):
        assert finite(ENTRIES[entry](Place(tmp_path))())
        assert torch.get_default_dtype() == DTYPES[dtype]


@pytest.mark.parametrize("setting", AROUND)
@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_runs_under_a_setting(entry: str, setting: str, tmp_path: Path) -> None:
    call = ENTRIES[entry](Place(tmp_path))
    with AROUND[setting]():
        before = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        if (entry, setting) == ("monitor", "inference mode"):
            with pytest.raises(RuntimeError, match="does not require grad"):
                call()  # the host itself cannot train
            return
        assert finite(call())
        assert torch.is_inference_mode_enabled() == before[0]
        if entry in LIBRARY:  # Lightning itself leaves gradients on
            assert torch.is_grad_enabled() == before[1]


@pytest.mark.parametrize("entry", LIBRARY)
def test_an_entry_runs_under_a_default_device(entry: str, tmp_path: Path) -> None:
    call = ENTRIES[entry](Place(tmp_path))
    with torch.device("meta"):  # whatever were made there could not be read
        result = call()
        assert torch.empty(0).device.type == "meta"
    assert finite(result)


FORKS = """
import multiprocessing, sys, tempfile, warnings
sys.path.insert(0, {tests!r})
import torch
from pathlib import Path
from entries import ENTRIES, Place

def work(name, results):
    warnings.simplefilter("ignore")
    if name == "monitor":  # its host computes before it does
        torch.set_num_threads(1)
    results.put((name, str(ENTRIES[name](Place(Path(tempfile.mkdtemp())))())))

torch.set_num_threads(2)
square = torch.rand(700, 700, requires_grad=True)
(square @ square).sum().backward()  # leaves threads that a child does not have
torch.rand(10**6).sort()
context = multiprocessing.get_context("fork")
for name in ENTRIES:
    results = context.SimpleQueue()
    child = context.Process(target=work, args=(name, results))
    child.start()
    child.join(20)
    print(name, "ended" if child.exitcode == 0 else "hangs" if child.is_alive() else "failed")
    child.kill()
"""


@pytest.mark.slow
def test_every_entry_runs_in_a_forked_worker() -> None:
    script = FORKS.format(tests=str(ROOT / "tests"))
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True
    )
    assert run.stdout.splitlines() == [f"{name} ended" for name in ENTRIES], run.stderr[-2000:]


def test_a_deterministic_estimate_leaves_the_algorithms_of_the_host() -> None:
    x = torch.randn(60, 1)
    estimate_mutual_information(x, x.square(), max_epochs=1, progress_bar=False, deterministic=True)
    assert not torch.are_deterministic_algorithms_enabled()


def test_own_settings_leave_those_of_the_host() -> None:
    with torch.no_grad(), default_dtype(torch.float64), torch.device("meta"):
        with own_settings():
            assert torch.is_grad_enabled()
            assert torch.zeros(1).dtype == torch.float32
            assert torch.zeros(1).device.type == "cpu"
        assert not torch.is_grad_enabled()
        assert torch.zeros(1).dtype == torch.float64
        assert torch.zeros(1).device.type == "meta"
