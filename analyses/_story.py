"""The page that tells the finding about symmetries to someone who has read the paper; every number is from a table."""

import html
from pathlib import Path

import pandas as pd

from analyses._page import PAGE, section
from analyses._runner import find

TITLE = "Naive languages align after all, each through a symmetry of the board"
_NEEDED = ("many_languages", "seeds", "symmetry", "preferences", "mixtures")
_OPENING = """<p>Hua, Yun and Pavlick (2024) train one model on many languages of Othello that share no token, learn a probe
of the board in one and apply it in another. Their matrix of twenty languages falls into four clusters. Within a cluster
a probe works as well abroad as at home (0.96 to 0.97); between clusters it scores one of exactly two values, 0.53 and 0.61.
Their conclusion: naive training does not bring all languages into one representation.</p>
<p>The start position has four symmetries: the identity, two reflections and the half turn. Random play is the same under all
four, so nothing in the data of languages without anchors says which of four ways the squares of one are the squares of
another. Four clusters are what ONE shared code would look like, if each language entered it through one of the four maps: a
probe then reads, in a language of another cluster, an image of the board. This page looks for that image.</p>
<p class="note">Our models are small (6x6, minutes on one core), and most of their naive languages align less fully than the
paper's; four that were trained longer, with more weight decay, nearly reach it, and one of six seeds of five. What can be
compared is which map, how surely, and whether the maps fit together.</p>
"""


def write_story(out: Path) -> Path | None:
    """Write `symmetries.html` beside the figures that it shows; None if one of them was not made, or by another version."""
    analyses = find()
    if not all((out / f"{name}.json").exists() for name in _NEEDED):
        return None
    try:
        texts = _texts({name: pd.read_csv(out / f"{name}-headline.csv") for name in _NEEDED})
    except KeyError:  # a headline of another version lacks what is told here
        return None
    sections = [section(analyses[name], out, title=title, text=text) for name, title, text in texts]
    page = out / "symmetries.html"
    page.write_text(
        PAGE.format(
            title=TITLE,
            plotly='<script src="plotly.min.js"></script>',
            heading=html.escape(TITLE),
            opening=_OPENING + '<p><a href="index.html">All figures</a></p>',
            sections="\n".join(sections) + _closing(pd.read_csv(out / "symmetry-headline.csv")),
        ),
        encoding="utf-8",
    )
    return page


def _texts(headlines: dict[str, pd.DataFrame]) -> list[tuple[str, str, str]]:
    """Analysis, title and text of every section."""
    told = {
        "many_languages": ("The same matrix, and what it is read against", _matrix),
        "seeds": ("Five languages, seed by seed", _seeds),
        "symmetry": ("Do the maps fit together?", _maps),
        "preferences": ("Does learning go through the map?", _learning),
        "mixtures": ("Where a pair has two maps", _two_maps),
    }
    return [(name, title, tell(headlines[name])) for name, (title, tell) in told.items()]


def _matrix(many: pd.DataFrame) -> str:
    values = {row["related by"]: row for _, row in many.iterrows()}
    reflections = [values[name] for name in ("diagonal", "antidiagonal") if name in values]
    turned = [values[name] for name in ("half turn",) if name in values]
    return _paragraphs(
        f"Left, a matrix as the paper draws it: the board itself is what a probe is held against. Pairs whose best map "
        f"is a reflection score {_range(reflections, 'against the board')} there, pairs related by the half turn "
        f"{_range(turned, 'against the board')}. A probe that read the whole image would score "
        f"{_range(reflections, 'expected')} and {_range(turned, 'expected')}, what a board scores against its own images, "
        "and so the paper's two values may be no failure to read the board but a faithful reading of another one.",
        "Held against the image under its own map, every kind of pair scores alike (column “through the map”: "
        f"{_range(list(values.values()), 'through the map')} of the {many['ceiling'].mean():.2f} that a probe scores at home), "
        "and the difference between clusters is gone. At this layer and by the paper's probe that is not far above a guess "
        "from square and move number "
        f"({many['guess'].mean():.2f}; other games' boards: {many['floor'].mean():.2f}), and the best of four maps is always "
        "a little above the others: our matrix alone would not show that the maps are there. The next sections do.",
    )


def _seeds(seeds: pd.DataFrame) -> str:
    return _paragraphs(
        f"The paper's nine seeds of five languages look like luck: most pairs low, some high. Ours score "
        f"{_listed(seeds['other language'])} against the board, and {_listed(seeds['under the best symmetry'])} under the "
        "best symmetry of each pair (the best of four on the same games; the next section chooses on others), where a guess "
        f"that never sees the model has {seeds['guess'].mean():.2f} and the same predictions against other games' boards "
        f"{seeds['floor'].mean():.2f}."
    )


