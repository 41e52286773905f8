"""Training ends while there is time for the scores."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mine_lightning.estimate import deadline
from mine_lightning.estimate.deadline import MARGIN, Deadline

MODEL: Any = SimpleNamespace(device=torch.device("cpu"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand still at a time that a test sets."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(deadline.time, "perf_counter", lambda: clock.now)
    return clock


def stops(limit: Deadline, clock: SimpleNamespace, begins: float, seconds: float) -> bool:
    """Whether a validation that begins then and takes so long is the last one."""
    trainer = SimpleNamespace(should_stop=False)
    clock.now = begins
    limit.on_validation_start(trainer, MODEL)
    clock.now = begins + seconds
    limit.on_validation_end(trainer, MODEL)
    return trainer.should_stop


def test_training_ends_where_the_scores_take_the_rest(clock: SimpleNamespace) -> None:
    limit, pairs, seconds = Deadline("00:00:01:00", pairs=4.0), 4.0, 2.0
    last = 160.0 - seconds - MARGIN * pairs * seconds
    assert not stops(limit, clock, last - 0.1, seconds)
    assert stops(limit, clock, last + 0.1, seconds)


def test_quick_scores_leave_more_time(clock: SimpleNamespace) -> None:
    limit = Deadline({"minutes": 1}, pairs=4.0)
    assert stops(limit, clock, 150.0, 2.0)
    assert not stops(limit, clock, 150.0, 0.5)


def test_rows_that_are_still_to_be_described_take_their_time(clock: SimpleNamespace) -> None:
    limit = Deadline({"minutes": 1}, pairs=4.0, describe=lambda: 10.0)
    last = 160.0 - 0.5 - MARGIN * (4.0 * 0.5 + 10.0)
    assert not stops(limit, clock, last - 0.1, 0.5)
    assert stops(limit, clock, last + 0.1, 0.5)


def test_an_end_that_was_asked_for_stays(clock: SimpleNamespace) -> None:
    trainer, limit = SimpleNamespace(should_stop=True), Deadline({"hours": 1}, pairs=1.0)
    limit.on_validation_start(trainer, MODEL)
    limit.on_validation_end(trainer, MODEL)
    assert trainer.should_stop


def test_the_time_is_that_at_which_a_gpu_has_done_its_work(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(device: torch.device) -> None:
        clock.now += 2.0

    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    limit, model = Deadline({"minutes": 1}, pairs=4.0), SimpleNamespace(device=torch.device("cuda"))
    trainer = SimpleNamespace(should_stop=False)
    clock.now = last = 160.0 - 2.0 - MARGIN * 4.0 * 2.0
    limit.on_validation_start(trainer, model)
    assert limit.start == last + 2.0
    limit.on_validation_end(trainer, model)  # which the host has done in no time
    assert trainer.should_stop


@pytest.mark.parametrize("max_time", ["00:00:00:00", {"seconds": -1}])
def test_no_time_is_refused(max_time: object) -> None:
    with pytest.raises(ValueError, match="Expected `max_time` to be positive, got"):
        Deadline(max_time, pairs=1.0)
