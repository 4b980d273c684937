"""The page that tells the finding about symmetries to someone who has read the paper; every number is from a table."""

import html
from pathlib import Path

import pandas as pd

from analyses._maps import RAISED
from analyses._page import PAGE, section
from analyses._runner import find

TITLE = "Naive languages align after all, each through a symmetry of the board"
_NEEDED = ("many_languages", "seeds", "symmetry", "transplant", "preferences", "mixtures")
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
compared is which map, how surely, and whether the maps fit together. Of five naive languages there are six seeds, of four
trained longer two; of two, of four and of twenty naive languages one each.</p>
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
        "symmetry": ("Do the maps fit together?", lambda found: _maps(found, headlines["transplant"])),
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
        f"{_range(reflections, 'expected')} and {_range(turned, 'expected')}, what a board scores against its own images. "
        "Reflections score so, and so the paper's higher value may be no failure to read the board but a faithful reading "
        f"of another one; the half turn's equals what other games' boards score ({many['floor'].mean():.2f}), and says nothing.",
        "Held against the image under its own map, every kind of pair scores alike (column “through the map”: "
        f"{_range(list(values.values()), 'through the map')} of the {many['ceiling'].mean():.2f} that a probe scores at home), "
        "and the difference between clusters is gone. At this layer and by the paper's probe that is not far above a guess "
        "from square and move number "
        f"({many['majority'].mean():.2f}; other games' boards: {many['floor'].mean():.2f}), and the best of four maps is always "
        "a little above the others: our matrix alone would not show that the maps are there. The next sections do.",
    )


def _seeds(seeds: pd.DataFrame) -> str:
    return _paragraphs(
        "The paper's nine seeds of five languages look like luck: most pairs low, some high. So do ours against the board "
        "(lowest and highest pair of each seed in the table, column “other language”); under the best symmetry of each "
        "pair (the best of four on the same games; the next section chooses on others) they are higher, where a guess "
        f"that never sees the model has {seeds['majority'].mean():.2f} and the same predictions against other games' boards "
        f"{seeds['floor'].mean():.2f}."
    )


def _maps(found: pd.DataFrame, patched: pd.DataFrame) -> str:
    trained = found[(found["weights"] == "trained") & found["regime"].str.contains("naive|one anchor")]
    naive = trained[trained["regime"].str.contains("naive")]
    names = ["raised pairs", "maps", "normalised", "triples that compose", "p, random maps", "p, shuffled"]
    return (
        _paragraphs(
            "That each pair is read best through some map proves nothing: the best of four is always there. Two tests were "
            "stated before looking. A pair counts as raised only if both directions name the same map on other games than "
            "they are scored on, each at least a fifth of the way from floor to ceiling, and each reads that image on the "
            "squares where it differs from the runner-up's. And if there is one code, maps compose: the map from a to c is "
            "the one from a to b followed by the one from b to c. Unrelated maps do so one time in four. The table has how "
            "far all pairs are from floor to ceiling (normalised), and how often random maps, or the found ones dealt anew "
            "to the pairs, would do as well (p).",
        )
        + _table(trained, names)
        + _paragraphs(
            "An anchor fixes the answer beforehand (last rows): off the diagonals it should leave the identity alone, on a "
            "diagonal the identity and that reflection. " + _random(found),
            "Early boards equal their images in most squares. So look only at the squares where a board differs from its "
            "image: how often a probe reads there the image that its pair names, how often the board itself, and how often a "
            "language reads its own board on as many squares; pairs whose map is not the identity, mean over move numbers "
            "(the figure's last row has the curves).",
        )
        + _table(trained, ["as the image", "as the board", "own language there", "moves, image first"])
        + _controls(naive)
        + _used(naive, patched)
    )


def _random(found: pd.DataFrame) -> str:
    """How many pairs of random models are raised; models of one spec and seed are one."""
    random = found[found["weights"] == "random"].drop_duplicates(["accuracy", "floor", "margin"])
    raised, pairs = _sums(random["raised pairs"])
    of_eight, _ = _sums(random["raised, of eight"])
    turned, directions = _sums(random["flip or quarter turn"])
    return (
        f"With random weights, {len(random)} models, {raised} of {pairs} pairs are raised; with eight candidates {of_eight}, and "
        f"a flip or quarter turn is then the best of eight in {turned} of {directions} directions."
    )


def _controls(naive: pd.DataFrame) -> str:
    """What became of the flips and quarter turns."""
    chosen = naive[~naive["flip or quarter turn"].str.startswith("0 ")]
    told = (
        "Flips and quarter turns were meant as controls: they do not keep the start position, so no pair should choose one. "
        f"Offered all eight, pairs of {len(chosen)} of {len(naive)} models do"
    )
    if chosen.empty:
        return _paragraphs(told + ".")
    counts = "; ".join(
        f"{row['regime']}, seed {row['seed']}: {row['flip or quarter turn']} directions, {row['raised, of eight']} pairs raised, "
        f"{row['of these flips or turns']} of them so, {row['triples, of eight']} triples "
        f"(p = {row['p of eight, random maps']:.4f} and {row['p of eight, shuffled']:.4f})"
        for _, row in chosen.iterrows()
    )
    lower = (naive["raised, after move 1"] < naive["raised, from move 2"]).sum()
    return _paragraphs(
        f"{told}, and all eight then compose more often than by chance ({counts}). That was not foretold. These maps too keep "
        "every rule and only exchange the colours of the start: the image of a game is one that the other side began. Why these "
        "two models choose them, we do not know. How far up raised pairs are after the first move (5 discs) and from the "
        "second on, through the four maps (raised) and through the others (turned). A low start is not peculiar to the "
        f"others: through the four, too, pairs of {lower} of {len(naive)} models are lower after the first move.",
    ) + _table(naive, [f"{kind}, {when}" for kind in ("raised", "turned") for when in ("after move 1", "from move 2")])


