"""Private names of others: one file, one function and one test for each."""

import ast
import copy
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel, ManualOptimBoringModel
from torch import nn

import mine_lightning
from mine_lightning import MutualInformation
from mine_lightning.support import upstream

SOURCE = Path(mine_lightning.__file__).parent
UPSTREAM = SOURCE / "support" / "upstream.py"
NAMED_TUPLES = {"_asdict", "_fields", "_replace"}  # documented


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(trees: list[ast.AST]) -> set[str]:
    """Return the private names that the package itself gives."""
    names = set(NAMED_TUPLES)
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Store):
            names.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return names


def private_names(tree: ast.AST, ours: set[str]) -> Iterator[str]:
    """Yield the private names of others that a file uses."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = getattr(node, "module", None) or ""
            for name in [*module.split("."), *(alias.name for alias in node.names)]:
                if is_private(name.split(".")[-1]) and name not in ours:
                    yield f"{module}: {name}"
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in ours:
            yield ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(name.value) and name.value not in ours:
                yield name.value


def test_private_names_of_others_stand_in_one_file() -> None:
    trees = {path: ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}
    ours = own_names(list(trees.values()))
    found = {
        str(path.relative_to(SOURCE)): names
        for path, tree in trees.items()
        if path != UPSTREAM and (names := sorted(set(private_names(tree, ours))))
    }
    assert found == {}


def test_a_backward_pass_is_noticed() -> None:
    seen = []
    weight = torch.ones(1, requires_grad=True)
    weight.register_hook(lambda gradient: seen.append(upstream.in_backward()))
    weight.exp().sum().backward()
    assert seen == [True]
    assert not upstream.in_backward()


class Asks(BoringModel):
    """Ask Lightning in every step; log in a step and elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bool] = []

    def training_step(self, batch, batch_idx):
        self.log("own", 1.0)
        return super().training_step(batch, batch_idx)

    def on_train_batch_end(self, *args) -> None:
        self.log("other", 1.0)
        self.writes.append(upstream.logs_now(self.trainer))
        self.others = upstream.logged_by_others(self.trainer, "training_step")


def quiet(**options) -> Trainer:
    silent = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return Trainer(**{**silent, "enable_checkpointing": False, "accelerator": "cpu", **options})


def test_lightning_says_when_it_writes_and_who_logged_what() -> None:
    model = Asks()
    quiet(max_steps=4, log_every_n_steps=2, limit_val_batches=0).fit(model)
    assert model.writes == [False, True, False, True]
    assert "other" in model.others
    assert "own" not in model.others


def test_compiled_modules_are_told_apart() -> None:
    plain, compiled = nn.Linear(1, 1), nn.Linear(1, 1)
    compiled.compile(backend="eager")
    assert [upstream.runs_compiled(part) for part in (plain, compiled)] == [False, True]
    assert not upstream.runs_compiled(BoringModel())
    assert upstream.wraps_compiled(torch.compile(plain, backend="eager"))
    assert not upstream.wraps_compiled(compiled)


@pytest.mark.parametrize(
    "listen",
    [
        lambda layer: layer.register_forward_hook(lambda *args: None),
        lambda layer: layer.register_forward_pre_hook(lambda *args: None),
        lambda layer: layer.register_full_backward_hook(lambda *args: None),
        lambda layer: layer.register_full_backward_pre_hook(lambda *args: None),
        lambda layer: layer.weight.register_hook(lambda gradient: None),
    ],
)
def test_hooks_are_heard(listen) -> None:
    layer = nn.Linear(1, 1)
    assert not any(map(upstream.is_hooked, (layer, layer.weight)))
    listen(layer)
    assert any(map(upstream.is_hooked, (layer, layer.weight)))


@pytest.mark.parametrize("when", ["register_step_pre_hook", "register_step_post_hook"])
def test_listeners_to_a_step_are_heard(when: str) -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(1))])
    assert not upstream.has_step_hooks(optimizer)
    getattr(optimizer, when)(lambda *args: None)
    assert upstream.has_step_hooks(optimizer)


