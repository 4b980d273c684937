"""mothello-interp: when and how does a model's representation become independent of the language it is written in?

The names below are imported when they are first used, so that the world and the words work without loading torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mothello_interp.activations import Activations, collect
    from mothello_interp.alignment import align, align_by_move, align_on
    from mothello_interp.languages import (
        Atomic,
        Compositional,
        Image,
        Mothello,
        Split,
        read_authors_config,
        register_language,
    )
    from mothello_interp.legality import legal_accuracy
    from mothello_interp.lens import logit_lens
    from mothello_interp.maps import fit_maps
    from mothello_interp.models import Checkpoint, ModelSpec, load
    from mothello_interp.othello import SYMMETRIES, Games, random_games, read_wthor, replay, wthor_records
    from mothello_interp.patching import interchange, minimal_pairs, patch_grid, recovery, transplant
    from mothello_interp.preferences import carried_over, choices, teach
    from mothello_interp.probes import Probes, fit_probes
    from mothello_interp.similarity import compare, linear_cka
    from mothello_interp.symmetries import align_up_to_symmetry, compare_symmetries, cycle_consistency_test
    from mothello_interp.transfer import transfer_state

_HOME = {
    "othello": ("Games", "random_games", "read_wthor", "replay", "wthor_records", "SYMMETRIES"),
    "languages": ("Atomic", "Compositional", "Image", "Mothello", "Split", "read_authors_config", "register_language"),
    "models": ("Checkpoint", "ModelSpec", "load"),
    "legality": ("legal_accuracy",),
    "lens": ("logit_lens",),
    "activations": ("Activations", "collect"),
    "probes": ("Probes", "fit_probes"),
    "alignment": ("align", "align_by_move", "align_on"),
    "symmetries": ("align_up_to_symmetry", "compare_symmetries", "cycle_consistency_test"),
    "maps": ("fit_maps",),
    "similarity": ("compare", "linear_cka"),
    "patching": ("interchange", "minimal_pairs", "patch_grid", "recovery", "transplant"),
    "transfer": ("transfer_state",),
    "preferences": ("carried_over", "choices", "teach"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "SYMMETRIES",
    "Activations",
    "Atomic",
    "Checkpoint",
    "Compositional",
    "Games",
    "Image",
    "ModelSpec",
    "Mothello",
    "Probes",
    "Split",
    "align",
    "align_by_move",
    "align_on",
    "align_up_to_symmetry",
    "carried_over",
    "choices",
    "collect",
    "compare",
    "compare_symmetries",
    "cycle_consistency_test",
    "fit_maps",
    "fit_probes",
    "interchange",
    "legal_accuracy",
    "linear_cka",
    "load",
    "logit_lens",
    "minimal_pairs",
    "patch_grid",
    "random_games",
    "read_authors_config",
    "read_wthor",
    "recovery",
    "register_language",
    "replay",
    "teach",
    "transfer_state",
    "transplant",
    "wthor_records",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
