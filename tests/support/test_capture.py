"""Work recorded once and replayed."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from mine_lightning.support.capture import CudaGraphs, Recorder
from recorders import Refuses, Replays


class Sum:
    """Add minibatches to a total, beside a number of the host that changes."""

    def __init__(self) -> None:
        self.total, self.calls = torch.zeros(2), 0

    def __call__(self, batches: Any) -> list[Tensor]:
        self.calls += 1
        for batch in batches:
            self.total += batch["rows"][0]
        return [self.total + self.calls]


def minibatch(value: float, rows: int = 2) -> dict[str, Any]:
    return {"rows": (torch.full((rows,), value), torch.zeros(1))}


def test_the_first_work_is_as_usual_and_the_rest_replayed() -> None:
    work, graphs = Sum(), Replays()
    recorder = Recorder(work, graphs)
    results = [recorder([minibatch(value), minibatch(1.0)])[0] for value in (1.0, 10.0, 100.0)]
    assert graphs.replayed == 2
    assert work.total.tolist() == [114, 114]
    # the call recorded was the second one: a graph knows no later number of the host's
    assert [result.tolist()[0] for result in results] == [2 + 1, 13 + 2, 114 + 2]


def test_minibatches_of_another_shape_are_worked_on_as_usual() -> None:
    work, graphs = Sum(), Replays()
    recorder = Recorder(work, graphs)
    for rows in (2, 2, 1, 2):
        recorder([minibatch(1.0, rows)])
    assert graphs.replayed == 2
    assert work.total.tolist() == [4, 4]


def test_work_that_cannot_be_recorded_is_done_as_usual_and_said_once() -> None:
    work = Sum()
    recorder = Recorder(work, Refuses())
    recorder([minibatch(1.0)])
    with pytest.warns(UserWarning, match="Training goes on without a CUDA graph, which failed: op"):
        recorder([minibatch(1.0)])
    recorder([minibatch(1.0)])
    assert (work.total.tolist(), work.calls) == ([3, 3], 3)


def test_work_that_reads_a_number_cannot_be_recorded() -> None:
    recorder = Recorder(
        lambda batches: [batches[0]["rows"][0] * batches[0]["rows"][0].sum().item()], Replays()
    )
    recorder([minibatch(1.0)])
    with pytest.warns(UserWarning, match="not permitted when stream is capturing"):
        recorder([minibatch(1.0)])


class Streams:
    """What the recorder asks of torch.cuda, noted instead of done."""

    def __init__(self) -> None:
        self.made: list[Streams] = []
        self.entered: list[Any] = []
        self.options: dict[str, Any] = {}
        self.replayed = 0

    def stream(self) -> "Streams":
        self.made.append(Streams())
        return self.made[-1]

    def wait_stream(self, other: object) -> None:
        self.entered.append(other)

    def inside(self, entered: Any, **options: Any) -> Any:
        self.entered.append(entered)
        self.options = options
        return nullcontext()

    def replay(self) -> None:
        self.replayed += 1


def test_work_is_recorded_on_the_stream_that_it_has_warmed_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = Streams()
    current, graph = Streams(), Streams()
    for name, value in {
        "Stream": cuda.stream,
        "current_stream": lambda: current,
        "stream": cuda.inside,
        "CUDAGraph": lambda: graph,
        "graph": cuda.inside,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    graphs = CudaGraphs()
    assert graphs.warm_up(lambda: 1) == 1
    (side,) = cuda.made
    assert (side.entered, current.entered) == ([current], [side])
    replay = graphs.record(lambda: 2)
    assert cuda.entered == [side, graph]
    assert cuda.options == {"stream": side, "capture_error_mode": "thread_local"}
    assert (replay(), graph.replayed, cuda.made) == (2, 1, [side])
