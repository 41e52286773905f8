"""The callbacks of a Trainer are its own, and not a copy."""

from lightning.pytorch import Callback, Trainer

from mine_lightning.support.callbacks import callbacks_of


def test_a_callback_that_is_added_takes_part() -> None:
    trainer = Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    added = Callback()
    callbacks_of(trainer).append(added)
    assert trainer.callbacks[-1] is added