def _maps(found: pd.DataFrame) -> str:
    trained = found[found["weights"] == "trained"]
    naive = trained[trained["regime"].str.contains("naive")]
    anchored = trained[trained["regime"].str.contains("anchor")]
    random = found[found["weights"] == "random"]["raised pairs"].str.split(" of ", expand=True).astype(int)
    raised, pairs = random.sum()
    return _paragraphs(
        "That each pair is read best through some map proves nothing: the best of four is always there. Two tests were "
        "stated before looking. A pair counts as raised only if both directions name the same map on other games than "
        "they are scored on, each at least a fifth of the way from floor to ceiling, and each reads that image on the "
        "squares where it differs from the runner-up's. And if there is one code, maps compose: the map from a to c is "
        "the one from a to b followed by the one from b to c. Unrelated maps do so one time in four.",
        "Raised pairs, triples that compose, and how often random maps and the found maps dealt anew would do as well: "
        + "; ".join(_verdict(row) for _, row in naive.iterrows())
        + f". With random weights {raised} of {pairs} pairs of all models are raised.",
        _controls(naive),
        "An anchor fixes the answer beforehand. Off the diagonals it should leave the identity alone, on a diagonal the "
        "identity and that reflection: found "
        + "; ".join(f"{row['regime']}, seed {row['seed']}: {row['maps']}" for _, row in anchored.iterrows())
        + ".",
        "The maps are used, not only readable: patch a language's state into another at that layer, and the moves that "
        "the map predicts gain "
        + _decimals(naive["recovery, best map"])
        + " of the way from no effect to full effect; the moves of other maps "
        + _decimals(naive["other maps"])
        + ", states of another game "
        + _decimals(naive["another game"])
        + ", a state of the language itself "
        + _decimals(naive["own language"])
        + ".",
    )


def _controls(naive: pd.DataFrame) -> str:
    """What became of the flips and quarter turns."""
    chosen = naive[~naive["flip or quarter turn"].str.startswith("0 ")]
    told = (
        "Flips and quarter turns were meant as controls: they do not keep the start position, so no pair should choose one. "
        f"Offered all eight, pairs of {len(chosen)} of {len(naive)} models do"
    )
    if chosen.empty:
        return told + "."
    counts = "; ".join(
        f"{row['regime']}, seed {row['seed']}: {row['flip or quarter turn']} directions, {row['raised, of eight']} pairs raised, "
        f"{row['triples, of eight']} triples (p = {row['p of eight, random maps']:.4f} and {row['p of eight, shuffled']:.4f})"
        for _, row in chosen.iterrows()
    )
    return (
        f"{told}, and all eight then compose more often than by chance ({counts}). That was not foretold; after the fact it makes "
        "sense. These maps too keep every rule and only exchange the colours of the start, so the image of a game is one that "
        "the other side began, and a language's first move tells the model that it is. Such pairs are "
        f"{_decimals(chosen['turned, move 0'])} of the way from floor to ceiling on the start position itself, "
        f"{_decimals(chosen['turned, from move 1'])} from the first move on."
    )


def _learning(taught: pd.DataFrame) -> str:
    full, light = (taught[taught["teaching"] == teaching] for teaching in ("full", "light"))
    naive = full[full["regime"].str.contains("naive languages")]
    mapless = full["directions with a map"].str.startswith("0 ")
    nothing = "; ".join(f"{row['carried over, best']:.2f} ({row['regime']})" for _, row in full[mapless].iterrows())
    return _paragraphs(
        "The last doubt: perhaps probes and patches meet a likeness that the model makes nothing of. So teach the model "
        "something in one language alone, a preference for some squares, drawn at random, and look for it in the others. "
        "It arrives, at the squares that the map predicts. Of the pairs that have a map, the image it names is the one "
        "that carried over most in "
        + "; ".join(
            f"{row['best first']} directions ({row['regime']}, seed {row['seed']})"
            for _, row in full[~mapless].iterrows()
        )
        + "; where it is not, it is mostly the image that the probes name second, for some pairs have two maps. Mean over "
        "naive languages: "
        + _decimals(naive["carried over, best"])
        + " of the preference through the best image, "
        + _decimals(naive["last"])
        + " through those named last."
        + (f" Where probes find no map, the image they name best carries {nothing}." if nothing else ""),
        "In what share of the probability is that read? Where languages are aligned most, teaching one so unlearns the words of "
        "the others: the legal moves of the same models' languages that were not taught keep "
        + _decimals(naive["untaught legal after"])
        + ", of "
        + _decimals(naive["untaught legal before"])
        + " before. "
        + (_lightly(full, light) if len(light) else ""),
    )