def test_a_scheduler_believes_that_its_optimizer_was_stepped() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(1))])
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    upstream.counts_as_stepped(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()


class NotesTwo(ManualOptimBoringModel):
    def training_step(self, batch, batch_idx):
        for _ in range(2):
            upstream.note_step(self.optimizers())


def test_lightning_counts_a_step_that_is_noted() -> None:
    trainer = quiet(max_epochs=1, limit_train_batches=3, limit_val_batches=0)
    trainer.fit(NotesTwo())
    assert trainer.global_step == 6


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_in_one_kernel_is_adam(decoupled: bool) -> None:
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    weight, gradient = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    expected = nn.Parameter(weight.clone())
    expected.grad = gradient
    kind([expected], lr=0.1, weight_decay=0.1).step()
    first, second, step = torch.zeros(5), torch.zeros(5), torch.ones(())
    settings = {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.1, "eps": 1e-8}
    lists = [weight], [gradient], [first], [second], [], [step]
    upstream.adam_(*lists, decoupled=decoupled, amsgrad=False, maximize=False, **settings)
    torch.testing.assert_close(weight, expected.detach())


def test_tensors_are_moved_copied_and_measured_together() -> None:
    tensors = [torch.zeros(2), torch.zeros(3)]
    upstream.lerp_(tensors, [torch.ones(2), torch.full((3,), 4.0)], 0.5)
    assert [tensor.tolist() for tensor in tensors] == [[0.5] * 2, [2.0] * 3]
    assert [norm.item() for norm in upstream.norms(tensors, math.inf)] == [0.5, 2.0]
    upstream.copy_(tensors, [torch.ones(2), torch.ones(3)])
    assert [tensor.tolist() for tensor in tensors] == [[1.0] * 2, [1.0] * 3]


def test_a_convolution_takes_another_weight() -> None:
    layer, images = nn.Conv2d(2, 3, 3, stride=2, padding=1), torch.randn(4, 2, 8, 8)
    other = copy.deepcopy(layer)
    nn.init.ones_(other.weight)
    assert torch.equal(upstream.convolve(layer, images, other.weight), other(images))


@pytest.mark.skipif(
    not hasattr(torch._dynamo.config, "trace_autograd_ops"),
    reason="this PyTorch cannot compile gradients inside a graph",
)
def test_the_compiler_traces_gradients_only_where_it_is_told_to() -> None:
    failed, unsupported = upstream.compile_errors()
    assert issubclass(unsupported, failed)
    before = torch._dynamo.config.trace_autograd_ops
    with upstream.tracing_gradients():
        assert torch._dynamo.config.trace_autograd_ops
    assert torch._dynamo.config.trace_autograd_ops == before


def test_a_checkpoint_says_when_it_saves() -> None:
    assert upstream.steps_between(ModelCheckpoint(every_n_train_steps=7)) == 7
    assert upstream.steps_between(ModelCheckpoint(every_n_epochs=1)) == 0


def test_processes_that_run_the_training_alone_are_told_apart() -> None:
    assert upstream.spawns(quiet(strategy="ddp_spawn", devices=2))
    assert not upstream.spawns(quiet())


def test_callbacks_have_a_key_for_their_settings() -> None:
    assert upstream.state_key(Callback(), name="a") == "Callback{'name': 'a'}"


def test_a_metric_is_drawn() -> None:
    metric = MutualInformation()
    figure, axes = upstream.draw(metric, torch.tensor(1.0), None)
    assert axes.get_figure() is figure


def test_a_module_of_lightning_may_be_compiled_by_it() -> None:
    module = BoringModel()
    assert isinstance(module, LightningModule)
    module._compiler_ctx = {"compiler": "dynamo"}
    assert upstream.runs_compiled(module)


def test_a_module_with_other_tensors_leaves_the_first_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    doubled = upstream.with_tensors(module, lambda tensor: 2 * tensor.detach())
    for name, tensor in module.state_dict().items():
        assert torch.equal(doubled.state_dict()[name], 2 * tensor)
    doubled[0] = nn.Identity()
    assert isinstance(module[0], nn.Linear)
