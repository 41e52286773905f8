"""What the commands on a configuration do, for their help and for that of the whole."""

__all__ = ["LIGHTNING"]

LIGHTNING = {
    "fit": """Train an estimator, or any Lightning model beside a monitor, and report the estimate.

Example:
  mine-lightning fit --config gaussian --trainer.max_epochs 10""",
    "validate": """Estimate on the validation rows with a checkpoint.

Example:
  mine-lightning validate --ckpt_path lightning_logs/version_0/checkpoints/last.ckpt""",
    "test": """Estimate on the test rows with a checkpoint.

Example:
  mine-lightning test --ckpt_path lightning_logs/version_0/checkpoints/last.ckpt""",
    "predict": """Write the pointwise mutual information of every row with a checkpoint.

Example:
  mine-lightning predict --ckpt_path lightning_logs/version_0/checkpoints/last.ckpt \\
    --output pointwise.csv""",
    "taps": """List the tensors of a model's training step that a monitor can follow.

Example:
  mine-lightning taps --config gan""",
}
