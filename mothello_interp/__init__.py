"""mothello-interp: interpretability for Multilingual Othello."""

from mothello_interp.languages import Atomic, Compositional, Mothello, Split, register_language
from mothello_interp.legality import legality
from mothello_interp.models import Checkpoint, ModelSpec, load
from mothello_interp.othello import SYMMETRIES, Games, random_games, replay

__all__ = [
    "SYMMETRIES",
    "Atomic",
    "Checkpoint",
    "Compositional",
    "Games",
    "ModelSpec",
    "Mothello",
    "Split",
    "legality",
    "load",
    "random_games",
    "register_language",
    "replay",
]
