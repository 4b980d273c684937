"""What the paper's matrices show: every language's probe read in every language, with the paper's probe at its layer."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mothello_interp import Checkpoint, random_games
from mothello_interp.activations import collect, paper_layer
from mothello_interp.alignment import align_on
from mothello_interp.plots import add_heatmap
from mothello_interp.probes import fit_probes_on

FIT, SCORE = 1000, 200


def measure_matrix(checkpoint: Checkpoint) -> pd.DataFrame:
    """`align_on` with MLP probes on white / empty / black, three quarters up, of all pairs and the four symmetries."""
    layer, board = paper_layer(checkpoint.spec.model.n_layers), checkpoint.spec.board
    fitted = collect(checkpoint, random_games(FIT, board=board, seed=71), layers=[layer])
    probes = fit_probes_on(fitted, kind="mlp", frame="absolute", seed=0)
    rows = collect(checkpoint, random_games(SCORE, board=board, seed=72), layers=[layer])
    columns = [
        "layer",
        "source",
        "target",
        "symmetry",
        "accuracy",
        "low",
        "high",
        "majority",
        "predicted",
        "floor",
        "ceiling",
    ]
    return align_on(probes, rows, resamples=200)[[*columns, "normalised", "games"]]


def draw_matrix(
    figure: go.Figure, values: pd.DataFrame, order: list[int], *, row: int, column: int, text: bool
) -> None:
    """One panel of accuracies, languages in the given order; the scale is that of the paper's values."""
    place = {language: index for index, language in enumerate(order)}
    cells = values.assign(source=values["source"].map(place), target=values["target"].map(place))
    add_heatmap(figure, cells, x="target", y="source", z="accuracy", limits=(0.4, 1.0), row=row, column=column,
                text=text, title="row: language of the probe", diverging=False)  # fmt: skip
    names = [str(language) for language in order]
    where = {"row": row, "col": column}
    figure.update_xaxes(tickvals=list(range(len(order))), ticktext=names, showgrid=False, **where)
    figure.update_yaxes(tickvals=list(range(len(order))), ticktext=names, autorange="reversed", showgrid=False, **where)


def clustered(symmetry: pd.DataFrame) -> list[list[int]]:
    """Languages in clusters of those that the identity relates, the largest cluster first.

    Args:
        symmetry: the map of each pair, indexed by source, a column a target; "none" where there is none.
    """
    from sklearn.cluster import AgglomerativeClustering

    apart = (symmetry != "identity").to_numpy(float)
    apart = np.maximum(apart, apart.T) * (1 - np.eye(len(apart)))
    found = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=0.5)
    label = found.fit_predict(apart)
    clusters = [[int(language) for language in symmetry.index[label == one]] for one in np.unique(label)]
    return sorted(clusters, key=lambda cluster: (-len(cluster), cluster))
