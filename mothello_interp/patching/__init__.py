"""Activation patching, within a model and between its languages: what is not only readable but used.

`patch_grid` is the plain instrument: a clean run's activation, put into a corrupted run at one layer and position. Three
experiments ask the cross-lingual question with it, in runs of a *base* language that are given states of a *donor*:
`recovery` (two games that differ in one move: how much of the clean prediction returns?), `interchange` (the same game:
how much of a right prediction stays?) and `transplant` (another game: whose legal moves are predicted, in whose words?).
"""

from mothello_interp.activations import HOOKS
from mothello_interp.patching.attribution import attribution_grid, attribution_heads
from mothello_interp.patching.exchange import interchange
from mothello_interp.patching.grid import patch_grid, patch_heads, patch_heads_everywhere
from mothello_interp.patching.metrics import kl, mass, mass_difference, recovered
from mothello_interp.patching.pairs import SHARED_AFTER, Pairs, cut, minimal_pairs
from mothello_interp.patching.recover import recovery
from mothello_interp.patching.runs import Runs
from mothello_interp.patching.transplants import transplant

__all__ = [
    "HOOKS",
    "SHARED_AFTER",
    "Pairs",
    "Runs",
    "attribution_grid",
    "attribution_heads",
    "cut",
    "interchange",
    "kl",
    "mass",
    "mass_difference",
    "minimal_pairs",
    "patch_grid",
    "patch_heads",
    "patch_heads_everywhere",
    "recovered",
    "recovery",
    "transplant",
]
