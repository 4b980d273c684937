"""Models: their spec, the one place that builds them, checkpoints, and those by name: bundled, on disk, on the Hub."""

from mothello_interp.models.build import build_model
from mothello_interp.models.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from mothello_interp.models.mingpt import import_authors
from mothello_interp.models.othello_gpt import load_othello_gpt
from mothello_interp.models.spec import Architecture, ModelSpec, SpecError, World
from mothello_interp.models.zoo import bundled, bundled_names, load, write_manifest

__all__ = [
    "Architecture",
    "Checkpoint",
    "CheckpointError",
    "ModelSpec",
    "SpecError",
    "World",
    "build_model",
    "bundled",
    "bundled_names",
    "import_authors",
    "load",
    "load_checkpoint",
    "load_othello_gpt",
    "save_checkpoint",
    "write_manifest",
]
