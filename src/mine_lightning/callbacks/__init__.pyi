from .checkpoints import RestartCheckpoint as RestartCheckpoint
from .checkpoints import WholeCheckpointIO as WholeCheckpointIO
from .writers import PointwiseWriter as PointwiseWriter
