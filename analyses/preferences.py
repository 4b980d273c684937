"""Does learning carry over through the map? A preference for squares, taught in one language, in all others

If naive languages share one code up to a symmetry of the board (`symmetry`), then what a model learns in one of them should
appear in the others, through that symmetry. So: draw a preference at random, a number for every square; train the model on
for a moment, in one language alone, to play the squares it prefers among the legal ones; and ask in every other language
which of the four images of the preference its choices now follow. Coefficient: the change of the legal moves'
log-probabilities, regressed on the four images at once; 1 is the whole preference. A dot is a language taught and another
asked: large and coloured, the image that probes had named beforehand, at layer 0 and on other games; small and grey, the
three others. Across: how far up the probe reads that image, from floor to ceiling. Lines: 95% over draws of the preference.

What is seen: what was taught arrives at the mirrored squares (coloured dots above grey ones, in most directions between
naive languages the named image first), and the more of it the better the pair is aligned. Naive languages lie on the same
rising line as languages with an anchor, which are aligned through the identity: the alignments differ in the map, not in
kind. Four anchors are the control with a known answer; two naive languages trained with Muon, which probes relate by no
image, are the null.

What could fool it: a model that merely prefers some squares everywhere (a preference is random, drawn anew six times; the
images are regressed on together, so that one cannot stand for another), a broken model (legal top-1 after teaching is in the
summary), maps chosen to fit (they are the probes', from before). It would be wrong if grey dots rose with the coloured
ones, or if learning carried over to a language that shares no code.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._maps import RAISED, named_maps
from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import SYMMETRIES, Checkpoint, random_games
from mothello_interp.plots import COLOURS, panel_grid
from mothello_interp.preferences import carried_over, teach

_MODELS = {
    "mini/two-atomic": "2 naive languages",
    "mini/four-atomic": "4 naive languages",
    "mini/five-atomic": "5 naive languages",
    "mini/twenty-atomic": "20 naive languages",
    "mini/five-atomic-off-diagonal": "5, one anchor off the diagonals",
    "mini/five-atomic-diagonal": "5, one anchor on the diagonal",
    "mini/atomic-atomic-anchors4": "anchors",
    "mini/atomic-atomic-anchors0": "naive",
}
_LANGUAGES = 5  # at most, of many
_DRAWS, _GAMES = 6, 200


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """`carried_over` of every draw from every language to every one of the first few, beside the probes' maps."""
    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[:_LANGUAGES]
    maps, score = named_maps(checkpoint, languages), random_games(_GAMES, board=board, seed=67)
    tables = []
    for source in languages:
        for draw in range(_DRAWS):
            preference = np.random.default_rng((draw, source)).normal(size=board**2)
            taught = teach(checkpoint, preference, language=source, seed=draw)
            table = carried_over(checkpoint, taught, preference, score, languages=languages, resamples=2)
            table = table.rename(columns={"language": "target"}).drop(columns=["low", "high"])
            tables.append(table.assign(source=source, draw=draw))
    return pd.concat(tables, ignore_index=True).merge(maps, on=["source", "target"])


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The stored rows: a model takes minutes."""
    return over_models("preferences", measure, _MODELS, zoo=zoo, compute=False)


def _pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over draws with its 95% interval, by model, pair and image; `is_named`: the image that the probes named."""
    keys = ["regime", "seed", "source", "target", "named", "normalised", "symmetry"]
    pairs = table.groupby(keys, sort=False)["coefficient"].agg(["mean", "sem"]).reset_index()
    pairs = pairs.assign(half=1.96 * pairs["sem"], is_named=pairs["symmetry"] == pairs["named"])
    return pairs.rename(columns={"mean": "coefficient"})


_WIDTH = 4  # panels in a row


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a regime: what carried over, by how far up the pair is aligned."""
    across = _pairs(table[table["source"] != table["target"]])
    regimes = [regime for regime in _MODELS.values() if regime in set(across["regime"])]
    rows = -(-len(regimes) // _WIDTH)
    titles = [LABELS.get(regime, regime) for regime in regimes] + [""] * (rows * _WIDTH - len(regimes))
    grid = [titles[start : start + _WIDTH] for start in range(0, len(titles), _WIDTH)]
    drawing = panel_grid(grid, x="alignment of the pair, read by probes, floor (0) to ceiling (1)", y="carried over")
    kinds = {"image that probes do not name": COLOURS["none"]} | {name: COLOURS[name] for name in SYMMETRIES}
    for place, regime in enumerate(regimes):
        here = across[across["regime"] == regime]
        for kind, colour in kinds.items():
            dots = (
                here[here["is_named"] & (here["symmetry"] == kind)] if kind in SYMMETRIES else here[~here["is_named"]]
            )
            drawing.add_scatter(
                x=dots["normalised"], y=dots["coefficient"], mode="markers", name=kind.replace("_", " "),
                error_y={"array": dots["half"], "thickness": 1, "width": 0} if kind in SYMMETRIES else None,
                marker={"color": colour, "size": 9 if kind in SYMMETRIES else 5}, legendgroup=kind, showlegend=place == 0,
                customdata=dots[["seed", "source", "target", "symmetry"]],
                hovertemplate="seed %{customdata[0]}: taught %{customdata[1]}, asked %{customdata[2]}<br>%{customdata[3]}"
                "<br>carried over %{y:.2f}, alignment %{x:.2f}<extra></extra>",
                row=place // _WIDTH + 1, col=place % _WIDTH + 1,
            )  # fmt: skip
    drawing.update_xaxes(range=[-0.05, 1.05]).update_yaxes(range=[-0.15, 0.8])
    return drawing.add_hline(y=0, line={"color": COLOURS["zero"], "width": 1})


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By model: in how many directions between aligned languages the named image is the one that carried over most (by chance
    one in four); means over all directions, and rank correlation of alignment and what carried over."""
    rows = []
    for (regime, seed), model in table.groupby(["regime", "seed"], sort=False):
        across, own = model[model["source"] != model["target"]], model[model["source"] == model["target"]]
        pairs = _pairs(across)
        named, others = pairs[pairs["is_named"]], pairs[~pairs["is_named"]]
        best = pairs.loc[pairs.groupby(["source", "target"])["coefficient"].idxmax()]
        best = best[best["normalised"] >= RAISED]
        rows.append({
            "regime": LABELS.get(str(regime), regime),
            "seed": seed,
            "aligned": f"{len(best)} of {len(named)}",
            "named image first": f"{int(best['is_named'].sum())} of {len(best)}",
            "carried over, named": named["coefficient"].mean(),
            "least": named["coefficient"].min(),
            "most": named["coefficient"].max(),
            "other images": others["coefficient"].mean(),
            "in the taught language": own[own["symmetry"] == "identity"]["coefficient"].mean(),
            "rank correlation": named["normalised"].corr(named["coefficient"], method="spearman") if len(named) > 2 else None,
            "legal after": across["top1"].mean(),
            "draws": across["draw"].nunique(),
        })  # fmt: skip
    return pd.DataFrame(rows)
