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

from analyses._models import LABELS, Checkpoint
from analyses._tables import lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, LANGUAGES, Line, add_lines, facet, layer_axis, layer_name

_KINDS = {"identity": ("logit lens", "solid", 3.0), "affine": ("tuned lens", "dash", 2.0)}
_OWNERS = {"own language": ("its own language", ""), "other languages": ("other languages", LANGUAGES[4]),
           "anchors": ("anchors", COLOURS["floor"])}  # fmt: skip


def measure(
    checkpoint: Checkpoint, *, fit: int = 300, score: int = 150, attributed: int = 100, epochs: int = 4
) -> pd.DataFrame:
    """The logit lens, plain and tuned ("lens"), and direct logit attribution ("direct"), in the first two languages."""
    from mothello_interp.activations import collect
    from mothello_interp.attribution import direct_logit_attribution
    from mothello_interp.lens import fit_tuned_lens, logit_lens

    fitted, scored = (random_games(n, board=checkpoint.spec.board, seed=seed) for n, seed in ((fit, 41), (score, 42)))
    languages = checkpoint.mothello.inputs[:2]
    rows, readings = collect(checkpoint, fitted, languages=languages), checkpoint.readings(scored, languages)
    tables = [logit_lens(readings)]
    for kind in ("affine", "bias"):
        tuned = fit_tuned_lens(rows, checkpoint.model, kind=kind, epochs=epochs, seed=0)
        tables.append(logit_lens(readings, tuned))
    tables = [table.assign(part="lens") for table in tables]
    direct = direct_logit_attribution(checkpoint.readings(scored[:attributed], languages))
    place = pd.Series(pd.factorize(direct["component"])[0], direct.index)
    direct = direct.rename(columns={"part": "part_of"}).assign(part="direct", place=place)
    return pd.concat([*tables, direct], ignore_index=True)


def _owned(lens: pd.DataFrame) -> pd.DataFrame:
    """Column owner: whose tokens a row is about, of the language to answer in, the others, or all."""
    owner = lens["is_output"].astype(bool).map({True: "own language", False: "other languages"})
    return lens.assign(owner=owner.mask(~lens["is_output"].astype(bool) & (lens["target"] == -1), "anchors"))


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime: languages, legal mass and divergence by layer, then components."""
    first = lowest_seed(table)
    rows = {**_lines(), "to legal moves, logits": [], "to the language, logits": []}
    drawing = facet(_by_layer(where(first, part="lens")), rows, x="layer", label="", titles=LABELS, shared=False)
    for column, (_, direct) in enumerate(where(first, part="direct").groupby("regime", sort=False), 1):
        for row, contrast in ((4, "move"), (5, "language")):
            _components(drawing, where(direct, contrast=contrast), row, column)
    for row in (1, 2, 3):
        layer_axis(drawing, where(table, part="lens")["layer"], row=row)
    drawing.update_xaxes(title_text="layer", row=3)
    for row in (1, 2):
        drawing.update_yaxes(range=[-0.03, 1.03], row=row)
    return drawing.update_layout(height=1500, margin_l=80)


def _by_layer(lens: pd.DataFrame) -> pd.DataFrame:
    """Sums over answers, means over languages: of the mass of each owner (kept apart by column owner), of the legal mass of all
    ("all"), and of how sure the prediction is ("own language")."""
    by, columns = ["regime", "kind", "layer"], ["entropy", "kl", "kl_low", "kl_high"]
    owned = _owned(lens)
    mass = owned.groupby([*by, "owner", "source"], sort=False)["mass"].sum()
    legal = lens.groupby([*by, "source"], sort=False)["legal_mass"].sum()
    sure = where(owned, owner="own language").groupby(by, sort=False)[columns].mean().reset_index()
    masses = mass.groupby([*by, "owner"], sort=False).mean().reset_index()
    masses = masses.merge(sure.assign(owner="own language"), how="left", on=[*by, "owner"])
    return pd.concat(
        [masses, legal.groupby(by, sort=False).mean().reset_index().assign(owner="all")], ignore_index=True
    )


def _lines() -> dict[str, list[Line]]:
    """Whose tokens, how legal, and how sure and how far from the answer, by the plain and the tuned lens."""
    masses, legal, nats = [], [], []
    for kind, (name, dash, width) in _KINDS.items():
        look: dict[str, Any] = {"dash": dash, "width": width}
        of = {owner: {"kind": kind, "owner": owner} for owner in (*_OWNERS, "all")}
        masses += [Line("mass", f"{label}, {name}", c, of[owner], **look) for owner, (label, c) in _OWNERS.items()]
        legal.append(Line("legal_mass", f"legal in any words, {name}", COLOURS["ceiling"], of["all"], **look))
        own: dict[str, Any] = {"rows": of["own language"], **look}
        nats.append(Line("entropy", f"entropy, {name}", COLOURS["antidiagonal"], **own))
        nats.append(Line("kl", f"KL from the answer, {name}", COLOURS["half_turn"], band=("kl_low", "kl_high"), **own))
    return {"probability of a language": masses, "legal mass": legal, "nats": nats}


def _components(drawing: go.Figure, direct: pd.DataFrame, row: int, column: int) -> None:
    """What each head and MLP adds, in their order."""
    means = direct.groupby(["place", "component", "part_of", "layer"], as_index=False)[["value", "low", "high"]].mean()
    hover = ("component", "low", "high")
    lines = [
        Line("value", label, LANGUAGES[place], {"part_of": part}, width=0, symbol=symbol, hover=hover)
        for place, (part, label, symbol) in enumerate((("head", "heads", "circle-open"), ("mlp", "MLPs", "square")))
    ]
    add_lines(drawing, means, lines, x="place", row=row, column=column)
    ticks = where(means, part_of="mlp")
    names = [f"MLP {layer:.0f}" for layer in ticks["layer"]]
    drawing.update_xaxes(tickvals=ticks["place"], ticktext=names, row=row, col=column)
    drawing.add_hline(y=0, line={"color": "#999999", "width": 1}, row=row, col=column)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By layer and lens: whose language, how legal, how sure; and the component that adds most to each contrast."""
    direct = where(table, part="direct").groupby(["regime", "seed", "layer", "contrast", "component"])["value"].mean()
    blocks = direct.groupby(["regime", "seed", "layer", "contrast"]).sum()

    def row(group: pd.DataFrame) -> dict[str, Any]:
        regime, seed, layer = group[["regime", "seed", "layer"]].iloc[0]
        mass = _owned(group).groupby(["owner", "source"])["mass"].sum().groupby("owner").mean()
        legal = group.groupby("source")["legal_mass"].sum().mean()
        return {
            "layer": layer_name(int(layer)),
            **{owner: mass.get(owner, 0.0) for owner in _OWNERS},
            "legal mass": legal,
            "entropy": group["entropy"].mean(),
            "KL": group["kl"].mean(),
            "to moves, this block": blocks.get((regime, seed, layer, "move"), 0.0),
            "to the language, this block": blocks.get((regime, seed, layer, "language"), 0.0),
        }

    return summary(where(table, part="lens"), ["regime", "seed", "layer", "kind"], row).rename(columns={"kind": "lens"})
