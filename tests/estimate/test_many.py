"""Pairs one after the other, or several at a time."""

import joblib
import pandas as pd
import pytest

from mine_lightning import mutual_information_matrix
from shared import QUICK


def test_the_bar_counts_pairs(frame: pd.DataFrame, capsys: pytest.CaptureFixture) -> None:
    mutual_information_matrix(frame[["a", "b", "c"]], max_epochs=1)
    assert "pair 3 of 3" in capsys.readouterr().err


def test_two_processes_give_the_same(frame: pd.DataFrame) -> None:
    one = mutual_information_matrix(frame[["a", "b", "c"]], **QUICK)
    with joblib.parallel_config(n_jobs=2):
        two = mutual_information_matrix(frame[["a", "b", "c"]], **QUICK)
    assert one.estimates == two.estimates


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the cluster's own
def test_a_cluster_of_two_processes_gives_the_same(frame: pd.DataFrame) -> None:
    from distributed import Client, LocalCluster

    one = mutual_information_matrix(frame, **QUICK)
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), joblib.parallel_config(backend="dask"):
        assert mutual_information_matrix(frame, **QUICK).estimates == one.estimates
