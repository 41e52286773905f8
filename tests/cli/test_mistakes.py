"""A mistake is answered in one sentence that says what may have been meant."""

from pathlib import Path

import pytest

from mine_lightning.cli.mistakes import explain
from runs import ROOT, fit, names_choices


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.init_args.path=nowhere.csv"], "'nowhere.csv': no such file."),
        (["--data.init_args.x=[alcool]"], "alcohol"),
        (["--data.init_args.x=[hue]"], "hue"),
        (["--data.init_args.batch_size=170"], "Expected at least 170 rows for the train split"),
        (
            ["--data.batch_size=many"],
            "Expected `batch_size` of mine_lightning.TableDataModule to be int, got 'many'.",
        ),
        (["--model.objective.ma_rate=1.5"], "Expected `ma_rate` to be in (0, 1], got 1.5."),
        (
            ["--model.objective.ma_rat=0.5"],
            "Expected an argument of mine_lightning.MINE, got `ma_rat`. Did you mean `ma_rate`?",
        ),
        (["--model.objective=MNE"], "name of an Objective, got `MNE`. Did you mean `MINE`?"),
        (
            ["--model=MINE"],
            "name of a LightningModule, got `MINE`, which belongs to `--model.objective`.",
        ),
        (["--model.critic=MINE"], "`critic` to score pairs, got MINE: give it as `objective`."),
        (["--model=mine_lightning.ConcatCritic"], "which belongs to `--model.critic`."),
        (["--data=GaussianModule"], "a LightningDataModule, got `GaussianModule`. Did you mean"),
        (["--model.optimizer=Adm"], "Expected the name of an Optimizer, got `Adm`. Did you mean"),
        (["--model.optimizer=torch.optim.Adm"], "got `torch.optim.Adm`. Did you mean `Adam`"),
        (["--model.optimizer.lr=fast"], "Expected `optimizer.lr` of mine_lightning.Mutual"),
        (["--trainer.logger=CSVLoger"], "a Logger, got `CSVLoger`. Did you mean `CSVLogger`"),
        (["--trainer.callbacks+=EarlyStoping"], "got `EarlyStoping`. Did you mean `EarlyStopping`"),
        pytest.param(
            ["--trainer.precision=12"],
            "to be one of 64, 32, 16 or one of 'transformer-engine'",
            marks=names_choices,
        ),
        (["--seed_everything=x"], "Expected `--seed_everything` to be bool or int, got 'x'."),
        (["--data.colums=a"], "Expected an argument of mine_lightning.TableDataModule, got `col"),
        (["--config=nowhere.yaml"], "file or the name of a configuration, got 'nowhere.yaml'."),
        (
            ["--trainer.callbacks+=MutualInformationMonitor"],
            "Expected either `x` and `z`, or `pairs` with at least one pair.",
        ),
        (["--trainer.callbacks+=Monitor"], "There are: `MutualInformationMonitor`, `DeviceSt"),
        (["--trainer.max_epochs=three"], "`--trainer.max_epochs` to be int, got 'three'."),
        (["--trainer.max_epoks=3"], "Did you mean `--trainer.max_epochs`"),
        (["--output=file.csv"], "Expected `output` only with `predict`"),
        (["more"], "Expected options after the arguments, got 'more'."),
    ],
)
def test_a_mistake_gives_one_line_and_a_failing_status(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        fit(ROOT / "configs/table.yaml", tmp_path, *arguments)
    text = stop.value.code if isinstance(stop.value.code, str) else capsys.readouterr().err
    assert stop.value.code not in (0, None)
    assert text.startswith("mine-lightning: error: ")
    assert "\n" not in text.strip()
    assert message in text


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (
            "Unrecognized arguments: --fold 3",
            "Expected an option that there is, got `--fold`. Did you mean `--folds`?",
        ),
        (
            'Validation failed: Key "estimate.z" is required but not included in config object '
            "or its value is None.",
            "Expected `z`, got no value.",
        ),
        (
            "Problem with given class_path 'mine_lightning.MINE':\n"
            "  Validation failed: Key 'ma_rat' is not expected",
            "Expected an argument of mine_lightning.MINE, got `ma_rat`. Did you mean `ma_rate`?",
        ),
        (
            'Parser key "trainer.logger":\n'
            "  - Expected a config path but CSVLoger either not accessible or invalid\n"
            "  Subtypes: [<class 'lightning.pytorch.loggers.logger.Logger'>]\n"
            "    - Expected a <class 'collections.abc.Iterable'>\n"
            "    - Expected a dot import path string: CSVLoger\n"
            "  Given value: CSVLoger",
            "Expected the name of a Logger, got `CSVLoger`. Did you mean `CSVLogger` or "
            "`CometLogger`?",
        ),
    ],
)
def test_older_parsers_are_understood(message: str, answer: str) -> None:
    assert explain(message, ["--folds", "--seed"]) == answer
