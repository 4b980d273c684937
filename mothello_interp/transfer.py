"""Cross-lingual transfer: what a model that is being fine-tuned in one language still knows in the others.

The paper's measure is top-1 legality in the target's own tokens. A target whose curve collapses may have lost the game,
or only its tongue: it may play legally, but answer in the source's words. So legality in ANY language's words stands
beside it, and where the probability of the next token goes.
"""

from typing import Any

import numpy as np
import pandas as pd

from mothello_interp.activations import collect, paper_layer
from mothello_interp.alignment import align
from mothello_interp.legality import answer_masses, next_moves
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, replay
from mothello_interp.probes import fit_probes_on


def transfer_state(checkpoint: Checkpoint, *, source: int, fit: Games, score: Games, seed: int) -> pd.DataFrame:
    """Legality and alignment of every language at one moment of a fine-tuning in the source language.

    Args:
        checkpoint: the model at that moment.
        source: the language that it is fine-tuned in.
        fit: games to fit the source's probe on, anew at each moment as in the paper (linear, relative frame, at
            `paper_layer`).
        score: other games, for everything that is measured.
        seed: of the probe.

    Returns:
        One row a language, all values from 0 to 1 over the proper prefixes of the games: language; top1, top1_any (the
        greedy next move is legal, in the words the language should be continued in, or in any language's);
        mass_own, mass_source, mass_anchors, mass_other (probability of the next token by the language it belongs to: the
        one to continue in, the source if that is another, shared tokens, all else);
        layer, alignment, low, high (accuracy of the source's probe in this language, 95% over games), floor, ceiling,
        normalised, and alignment_diagonal, alignment_antidiagonal, alignment_half_turn (read through each symmetry).
    """
    mothello = checkpoint.mothello
    layer = paper_layer(checkpoint.spec.model.n_layers)
    rows = collect(checkpoint, fit, layers=[layer], languages=[source])
    probes = fit_probes_on(rows, kind="linear", frame="relative", seed=seed)
    aligned = align(probes, checkpoint, score, targets=mothello.inputs)
    legal = replay(score).legal[:, 1:-1]
    goes_on = score.moves[:, 1:] >= 0
    everyone = range(len(mothello.languages))
    table = []
    for language in mothello.inputs:
        row: dict[str, Any] = {"language": language}
        for name, answers in (("top1", None), ("top1_any", everyone)):
            named = next_moves(checkpoint, score, language, answers=answers)[:, :-1]
            hit = np.take_along_axis(legal, np.maximum(named, 0)[..., None], 2)[..., 0] & (named >= 0)
            row[name] = float(hit[goes_on].mean())
        row |= _masses(checkpoint, score, language, source)
        here = aligned[aligned["target"] == language].set_index("symmetry")
        plain = here.loc["identity"]
        row |= {"layer": layer, "alignment": plain["accuracy"]}
        row |= {name: plain[name] for name in ("low", "high", "floor", "ceiling", "normalised")}
        row |= {f"alignment_{name}": value for name, value in here["accuracy"].items() if name != "identity"}
        table.append(row)
    return pd.DataFrame(table)


def _masses(checkpoint: Checkpoint, games: Games, language: int, source: int) -> dict[str, float]:
    mothello = checkpoint.mothello
    masses = answer_masses(checkpoint, games, language)[:, :-1][games.moves[:, 1:] >= 0].mean(axis=0)
    own, giver = mothello.output_of(language), mothello.output_of(source)
    rest = [spoken for spoken in range(len(mothello.languages)) if spoken not in (own, giver)]
    return {
        "mass_own": float(masses[own]),
        "mass_source": float(masses[giver]) if giver != own else 0.0,
        "mass_anchors": float(masses[-1]),
        "mass_other": float(masses[rest].sum()),
    }
