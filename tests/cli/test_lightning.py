"""The command line, run as a person runs it."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from lightning_utilities.core.imports import RequirementCache

from mine_lightning.cli import main
from mine_lightning.cli.configs import SHIPPED
from mine_lightning.cli.report import notes

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
QUICK = [
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.limit_train_batches=3",
    "--trainer.limit_val_batches=2",
    "--trainer.limit_test_batches=2",
]


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def fit(config: Path, logs: Path, *more: str) -> None:
    where = f"--trainer.logger.init_args.save_dir={logs}"
    main(["fit", "--config", str(config), where, *QUICK, *more])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_runs(config: Path, tmp_path: Path) -> None:
    fit(config, tmp_path)
    assert list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_opens_with_the_command_that_runs_it(config: Path) -> None:
    first = config.read_text().splitlines()[0]
    assert first == f"# mine-lightning fit --config configs/{config.name}"


def test_the_package_ships_the_configurations_of_the_project() -> None:
    shipped = {path.name: path.read_text() for path in SHIPPED.glob("*.yaml")}
    assert shipped == {path.name: path.read_text() for path in CONFIGS}


def test_fit_needs_no_configuration_for_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    table = ["--data=TableDataModule", f"--data.path={ROOT}/examples/wine.csv"]
    main(["fit", *table, "--data.x=[hue]", "--data.z=[ash]", "--data.batch_size=64", *QUICK])
    assert "truth                 unknown" in capsys.readouterr().out


def test_fit_ends_with_a_readable_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit(ROOT / "configs/gaussian.yaml", tmp_path, "--seed_everything=7")
    printed = capsys.readouterr().out.strip().splitlines()
    lines = [line for line in printed if not line.startswith("note: ")][-7:]
    names = [line.split("  ")[0] for line in lines]
    assert names == [
        "estimate (test rows)", "standard error", "truth", "error", "seed", "logs", "curves"
    ]  # fmt: skip
    assert lines[2].endswith("0.8304 nats")
    assert lines[4].endswith("7")
    assert f"tensorboard --logdir {tmp_path}" in lines[6]


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_run_is_validated_tested_and_predicted_from_its_own_config(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fit(ROOT / "configs/table.yaml", tmp_path)
    (checkpoint,) = tmp_path.rglob("epoch=*.ckpt")
    config = tmp_path / "version_0" / "config.yaml"
    common = ["--config", str(config), "--ckpt_path", str(checkpoint), "--trainer.logger=false"]
    capsys.readouterr()
    for command in ("validate", "test"):
        main([command, *common])
        assert f"{'val' if command == 'validate' else 'test'}/mi" in capsys.readouterr().out
    for suffix in ("csv", "parquet"):
        output = tmp_path / f"pointwise.{suffix}"
        main(["predict", *common, "--output", str(output)])
        frame = pd.read_csv(output) if suffix == "csv" else pd.read_parquet(output)
        assert frame.columns.tolist() == ["row", "split", "pointwise_mi"]
        assert frame["row"].tolist() == list(range(178))
        assert frame["split"].value_counts().to_dict() == {"train": 106, "val": 36, "test": 36}


def test_a_checkpoint_of_the_command_line_reloads_in_a_fresh_process(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fit(ROOT / "configs/digits.yaml", tmp_path, "--trainer.limit_test_batches=1.0")
    reported = capsys.readouterr().out.split("estimate (test rows)")[1].split()[0]
    (checkpoint,) = tmp_path.rglob("epoch=*.ckpt")
    script = (
        "import sys; from lightning.pytorch import Trainer\n"
        "from mine_lightning import DigitsDataModule, MutualInformationEstimator\n"
        "model = MutualInformationEstimator.load_from_checkpoint(sys.argv[1], weights_only=True)\n"
        "trainer = Trainer(logger=False, enable_progress_bar=False)\n"
        "(result,) = trainer.test(model, DigitsDataModule(seed=0), verbose=False)\n"
        "print(f\"{result['test/mi']:.4f}\")\n"
    )
    command = [sys.executable, "-c", script, str(checkpoint)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert run.stdout.strip().splitlines()[-1] == reported
    loaded = torch.load(checkpoint, weights_only=True)
    assert loaded["hyper_parameters"]["critic"]["class_path"].endswith("ConcatCritic")


def test_a_configuration_of_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    version = "--trainer.logger.init_args.version=5"
    fit(ROOT / "configs/table.yaml", tmp_path, version)
    saved = (tmp_path / "version_5" / "config.yaml").read_text()
    with pytest.raises(SystemExit, match="without a configuration of an earlier run"):
        fit(ROOT / "configs/table.yaml", tmp_path, version, "--seed_everything=3")
    assert (tmp_path / "version_5" / "config.yaml").read_text() == saved


def test_an_interrupted_run_goes_on_in_its_own_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config, reported = ROOT / "configs/table.yaml", {}
    for name, epochs in (("whole", 5), ("broken", 3)):
        fit(config, tmp_path / name, f"--trainer.max_epochs={epochs}")
        reported[name] = capsys.readouterr().out
    run = tmp_path / "broken" / "version_0"
    saved = (run / "config.yaml").read_text()
    last = f"--ckpt_path={run}/checkpoints/last.ckpt"
    main(["fit", "--config", str(config), *QUICK, "--trainer.max_epochs=5", last])
    reported["broken"] = capsys.readouterr().out
    assert reported["broken"].replace("broken", "whole") == reported["whole"]
    assert list((tmp_path / "broken").iterdir()) == [run]
    assert (run / "config.yaml").read_text() == saved
    whole, broken = (
        torch.load(tmp_path / name / "version_0/checkpoints/last.ckpt", weights_only=True)
        for name in ("whole", "broken")
    )
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, broken["state_dict"][name])
    best = [
        next(state for key, state in saved["callbacks"].items() if "ModelCheckpoint" in key)
        for saved in (whole, broken)
    ]
    assert best[0]["best_model_score"] == best[1]["best_model_score"]


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_a_damaged_checkpoint_is_named_in_one_line(command: str, tmp_path: Path) -> None:
    path = tmp_path / "half.ckpt"
    torch.save({"state_dict": {}}, path)
    path.write_bytes(path.read_bytes()[:300])
    common = ["--config=configs/table.yaml", "--trainer.logger=false", *QUICK]
    with pytest.raises(
        SystemExit, match=r"error: Expected '.*half\.ckpt' to be a whole checkpoint"
    ):
        main([command, *common, f"--ckpt_path={path}"])
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_of_another_architecture_is_named_in_one_line(tmp_path: Path) -> None:
    fit(ROOT / "configs/table.yaml", tmp_path)
    (path,) = tmp_path.rglob("last.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"]["critic"]["init_args"]["hidden_features"] = [3]
    torch.save(checkpoint, path)
    with pytest.raises(SystemExit, match=r"error: .*size mismatch for critic"):
        main(["test", "--config=configs/table.yaml", *QUICK, f"--ckpt_path={path}"])


def test_a_missing_checkpoint_is_named_in_one_line() -> None:
    with pytest.raises(SystemExit, match=r"error: .*nowhere\.ckpt"):
        main(["fit", "--config=configs/table.yaml", *QUICK, "--ckpt_path=nowhere.ckpt"])


def test_printed_configs_run_again(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", "configs/infonce.yaml", "--print_config"])
    assert stop.value.code == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    assert yaml.safe_load(printed.read_text())["model"]["init_args"]["all_pairs"] is True
    fit(printed, tmp_path / "logs")


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
        (["--trainer.precision=12"], "to be one of 64, 32, 16 or one of 'transformer-engine'"),
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


@pytest.mark.parametrize(("logger", "package"), [("MLFlow", "mlflow"), ("Wandb", "wandb")])
def test_a_logger_that_is_not_installed_names_its_extra(
    logger: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = f"lightning.pytorch.loggers.{package}._{package.upper()}_AVAILABLE"
    monkeypatch.setattr(known, RequirementCache(f"{package}>=999"))
    with pytest.raises(SystemExit) as stop:
        main(["fit", f"--trainer.logger={logger}Logger"])
    assert f"not met: pip install 'mine-lightning[{package}]'" in str(stop.value.code)


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_random_weights_are_refused_and_the_newest_checkpoint_is_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = [f"--trainer.logger.init_args.save_dir={tmp_path}/lightning_logs"]
    with pytest.raises(SystemExit, match=r"weights are random, got none\. There is none in"):
        main([command, "--config=table", *where])
    for age, name in enumerate(["new", "old"]):
        path = tmp_path / "lightning_logs" / name / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))
    with pytest.raises(SystemExit, match=r"The newest is .*/new/checkpoints/last\.ckpt\."):
        main([command, "--config=table", *where])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"The newest is .*/new/checkpoints/last\.ckpt\."):
        main([command])


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_configurations_are_found_by_name_and_beside_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["fit", *QUICK])
    config = yaml.safe_load(Path("lightning_logs/version_0/config.yaml").read_text())
    assert config["data"]["class_path"] == "mine_lightning.GaussianDataModule"
    main(["fit", "--config", "donsker_varadhan", *QUICK])
    (checkpoint,) = Path("lightning_logs/version_1").rglob("last.ckpt")
    capsys.readouterr()
    main(["test", "--ckpt_path", str(checkpoint), "--trainer.logger=false"])
    assert "test/mi" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"got 'gausian'\. Did you mean `gaussian`"):
        main(["fit", "--config=gausian"])
    alone = checkpoint.rename(tmp_path / "alone.ckpt")
    with pytest.raises(SystemExit, match="Expected `config` for 'test', got none, and there is"):
        main(["test", f"--ckpt_path={alone}"])


def test_a_configuration_that_unfolds_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "laughs.yaml"
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 10)]
    path.write_text("\n".join(["l0: &l0 [ha]", *levels]))
    with pytest.raises(SystemExit, match="at most 100,000 values with its aliases written out"):
        main(["fit", f"--config={path}"])
    path.write_text("a: &a [*a]")
    with pytest.raises(SystemExit, match=r"at most 100,000 values .* got inf"):
        main(["fit", "--config", str(path)])
    path.write_text("a: [1")
    with pytest.raises(SystemExit, match=r"Expected '.*laughs.yaml' to be a YAML file"):
        main(["fit", "-c", str(path)])


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_an_output_of_predict_is_no_input_and_is_replaced_only_when_told(tmp_path: Path) -> None:
    table = tmp_path / "wine.csv"
    table.write_bytes((ROOT / "examples/wine.csv").read_bytes())
    fit(ROOT / "configs/table.yaml", tmp_path, f"--data.path={table}")
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    common = ["predict", f"--ckpt_path={checkpoint}", "--trainer.logger=false"]
    content = table.read_bytes()
    for more in ([], ["--overwrite"]):
        with pytest.raises(SystemExit, match="to be another file than the input, got"):
            main([*common, f"--output={table}", *more])
    assert table.read_bytes() == content
    output = tmp_path / "values.csv"
    output.write_text("kept")
    with pytest.raises(SystemExit, match=r"Expected `output` not to exist, got .*--overwrite"):
        main([*common, f"--output={output}"])
    assert output.read_text() == "kept"
    main([*common, f"--output={output}", "--overwrite"])
    assert len(pd.read_csv(output)) == 178


def test_what_speaks_against_the_estimate_of_a_fit_is_noted() -> None:
    assert notes(0.83, 0.01, 0.84, 0.83, improving=False) == []
    (cut,) = notes(0.676, 0.1, 0.7, 0.83, improving=True)
    assert (
        cut == "still improving: the last state is the best one: give more `--trainer.max_epochs`."
    )
    (off,) = notes(0.676, 0.017, 0.7, 0.830, improving=False)
    assert off.startswith("off the truth: by 9.1 standard errors")
    (fitted,) = notes(0.3, 0.1, 0.6, None, improving=False)
    assert fitted.startswith("overfit: 0.600 nats on training rows")
    (none,) = notes(0.1, 0.1, 0.1, None, improving=False)
    assert none.startswith("contains zero: the 95 % interval [-0.096, 0.296]")


def test_fit_prints_its_table_and_nothing_of_lightning(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fit(ROOT / "configs/gaussian.yaml", tmp_path, "--trainer.enable_progress_bar=true")
    shown = capsys.readouterr()
    assert shown.out.startswith("estimate (test rows)")
    assert "epoch 1 of at most 1" in shown.err
    assert "\n" not in shown.err


def test_a_short_fit_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit(ROOT / "configs/gaussian.yaml", tmp_path, "--trainer.max_epochs=2")
    printed = capsys.readouterr().out
    assert "note: still improving" in printed
    assert "note: off the truth" in printed


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (
            ["--help"],
            [
                "estimate",
                "matrix",
                "select",
                "fit",
                "validate",
                "test",
                "predict",
                "taps",
                "examples:",
            ],
        ),
        ([], ["mine-lightning fit --config gaussian"]),
        (["--version"], [f"mine-lightning {version('mine-lightning')}"]),
        (["fit", "--help"], ["Example:\n  mine-lightning fit", "--data", "--ckpt_path"]),
        (["predict", "--help"], ["Example:\n  mine-lightning predict", "--overwrite"]),
        (["taps", "--help"], ["usage: mine-lightning taps", "mine-lightning taps --config gan"]),
        (["estimate", "--help"], ["--x_transform", "Example:\n  mine-lightning estimate wine.csv"]),
        (["matrix", "--help"], ["--columns", "Example:\n  mine-lightning matrix wine.csv"]),
        (["select", "--help"], ["--target", "Example:\n  mine-lightning select wine.csv"]),
    ],
)
def test_help_and_version(
    arguments: list[str], shown: list[str], capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert all(text in printed for text in shown)


def test_taps_lists_what_a_monitor_can_follow_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["taps", "--config", "gan"])
    rows = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert rows["generator:output"] == "128x2"
    assert rows["generator:input[0]"] == "128x64"
    assert not list(tmp_path.iterdir())


def test_fit_reports_what_the_monitors_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit(ROOT / "configs/gan.yaml", tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["mi", "seed", "logs", "curves"]
    assert re.fullmatch(r"mi .* nats, standard error .* nats", lines[0])


def test_a_shell_completes_commands_and_options(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--print_completion", "shtab-bash"])
    assert stop.value.code == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("estimate", "matrix", "fit", "--max_epochs"))


def test_the_module_runs_as_the_command_does() -> None:
    command = [sys.executable, "-m", "mine_lightning", "--version"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("mine-lightning ")
