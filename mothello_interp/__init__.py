"""mothello-interp: when and how does a model's representation become independent of the language it is written in?

The names below are imported when they are first used, so that the world and the words work without loading torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mothello_interp.activations import Activations, collect
    from mothello_interp.alignment import align, align_by_move, align_up_to_symmetry
    from mothello_interp.languages import Atomic, Compositional, Mothello, Split, register_language
    from mothello_interp.legality import legal_accuracy
    from mothello_interp.models import Checkpoint, ModelSpec, load
    from mothello_interp.othello import SYMMETRIES, Games, random_games, replay
    from mothello_interp.patching import minimal_pairs, patch_grid, recovery
    from mothello_interp.probes import Probes, fit_probes
    from mothello_interp.similarity import compare, linear_cka

_HOME = {
    "othello": ("Games", "random_games", "replay", "SYMMETRIES"),
    "languages": ("Atomic", "Compositional", "Mothello", "Split", "register_language"),
    "models": ("Checkpoint", "ModelSpec", "load"),
    "legality": ("legal_accuracy",),
    "activations": ("Activations", "collect"),
    "probes": ("Probes", "fit_probes"),
    "alignment": ("align", "align_by_move", "align_up_to_symmetry"),
    "similarity": ("compare", "linear_cka"),
    "patching": ("minimal_pairs", "patch_grid", "recovery"),
    "transfer": ("transfer_state",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "SYMMETRIES",
    "Activations",
    "Atomic",
    "Checkpoint",
    "Compositional",
    "Games",
    "ModelSpec",
    "Mothello",
    "Probes",
    "Split",
    "align",
    "align_by_move",
    "align_up_to_symmetry",
    "collect",
    "compare",
    "fit_probes",
    "legal_accuracy",
    "linear_cka",
    "load",
    "minimal_pairs",
    "patch_grid",
    "random_games",
    "recovery",
    "register_language",
    "replay",
    "transfer_state",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
