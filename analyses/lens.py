"""At which depth does a model turn to the language that it must answer in, and who writes the answer?

Each layer's state is read as if the model stopped there: by its own last norm and unembedding (logit lens, full curves), and
with an affine translator before them, fitted on other games to the model's own prediction (tuned lens, dashes). First row:
the probability of tokens of the language to answer in, of all other languages' tokens, and of the anchors, which belong to
all. Second row: of tokens that begin a legal move, in any language's words. Third row: the entropy of that prediction, and
how far it is from what the model says in the end (KL). Last rows: direct logit attribution: what each head (rings, from layer
0 on the left) and each MLP (squares) adds to the answer straight away, at the scale that the last norm has in the run: to the
tokens of legal moves over those of other empty squares, and to those of the language to answer in over the others. All are
means over both languages.

What is seen: the naive model's states speak the language to answer in from layer 0 on; with four anchors they waver between
the languages up to layer 1 and turn at layers 2 and 3, where the MLPs write the language and where patched states stop being
exchangeable (`patching`); a tuned lens reads the language off layer 0 already, so it is known there but not yet said. Under a
unified output there is one language to answer in, and legal moves come at the same depth as elsewhere.

What could fool it: a translator that knows more than the model (it is fitted to the model's answers alone, on other games; a
shift without a turn, `bias`, is in the summary), and an early answer that is the common prior over moves (the embeddings,
which know one move, show what that gives).
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import Checkpoint, random_games
from mothello_interp.lens import attribute, fit_translators, logit_lens
from mothello_interp.plots import COLOURS, LANGUAGES, add_curve, layer_axis, layer_name, panel_grid

_FIT, _SCORE, _ATTRIBUTE, _EPOCHS = 300, 150, 100, 4
_KINDS = {"identity": ("solid", 3.0), "affine": ("dash", 2.0)}
_ROWS = ("probability of a language", "legal mass", "nats", "to legal moves, logits",
         "to the language, logits")  # fmt: skip


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """The logit lens, plain and tuned ("lens"), and direct logit attribution ("direct"), in the first two languages."""
    fit, score = (random_games(n, board=checkpoint.spec.board, seed=seed) for n, seed in ((_FIT, 41), (_SCORE, 42)))
    languages = checkpoint.mothello.inputs[:2]
    tables = [logit_lens(checkpoint, score, languages=languages)]
    for kind in ("affine", "bias"):
        tuned = fit_translators(checkpoint, fit, kind=kind, languages=languages, epochs=_EPOCHS, seed=0)
        tables.append(logit_lens(checkpoint, score, languages=languages, translators=tuned))
    tables = [table.assign(part="lens") for table in tables]
    direct = attribute(checkpoint, score[:_ATTRIBUTE], languages=languages)
    component = direct["component"].map({name: place for place, name in enumerate(dict.fromkeys(direct["component"]))})
    direct = direct.rename(columns={"part": "part_of"}).assign(part="direct", place=component)
    return pd.concat([*tables, direct], ignore_index=True)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models."""
    return over_models("lens", measure, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime: languages, legal mass and divergence by layer, then components."""
    regimes = list(dict.fromkeys(table["regime"]))
    titles = [[LABELS[regime] for regime in regimes], *[[""] * len(regimes)] * (len(_ROWS) - 1)]
    drawing = panel_grid(titles, x="", y=list(_ROWS), shared=False)
    for column, regime in enumerate(regimes, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == table["seed"].min())]
        _lenses(drawing, here[here["part"] == "lens"], COLOURS[str(regime)], column)
        for row, contrast in ((4, "move"), (5, "language")):
            _components(drawing, here[(here["part"] == "direct") & (here["contrast"] == contrast)], row, column)
    for row in (1, 2, 3):
        layer_axis(drawing, table[table["part"] == "lens"]["layer"], row=row)
    drawing.update_xaxes(title_text="layer", row=3)
    for row in (1, 2):
        drawing.update_yaxes(range=[-0.03, 1.03], row=row)
    return drawing.update_layout(height=1500, margin_l=80)


def _lenses(drawing: go.Figure, lens: pd.DataFrame, colour: str, column: int) -> None:
    """Plain and tuned: whose tokens, how legal, how far from the answer."""
    for kind, (dash, width) in _KINDS.items():
        of = lens[lens["kind"] == kind]
        shared: dict[str, Any] = {"x": "layer", "column": column, "dash": dash, "width": width, "legend": column == 1}
        name = "logit lens" if kind == "identity" else "tuned lens"
        for label, shade, rows in _owners(of, colour):
            summed = rows.groupby(["language", "layer"], as_index=False)["mass"].sum()
            means = summed.groupby("layer", as_index=False)["mass"].mean()
            add_curve(drawing, means, y="mass", name=f"{label}, {name}", colour=shade, row=1, **shared)
        legal = of.groupby(["language", "layer"], as_index=False)["legal_mass"].sum()
        means = legal.groupby("layer", as_index=False)["legal_mass"].mean()
        add_curve(
            drawing,
            means,
            y="legal_mass",
            name=f"legal in any words, {name}",
            colour=COLOURS["ceiling"],
            row=2,
            **shared,
        )
        spoken = of[of["speaks"].astype(bool)]
        said = spoken.groupby("layer", as_index=False)[["entropy", "kl", "kl_low", "kl_high"]].mean()
        sure: dict[str, Any] = {"name": f"entropy, {name}", "colour": COLOURS["antidiagonal"]}
        add_curve(drawing, said, y="entropy", row=3, **sure, **shared)
        far: dict[str, Any] = {"name": f"KL from the answer, {name}", "colour": COLOURS["half_turn"]}
        add_curve(drawing, said, y="kl", row=3, band=("kl_low", "kl_high"), **far, **shared)


def _owners(lens: pd.DataFrame, colour: str) -> list[tuple[str, str, pd.DataFrame]]:
    """Rows of the language to answer in, of the others, and of the anchors."""
    speaks, shared = lens["speaks"].astype(bool), lens["answer"] == -1
    return [
        ("its own language", colour, lens[speaks]),
        ("other languages", LANGUAGES[4], lens[~speaks & ~shared]),
        ("anchors", COLOURS["zero"], lens[shared]),
    ]


def _components(drawing: go.Figure, direct: pd.DataFrame, row: int, column: int) -> None:
    """What each head and MLP adds, in their order."""
    means = direct.groupby(["place", "component", "part_of", "layer"], as_index=False)[["value", "low", "high"]].mean()
    shared: dict[str, Any] = {"x": "place", "y": "value", "width": 0, "markers": True, "row": row, "column": column}
    for place, (part, label, symbol) in enumerate((("head", "heads", "circle-open"), ("mlp", "MLPs", "square"))):
        rows = means[means["part_of"] == part]
        add_curve(drawing, rows, name=label, colour=LANGUAGES[place], symbol=symbol, hover=("component", "low", "high"),
                  legend=row == 4 and column == 1, **shared)  # fmt: skip
    ticks = means[means["part_of"] == "mlp"]
    drawing.update_xaxes(
        tickvals=ticks["place"], ticktext=[f"MLP {layer:.0f}" for layer in ticks["layer"]], row=row, col=column
    )
    drawing.add_hline(y=0, line={"color": "#999999", "width": 1}, row=row, col=column)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By layer and lens: whose language, how legal, how sure; and the component that adds most to each contrast."""
    rows = []
    lenses = table[table["part"] == "lens"]
    for (regime, seed, layer, kind), group in lenses.groupby(["regime", "seed", "layer", "kind"], sort=False):
        masses = [
            rows.groupby("language")["mass"].sum().mean() if len(rows) else 0.0 for *_, rows in _owners(group, "")
        ]
        row: dict[str, Any] = {
            "regime": LABELS[str(regime)],
            "seed": seed,
            "layer": layer_name(int(str(layer))),
            "lens": kind,
        }
        row |= dict(zip(("own language", "other languages", "anchors"), masses, strict=True))
        row |= {"legal mass": group.groupby("language")["legal_mass"].sum().mean(), "entropy": group["entropy"].mean()}
        row |= {"KL": group["kl"].mean()}
        direct = table[(table["part"] == "direct") & (table["regime"] == regime) & (table["seed"] == seed)]
        at = direct[direct["layer"] == layer]
        for contrast, called in (("move", "to moves"), ("language", "to the language")):
            values = at[at["contrast"] == contrast].groupby("component")["value"].mean()
            row[f"{called}, this block"] = values.sum()
        rows.append(row)
    return pd.DataFrame(rows)
