from .activations import Activations, collect
from .alignment import align, align_by_move, align_on
from .attention import attention_overlap
from .attribution import direct_logit_attribution
from .comparison import compare
from .effects import edit_effect, edited_boards
from .forward import NoEffectError
from .languages import Atomic, Compositional, Mothello, Relabelled, Split, read_authors_config, register_language
from .legality import legal_accuracy
from .lens import fit_tuned_lens, logit_lens
from .maps import fit_maps
from .models import Checkpoint, ModelSpec, bundled, load, load_othello_gpt
from .othello import SYMMETRIES, Games, random_games, read_wthor, replay, wthor_records
from .pairs import minimal_pairs, truncate_games
from .patching import interchange, patch_grid, recovery, transplant
from .preferences import fine_tune_preference, move_preferences, transferred_preference
from .probes import Probes, fit_probes
from .reading import Reading
from .similarity import linear_cka
from .storage import read_activations, write_activations
from .symmetries import align_up_to_symmetry, compare_symmetries, cycle_consistency_test
from .transfer import transfer_state

__all__ = [
    "SYMMETRIES",
    "Activations",
    "Atomic",
    "Checkpoint",
    "Compositional",
    "Games",
    "ModelSpec",
    "Mothello",
    "NoEffectError",
    "Probes",
    "Reading",
    "Relabelled",
    "Split",
    "align",
    "align_by_move",
    "align_on",
    "align_up_to_symmetry",
    "attention_overlap",
    "bundled",
    "collect",
    "compare",
    "compare_symmetries",
    "cycle_consistency_test",
    "direct_logit_attribution",
    "edit_effect",
    "edited_boards",
    "fine_tune_preference",
    "fit_maps",
    "fit_probes",
    "fit_tuned_lens",
    "interchange",
    "legal_accuracy",
    "linear_cka",
    "load",
    "load_othello_gpt",
    "logit_lens",
    "minimal_pairs",
    "move_preferences",
    "patch_grid",
    "random_games",
    "read_activations",
    "read_authors_config",
    "read_wthor",
    "recovery",
    "register_language",
    "replay",
    "transfer_state",
    "transferred_preference",
    "transplant",
    "truncate_games",
    "write_activations",
    "wthor_records",
]
