"""Pairs one after the other, or several at a time."""

import joblib
import numpy as np
import pandas as pd
import pytest
from lightning.pytorch import Callback, LightningModule, Trainer

from mine_lightning import mutual_information_matrix
from mine_lightning.estimate.many import chunk_count
from shared import QUICK


def test_the_bar_counts_pairs(frame: pd.DataFrame, capsys: pytest.CaptureFixture) -> None:
    mutual_information_matrix(frame[["a", "b", "c"]], max_epochs=1)
    assert "pair 3 of 3" in capsys.readouterr().err


def test_arguments_that_watch_a_training_have_each_pair_alone(frame: pd.DataFrame) -> None:
    counts = []

    class Count(Callback):
        def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            counts.append(pl_module.pairs)

    kwargs = {"callbacks": [Count()], "max_epochs": 1, "progress_bar": False}
    mutual_information_matrix(frame[["a", "b", "c"]], **kwargs)
    assert counts == [1, 1, 1]


@pytest.mark.parametrize(
    ("rows", "pairs", "expected"),
    [(100, 10, 1), (100, 70, 3), (2_000, 7, 2), (10_000, 7, 7), (10**6, 3, 3), (100, 0, 1)],
)
def test_pairs_are_cut_into_chunks_of_bounded_size(rows: int, pairs: int, expected: int) -> None:
    assert chunk_count([(np.zeros(rows), np.zeros(rows))] * pairs, {}) == expected


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks of the few pairs of a small table."""
    monkeypatch.setattr("mine_lightning.estimate.many.PAIRS_TOGETHER", 2)


@pytest.mark.usefixtures("two_at_once")
def test_two_processes_give_the_same(frame: pd.DataFrame) -> None:
    one = mutual_information_matrix(frame[["a", "b", "c"]], **QUICK)
    with joblib.parallel_config(n_jobs=2):
        two = mutual_information_matrix(frame[["a", "b", "c"]], **QUICK)
    assert one.estimates == two.estimates


@pytest.mark.slow
@pytest.mark.usefixtures("two_at_once")
@pytest.mark.filterwarnings("ignore")  # of the cluster's own
def test_a_cluster_of_two_processes_gives_the_same(frame: pd.DataFrame) -> None:
    from distributed import Client, LocalCluster, get_task_stream

    one = mutual_information_matrix(frame, **QUICK)
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with (
        cluster,
        Client(cluster) as client,
        get_task_stream(client) as work,
        joblib.parallel_config(backend="dask"),
    ):
        spread = mutual_information_matrix(frame, **QUICK)
    assert spread.estimates == one.estimates
    assert len(work.data) == len(one.estimates) // 2 > 2
    assert len({chunk["worker"] for chunk in work.data}) == 2
