"""Logit lens, tuned lens and direct logit attribution: at which depth the output language appears."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._tables import leading, lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, LANGUAGES, Line, facet, layer_axis, layer_name

_KINDS = {"identity": ("logit lens", "solid", 3.0), "affine": ("tuned lens", "dash", 2.0)}
_OWNERS = {"own language": ("output language", ""), "other languages": ("other languages", LANGUAGES[4]),
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
    """A column a regime, by layer: the probability of each language's tokens, and of legal moves in any."""
    first = lowest_seed(where(table, part="lens"))
    drawing = facet(_by_layer(first), _lines(), x="layer", titles=LABELS)
    layer_axis(drawing, first["layer"])
    return drawing.update_yaxes(range=[-0.03, 1.03]).update_layout(height=620, margin_l=95)


def _by_layer(lens: pd.DataFrame) -> pd.DataFrame:
    """Mean over source languages: the mass of each owner's tokens (column owner), and the legal mass of all ("all")."""
    by = ["regime", "kind", "layer"]
    mass = _owned(lens).groupby([*by, "owner", "source"], sort=False)["mass"].sum()
    legal = lens.groupby([*by, "source"], sort=False)["legal_mass"].sum()
    masses = mass.groupby([*by, "owner"], sort=False).mean().reset_index()
    return pd.concat(
        [masses, legal.groupby(by, sort=False).mean().reset_index().assign(owner="all")], ignore_index=True
    )


def _lines() -> dict[str, list[Line]]:
    """Whose tokens and how legal, by the plain and the tuned lens."""
    masses, legal = [], []
    for kind, (name, dash, width) in _KINDS.items():
        look: dict[str, Any] = {"dash": dash, "width": width}
        of = {owner: {"kind": kind, "owner": owner} for owner in (*_OWNERS, "all")}
        masses += [Line("mass", f"{label}, {name}", c, of[owner], **look) for owner, (label, c) in _OWNERS.items()]
        legal.append(Line("legal_mass", f"legal moves, {name}", COLOURS["ceiling"], of["all"], **look))
    return {"probability of<br>a language's tokens": masses, "probability of<br>legal moves": legal}


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By regime, lens and layer: whose tokens, legal moves, divergence from the prediction, and what the heads and the MLP of this
    block add to legal moves and to the output language, in logits."""
    direct = where(table, part="direct").groupby(["regime", "seed", "layer", "contrast", "component"])["value"].mean()
    blocks = direct.groupby(["regime", "seed", "layer", "contrast"]).sum()

    def row(group: pd.DataFrame) -> dict[str, Any]:
        regime, seed, layer = group[["regime", "seed", "layer"]].iloc[0]
        mass = _owned(group).groupby(["owner", "source"])["mass"].sum().groupby("owner").mean()
        return {
            "output language": mass.get("own language", 0.0),
            "other languages": mass.get("other languages", 0.0),
            "legal moves": group.groupby("source")["legal_mass"].sum().mean(),
            "KL": group["kl"].mean(),
            "added to the language": blocks.get((regime, seed, layer, "language"), 0.0),
            "added to legal moves": blocks.get((regime, seed, layer, "move"), 0.0),
            "anchors": mass.get("anchors", 0.0),
            "entropy": group["entropy"].mean(),
        }

    found = summary(lowest_seed(where(table, part="lens")), ["regime", "kind", "layer", "seed"], row)
    names = {"identity": "logit", "affine": "tuned", "bias": "tuned, bias only"}
    found = found.assign(lens=found["kind"].map(names), layer=found["layer"].map(layer_name))
    return leading(found.drop(columns=["kind", "seed"]), "regime", "lens", "layer")
