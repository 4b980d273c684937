"""Cross-lingual transfer: what a model that is being fine-tuned in one language still knows in the others.

The paper's measure is top-1 legality in the target's own tokens. When target accuracy collapses, the model may have lost the
task or only the output language (language confusion): it may play legally in the source's tokens. So legality in ANY
language's tokens is reported with it, and where the probability of the next token goes.
"""

from typing import Any

import pandas as pd

from mothello_interp.activations import collect, paper_layer
from mothello_interp.alignment import align
from mothello_interp.arguments import checked
from mothello_interp.legality import top1
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games
from mothello_interp.probes import fit_probes_on
from mothello_interp.reading import Reading


@checked
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
        greedy next move is legal, in the output language's tokens, or in any language's);
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
    followed = score.moves[:, 1:] >= 0
    table = []
    for reading in checkpoint.readings(score):
        language = reading.language
        row: dict[str, Any] = {"language": language}
        for name, outputs in (("top1", None), ("top1_any", range(len(mothello.languages)))):
            row[name] = float(top1(reading, outputs)[:, :-1][followed].mean())
        row |= _masses(reading, source)
        here = aligned[aligned["target"] == language].set_index("symmetry")
        plain = here.loc["identity"]
        row |= {"layer": layer, "alignment": plain["accuracy"]}
        row |= {name: plain[name] for name in ("low", "high", "floor", "ceiling", "normalised")}
        row |= {f"alignment_{name}": value for name, value in here["accuracy"].items() if name != "identity"}
        table.append(row)
    return pd.DataFrame(table)


def _masses(reading: Reading, source: int) -> dict[str, float]:
    mothello, own = reading.checkpoint.mothello, reading.output
    masses = reading.output_language_mass()[:, :-1][reading.games.moves[:, 1:] >= 0].mean(axis=0)
    source = mothello.output_of(source)
    rest = [language for language in range(len(mothello.languages)) if language not in (own, source)]
    return {
        "mass_own": float(masses[own]),
        "mass_source": float(masses[source]) if source != own else 0.0,
        "mass_anchors": float(masses[-1]),
        "mass_other": float(masses[rest].sum()),
    }