def _lightly(full: pd.DataFrame, light: pd.DataFrame) -> str:
    """The same with less teaching, model by model."""
    both = light.merge(full, on=["regime", "seed"], suffixes=("", ", full"))
    return (
        "Taught with half of the games at a fifth of the learning rate they keep nearly all, and the preference still arrives: "
        + (
            "; ".join(
                f"{row['untaught legal after']:.2f} legal and {row['carried over, best']:.2f} carried over, {row['last']:.2f} "
                f"through images named last (taught fully {row['untaught legal after, full']:.2f} and "
                f"{row['carried over, best, full']:.2f}; {row['regime']}, seed {row['seed']})"
                for _, row in both.iterrows()
            )
            + "."
        )
    )


def _two_maps(mixed: pd.DataFrame) -> str:
    even = mixed.iloc[0]
    return _paragraphs(
        "In some pairs two maps are raised together. Two images superposed would leave every square torn between both; "
        "what we see is a board in pieces: squares that follow one map and squares that follow the other. A square and the "
        "one that it changes places with between the two images are near copies of each other (median correlation "
        f"{mixed['copies'].median():.2f}) and count as one, an orbit: in the most even pair ({even['pair']}, seed {even['seed']}) "
        f"{even['surely best']} of {even['orbits']} orbits surely follow the one map and {even['surely runner-up']} the other.",
        _pieces(mixed),
    )


def _pieces(mixed: pd.DataFrame) -> str:
    """Whether the pieces hang together, beside the pairs that have none."""
    pieces, clear = (mixed[mixed["kind"] == kind] for kind in ("in pieces", "one map"))

    def beyond(pairs: pd.DataFrame, p: str) -> str:
        return f"{(pairs[p] <= 0.05).sum()} of {len(pairs)}"

    return (
        "Do the pieces hang together? Neighbouring orbits are more alike than the same orbits dealt anew (p up to 0.05) in "
        f"{beyond(pieces, 'p')} pairs in pieces (a fifth of the orbits or more leans to either map), but as well in "
        f"{beyond(clear, 'p')} where all lean to one: it is enough that squares differ, smoothly over the board, in how well "
        "they are read. Less what the pairs of one map of other models have in common, and only by which way an orbit then leans, it is "
        f"{beyond(pieces, 'its p')} against {beyond(clear, 'its p')}. So pieces hang together in some pairs more than this control "
        "does; pairs of one model share languages and are no independent cases."
    )


def _closing(found: pd.DataFrame) -> str:
    trained = found[(found["weights"] == "trained") & found["regime"].str.contains("naive")]
    way = _decimals(trained["normalised"])
    return f"""<section><h2>What would have to be different for this to be wrong</h2>
{
        _paragraphs(
            "If each pair were aligned by an accident of its own, maps would not compose, and dealing them anew to the pairs "
            "would do as well as the found ones. If a probe merely fitted any map, quarter turns and flips would win as often "
            "as the four, and compose no more than by chance. If early boards, which equal their images, made the maps up, "
            "the curves by move number would run together later on.",
            f"What is not settled: our naive languages are {way} of the way from floor to ceiling; where it is far from all of it, some "
            "triples do not compose, mostly through pairs in pieces; few seeds; one "
            "recipe (two languages trained with Muon instead of AdamW share "
            "next to nothing without anchors, which nobody predicted); and boards of 6x6. The paper's own matrices show the two values "
            "that the four maps predict for its 8x8 models, but not the maps themselves.",
        )
    }</section>"""


def _verdict(row: pd.Series) -> str:
    """Raised pairs, and where there are three languages the triples."""
    said = f"{row['regime']}, seed {row['seed']}: {row['raised pairs']} pairs"
    if pd.isna(row.get("triples that compose")):
        return said
    chances = f"p = {row['p, random maps']:.4f} and {row['p, shuffled']:.4f}"
    return f"{said}, {row['triples that compose']} triples ({chances})"


def _range(rows: list[pd.Series], column: str) -> str:
    found = sorted(f"{row[column]:.2f}" for row in rows)
    return " to ".join(dict.fromkeys([found[0], found[-1]])) if found else "(no such pair)"


def _listed(values: pd.Series) -> str:
    return ", ".join(map(str, values.dropna()))


def _decimals(values: pd.Series) -> str:
    return _listed(values.dropna().map("{:.2f}".format).replace("-0.00", "0.00"))


def _paragraphs(*texts: str) -> str:
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)
