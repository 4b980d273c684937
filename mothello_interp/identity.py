"""Language identity: how well the language of a row is decoded from it."""

import numpy as np
import pandas as pd
from einops import rearrange

from mothello_interp.activations import Activations
from mothello_interp.arguments import checked
from mothello_interp.forward import hook_name
from mothello_interp.stats import Bootstrap, per_game

_ROWS = 4000  # of each language, to fit on


@checked
def language_identity(fit: Activations, score: Activations, *, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """How well a logistic regression decodes the language of a row, at each layer.

    Args:
        fit: rows to fit on, 4000 of each language at most.
        score: rows of other games, of the same languages and layers.
        resamples: bootstrap resamples over games.
        seed: of the choice of rows and of the bootstrap.

    Returns:
        One row per layer: layer, hook, accuracy (0 to 1), low, high (95% over games), chance, games.

    Raises:
        ValueError: for fewer than two languages, other languages or layers to score, or a game in both.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    languages = fit.languages
    if len(languages) < 2 or (languages, fit.layers) != (score.languages, score.layers):
        raise ValueError(
            f"fitted on languages {languages} at layers {fit.layers}, to be scored on {score.languages} at "
            f"{score.layers}: collect the same of both, two languages or more"
        )
    if score.games.among(fit.games).any():
        raise ValueError("a game to fit on is also one to score on: take other games")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(fit.game))[:_ROWS])
    sizes = np.bincount(score.game, minlength=len(score.games))
    bootstrap = Bootstrap(len(sizes), resamples, rng)
    table = []
    for place, layer in enumerate(fit.layers):
        known = rearrange(fit.values[:, place, chosen], "language row d_model -> (language row) d_model").numpy()
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        probe.fit(known, np.repeat(languages, len(chosen)))
        right = np.mean([probe.predict(score.at(spoken, layer).numpy()) == spoken for spoken in languages], axis=0)
        low, high = bootstrap.interval(per_game(right, score.game, len(sizes)), sizes)
        row = {"layer": layer, "hook": hook_name(layer), "accuracy": right.mean(), "low": low, "high": high}
        table.append({**row, "chance": 1 / len(languages), "games": len(sizes)})
    return pd.DataFrame(table)
