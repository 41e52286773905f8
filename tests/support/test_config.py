"""Class paths: public ones in everything saved, and those of before 0.1.0 still found."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

import mine_lightning
from mine_lightning import (
    MINE,
    ConcatCritic,
    MutualInformationEnsemble,
    MutualInformationEstimator,
    RankToNormal,
    TensorDataModule,
)
from mine_lightning.cli import main
from mine_lightning.data import CyclicShift, GaussianPairs
from mine_lightning.support.config import public_path, renewed
from shared import NO_FILES

SAVED = Path(__file__).parent / "before_0_1_0"
CONFIGS = json.loads((SAVED / "configs.json").read_text())


def found(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def build(config: Any) -> Any:
    if isinstance(config, dict) and "class_path" in config:
        return found(config["class_path"])(**{k: build(v) for k, v in config["init_args"].items()})
    return config


def name_of(config: dict[str, Any]) -> str:
    return config["class_path"].rpartition(".")[2]


@pytest.mark.parametrize("face", ["", ".data", ".objectives", ".critics", ".demos", ".monitor"])
def test_exported_classes_have_the_shortest_path(face: str) -> None:
    module = importlib.import_module("mine_lightning" + face)
    kinds = {
        name: kind for name in module.__all__ if isinstance(kind := getattr(module, name), type)
    }
    for name, kind in kinds.items():
        shortest = getattr(mine_lightning, name, None) is kind
        expected = f"mine_lightning.{name}" if shortest else f"mine_lightning{face}.{name}"
        assert public_path(kind) == expected


def test_paths_of_other_packages_are_their_public_ones_too() -> None:
    assert public_path(torch.optim.Adam) == "torch.optim.Adam"
    assert public_path(Path) == "pathlib.Path"


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_what_was_configured_before_is_built_and_gets_a_public_path(config: dict[str, Any]) -> None:
    today = renewed(config)
    assert build(today).config() == today
    assert today["class_path"] in (
        f"mine_lightning.{name_of(config)}",
        f"mine_lightning.data.{name_of(config)}",
    )
    assert renewed(today) == today


@pytest.mark.parametrize(
    "path",
    [
        "torch.optim.Adam",
        "mine_lightning.module.NoSuchClass",
        "mine_lightning.estimate",
        "MINE",
        "",
    ],
)
def test_other_paths_are_left_alone(path: str) -> None:
    assert renewed({"class_path": path}) == {"class_path": path}


def test_two_classes_of_one_name_are_told_apart() -> None:
    assert renewed([{"class_path": "mine_lightning.demos.gan.GAN"}]) == [
        {"class_path": "mine_lightning.demos.PlainGAN"}
    ]
    assert renewed({"class_path": "mine_lightning.divergences.GAN"}) == {
        "class_path": "mine_lightning.GAN"
    }


@pytest.mark.parametrize(
    ("kind", "file", "expected"),
    [
        (MutualInformationEstimator, "estimator.ckpt", {"test/mi": -0.1634}),
        (MutualInformationEnsemble, "ensemble.ckpt", {"test/mi_0": -0.1076, "test/mi_1": -0.0129}),
    ],
)
def test_checkpoints_of_before_give_the_same_estimates(
    kind: type, file: str, expected: dict[str, float]
) -> None:
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    data = TensorDataModule(x, x[:, :1] + 1, batch_size=20, seed=0)
    model = kind.load_from_checkpoint(SAVED / file)
    (results,) = Trainer(accelerator="cpu", **NO_FILES).test(model, data, verbose=False)
    assert {name: results[name] for name in expected} == pytest.approx(expected, abs=1e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonargparse")
def test_the_command_line_takes_configurations_and_checkpoints_of_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "model: {class_path: mine_lightning.module.MutualInformationEstimator}\n"
        "data: {class_path: mine_lightning.data.modules.GaussianDataModule,\n"
        "  init_args: {rows: 400, dim: 2, correlation: 0.5, batch_size: 64}}\n"
        "trainer: {logger: false, enable_progress_bar: false, accelerator: cpu,\n"
        "  plugins: [{class_path: mine_lightning.checkpoints.WholeCheckpointIO}]}\n"
    )
    main(["test", f"--config={config}", f"--ckpt_path={SAVED / 'square.ckpt'}"])
    assert "test/mi" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MINE(ma_rat=0.5), "MINE() got an unexpected keyword argument 'ma_rat'. Did you"),
        (lambda: ConcatCritic(hidden_feature=[3]), "Did you mean `hidden_features`?"),
        (lambda: GaussianPairs(corelation=0.4), "Did you mean `correlation`?"),
        (lambda: RankToNormal(a=1), "RankToNormal() got an unexpected keyword argument 'a'. There"),
        (lambda: RankToNormal(1), "too many positional arguments"),
        (lambda: CyclicShift(seed=3), "CyclicShift() got an unexpected keyword argument 'seed'."),
    ],
)
def test_an_argument_that_there_is_not_is_named(build, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        build()
