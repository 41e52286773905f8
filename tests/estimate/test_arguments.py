"""Keyword arguments that are handed on: the same everywhere, and mistakes are named."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer

from mine_lightning import (
    GaussianDataModule,
    PairDataModule,
    RankToNormal,
    StreamingDataModule,
    SyntheticDataModule,
    TableDataModule,
    TensorDataModule,
    estimate_conditional_mutual_information,
    estimate_mutual_information,
    mutual_information_matrix,
)
from mine_lightning.data import DigitsDataModule
from mine_lightning.data.arrays import TensorArguments
from mine_lightning.data.modules import PairArguments, SyntheticArguments
from mine_lightning.estimate.arguments import (
    GroupedArguments,
    TrainerArguments,
    Training,
    TrainingArguments,
)

X, Z = np.random.default_rng(0).normal(size=(2, 100))


def names(function: Callable) -> set[str]:
    """Name a function's keyword arguments."""
    keywords = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {p.name for p in inspect.signature(function).parameters.values() if p.kind in keywords}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (TrainerArguments, names(Trainer) - {"max_epochs"}),
        (TrainingArguments, {f.name for f in fields(Training)} - {"settings"} | names(Trainer)),
        (
            GroupedArguments,
            names(estimate_mutual_information) | set(TrainingArguments.__annotations__),
        ),
        (PairArguments, names(PairDataModule)),
        (TensorArguments, names(TensorDataModule) | names(PairDataModule)),
        (SyntheticArguments, names(SyntheticDataModule) | names(PairDataModule)),
    ],
)
def test_dictionaries_of_arguments_are_those_of_the_signatures(
    arguments: type, expected: set[str]
) -> None:
    positional = {"x", "z", "distribution", "missing"}
    assert arguments.__optional_keys__ - positional == expected - positional


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: estimate_mutual_information(X, Z, fold=3), "'fold'. Did you mean `folds`?"),
        (lambda: estimate_mutual_information(X, Z, Seed=3), "'Seed'. Did you mean `seed`?"),
        (
            lambda: estimate_mutual_information(X, Z, max_epoch=3),
            "'max_epoch'. Did you mean `max_epochs` or `min_epochs`",
        ),
        (
            lambda: estimate_mutual_information(X, Z, accelerater="cpu"),
            "'accelerater'. Did you mean `accelerator`?",
        ),
        (
            lambda: estimate_conditional_mutual_information(X, Z, X + Z, mising="drop"),
            "estimate_conditional_mutual_information() got an unexpected keyword argument "
            "'mising'. Did you mean `missing`",
        ),
        (
            lambda: mutual_information_matrix(pd.DataFrame({"a": X, "b": Z}), group={}),
            "mutual_information_matrix() got an unexpected keyword argument 'group'. Did you mean "
            "`groups`",
        ),
        (
            lambda: GaussianDataModule(corelation=0.4),
            "GaussianDataModule() got an unexpected keyword argument 'corelation'. Did you mean "
            "`correlation`?",
        ),
        (lambda: TensorDataModule(X, Z, batchsize=2), "'batchsize'. Did you mean `batch_size`"),
        (lambda: DigitsDataModule(flaten=True), "'flaten'. Did you mean `flatten`?"),
        (
            lambda: TableDataModule("t.csv", ["a"], ["b"], truemi=1),
            "TableDataModule() got an unexpected keyword argument 'truemi'. Did you mean `true_mi`",
        ),
        (lambda: StreamingDataModule("t.npy", buffer=1), "'buffer'. Did you mean `buffer_mb`?"),
    ],
)
def test_unknown_keyword_arguments_are_named(call: Callable, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": None}, "Expected `seed` to be an integer of at least 0, got None."),
        ({"seed": -1}, "Expected `seed` to be an integer of at least 0, got -1."),
        ({"seed": 1.5}, "Expected `seed` to be an integer of at least 0, got 1.5."),
        ({"max_epochs": 0}, "Expected `max_epochs` to be an integer of at least 1, got 0."),
        ({"folds": "5"}, "Expected `folds` to be an integer of at least 2, got '5'."),
        ({"missing": None}, "Expected `missing` to be 'raise' or 'drop', got None."),
        ({"x_transform": "ranks"}, "got 'ranks'. Did you mean `rank`?"),
        ({"z_transform": RankToNormal}, "Expected `z_transform` to be one of 'rank', "),
        ({"z_transform": 3}, "a `Transform` or a transformer of scikit-learn, got 3."),
    ],
)
def test_mistaken_values_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        estimate_mutual_information(X, Z, progress_bar=False, **arguments)


def test_a_word_stands_for_its_transform() -> None:
    quick = {"progress_bar": False, "max_epochs": 1}
    z = X + Z
    usual = estimate_mutual_information(X, z, **quick)
    by_word = estimate_mutual_information(X, z, x_transform="rank", z_transform="rank", **quick)
    other = estimate_mutual_information(np.exp(X), z, x_transform="identity", **quick)
    assert by_word.nats == usual.nats != other.nats
    data = TensorDataModule(X, Z, x_transform="identity", batch_size=16, seed=0)
    data.setup()
    assert torch.equal(data._x[:, 0], torch.from_numpy(X).float())