def _used(naive: pd.DataFrame, patched: pd.DataFrame) -> str:
    """What patching says of the maps."""
    pairs = patched[patched["regime"].str.contains("naive languages") & (patched["normalised"] >= RAISED)]
    first, beyond = ((pairs[column] > pairs["highest of the others"]).sum() for column in ("mass", "low"))
    models = pairs.groupby(["regime", "seed"]).ngroups
    columns = ["recovery, best map", "highest of the others", "another game", "own language"]
    columns += ["best map first", "beyond the interval"]
    mapped = naive[~naive["best map first"].str.endswith(" of 0")]
    return _paragraphs(
        "The maps are used, not only readable, in the models that the analysis “transplant” was run on: with a "
        "language's state of another game patched in at that layer, the moves "
        f"that the image named by the probes makes legal are the most legal of four in {first} of {len(pairs)} pairs a fifth "
        f"of the way up or more, in {beyond} beyond the 95% interval ({models} models of four and five languages). Recovery asks less: "
        "the two games differ in a single earlier move, and what is counted is how much of the difference between them in "
        "the probability of moves legal in one alone returns with the state, 0 for nothing, 1 for all. A state of a wholly "
        "other game scores too, which leaves little room above it, and where the map wins in few, nothing is shown. Mean over "
        "the languages that have a map to the first "
        "one, and in how many of them it does more than each other map, also with the low end of its 95% interval:",
    ) + _table(mapped, columns)


def _learning(taught: pd.DataFrame) -> str:
    full, light = (taught[taught["teaching"] == teaching] for teaching in ("full", "light"))
    naive = full[full["regime"].str.contains("naive languages")]
    mapless = full["directions with a map"].str.startswith("0 ")
    words = "; ".join(
        f"{row['in the taught words after']:.2f} ({row['regime']}, seed {row['seed']})"
        for _, row in naive.dropna(subset="in the taught words after").iterrows()
    )
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
        + (f"It goes to the taught language's words, where that was measured: {words}. " if words else "")
        + (_lightly(full, light) if len(light) else ""),
    )


def _lightly(full: pd.DataFrame, light: pd.DataFrame) -> str:
    """The same with less teaching, model by model."""
    both = light.merge(full, on=["regime", "seed"], suffixes=("", ", full"))
    return (
        "Taught with half of the games at a fifth of the learning rate they keep nearly all, and the preference still arrives: "
        + (
            "; ".join(
                f"{row['untaught legal after']:.2f} legal and {row['carried over, best']:.2f} carried over, "
                f"{round(row['last'], 2) + 0:.2f} through images named last (taught fully {row['untaught legal after, full']:.2f} and "
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
    ordered = trained.sort_values("normalised")
    least, most = (
        f"{row['normalised']:.2f} ({row['regime']}, seed {row['seed']})" for row in (ordered.iloc[0], ordered.iloc[-1])
    )
    return f"""<section><h2>What would have to be different for this to be wrong</h2>
{
        _paragraphs(
            "If each pair were aligned by an accident of its own, maps would not compose, and dealing them anew to the pairs "
            "would do as well as the found ones. If a probe merely fitted any map, pairs of random models would be raised, and "
            "quarter turns and flips compose no more than by chance. If early boards, which equal their images, made the maps "
            "up, the curves by move number would run together later on, and where board and image differ, a probe would read "
            "the one as often as the other.",
            f"What is not settled: our naive languages are from {least} to {most} of the way from floor to ceiling; where it is "
            "far from all of it, some triples do not compose, mostly through pairs in pieces; few seeds, for some numbers of "
            "languages one; one recipe (two languages trained with Muon instead of AdamW share "
            "next to nothing without anchors, which nobody predicted); and boards of 6x6. The paper's own matrices show the two values "
            "that the four maps predict for its 8x8 models, but not the maps themselves.",
        )
    }</section>"""


def _table(rows: pd.DataFrame, columns: list[str]) -> str:
    """Columns of a headline, a row a model; what it lacks (two languages make no triple) is a dash."""
    shown = rows.reindex(columns=columns)
    for column in columns:
        if pd.api.types.is_float_dtype(shown[column]):
            shown[column] = shown[column].map(
                ("{:.4f}" if column.startswith("p") else "{:.2f}").format, na_action="ignore"
            )
    shown.insert(0, "", [f"{regime}, seed {seed}" for regime, seed in zip(rows["regime"], rows["seed"], strict=True)])
    return f'<div class="table">{shown.to_html(index=False, border=0, na_rep="-")}</div>'


def _sums(counts: pd.Series) -> tuple[int, int]:
    """Of texts such as "3 of 10"."""
    part, whole = counts.str.split(" of ", expand=True).astype(int).sum()
    return part, whole


def _range(rows: list[pd.Series], column: str) -> str:
    found = sorted(f"{row[column]:.2f}" for row in rows)
    return " to ".join(dict.fromkeys([found[0], found[-1]])) if found else "(no such pair)"


def _listed(values: pd.Series) -> str:
    return ", ".join(map(str, values.dropna()))


def _decimals(values: pd.Series) -> str:
    return _listed(values.dropna().map("{:.2f}".format).replace("-0.00", "0.00"))


def _paragraphs(*texts: str) -> str:
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)
