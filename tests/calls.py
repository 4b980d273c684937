"""A call of every public measure, on a tiny checkpoint."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

from mothello_interp import (
    align,
    attention_overlap,
    collect,
    compare,
    direct_logit_attribution,
    edit_effect,
    edited_boards,
    fine_tune_preference,
    fit_maps,
    fit_probes,
    fit_tuned_lens,
    interchange,
    legal_accuracy,
    linear_cka,
    logit_lens,
    move_preferences,
    patch_grid,
    random_games,
    transfer_state,
    transplant,
    truncate_games,
)
from mothello_interp.grids import attribution_grid
from mothello_interp.identity import language_identity
from mothello_interp.interventions import FlipSquares, random_like
from mothello_interp.models import Checkpoint, build_model
from mothello_interp.similarity import pwcca, rbf_cka
from tests.conftest import tiny_checkpoint, tiny_spec

GAMES, OTHERS = random_games(60, board=4, seed=1), random_games(20, board=4, seed=2)
MANY = random_games(90, board=4, seed=3)
SHORT = truncate_games(GAMES, 12, seed=0)


def probes(m: Checkpoint, kind: Any = "linear") -> Any:
    return fit_probes(m, GAMES, kind=kind, epochs=1, batch=64, seed=0)


def flipped(m: Checkpoint, kind: str) -> np.ndarray:
    edit = FlipSquares(probes=probes(m, kind), squares="a1", layer=0)
    return m.read(SHORT, 0).edited(random_like(edit, seed=0), edit, allow_no_effect=True).final_moves()


def edited(m: Checkpoint, boards: Any) -> pd.DataFrame:
    return edit_effect(m.read(boards.games, 0), boards, probes(m), resamples=10)


def final_logit(logits: torch.Tensor) -> torch.Tensor:
    return logits[0, -1, 3]


def rows(m: Checkpoint) -> tuple[torch.Tensor, torch.Tensor]:
    found = collect(m, OTHERS)
    return found.at(0, 1), found.at(1, 1)


def tokens(m: Checkpoint) -> tuple[torch.Tensor, torch.Tensor]:
    return m.tokens(SHORT[:1], 0)[:, :5], m.tokens(SHORT[1:2], 0)[:, :5]


CALLS: dict[str, Callable[[Checkpoint], Any]] = {
    "build_model": lambda m: dict(build_model(tiny_spec(), seed=0).named_parameters()),
    "states": lambda m: m.read(OTHERS, 0).states(1),
    "next_moves": lambda m: tiny_checkpoint("split").read(OTHERS, 0).next_moves(),
    "greedy_moves": lambda m: tiny_checkpoint("split").read(OTHERS, 0).greedy_moves(),
    "collect": lambda m: collect(m, OTHERS).values,
    "probes": lambda m: [probes(m, kind).weights for kind in ("linear", "mlp")],
    "align": lambda m: align(probes(m), m, OTHERS, resamples=10),
    "language_identity": lambda m: language_identity(
        collect(m, GAMES[:10]), collect(m, random_games(9, board=4, seed=9))
    ),
    "flip": lambda m: [flipped(m, kind) for kind in ("linear", "mlp")],
    "edit_effect": lambda m: edited(m, edited_boards(GAMES, 5, seed=0)),
    "lens": lambda m: logit_lens(m.readings(OTHERS), lens=fit_tuned_lens(collect(m, GAMES), m.model, epochs=1)),
    "attention": lambda m: attention_overlap(*m.readings(OTHERS), resamples=10),
    "attribution": lambda m: direct_logit_attribution(m.readings(OTHERS), resamples=10),
    "legality": lambda m: legal_accuracy(m.readings(OTHERS)),
    "interchange": lambda m: interchange(*m.readings(SHORT), resamples=10),
    "transplant": lambda m: transplant(*m.readings(SHORT), resamples=10),
    "patch_grid": lambda m: patch_grid(m.model, *tokens(m), final_logit),
    "attribution_grid": lambda m: attribution_grid(m.model, *tokens(m), final_logit),
    "maps": lambda m: fit_maps(collect(m, GAMES), 1).apply(rows(m)[0], 1, source=0),
    "cka": lambda m: [measure(*rows(m)) for measure in (linear_cka, rbf_cka, pwcca)],
    "compare": lambda m: compare(collect(m, MANY), 0, collect(m, MANY), 1, permutations=3),
    "preference": lambda m: (
        move_preferences(
            fine_tune_preference(m, np.linspace(0, 1, 16), language=0, games=8, batch=4, seed=0), OTHERS
        ).logs
    ),
    "transfer_state": lambda m: transfer_state(m, source=0, fit=GAMES, score=OTHERS, seed=0),
}
