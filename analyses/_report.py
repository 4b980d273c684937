"""The report: an article of the main figures, a gallery of the others, a page for each; all open without a network."""

import json
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.io as pio
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from analyses import _text
from analyses._models import BUNDLED, REGIMES, Zoo
from analyses._runner import HERE, find
from mothello_interp.hints import write_file
from mothello_interp.plots import for_paper, for_phone

ARTICLE = ("task", "anchors", "table1", "symmetry", "patching", "similarity", "transfer", "sharing")
_PARTS = HERE / "report"
EXPLORER = "explorer.html"  # written by `python -m mothello_interp.explorer export`, for the model of the links below
_GAME = "#moves=e4e3d2e5b3c2d1b4f4b1a4f5b2e2f3e1f2a5b5f1e6c1a6c5d5d6f6c6b6a2a1a3&move=14"
_SEEN = {
    "task": ("Play it, and see what a model believes", f"{_GAME}&language=0&layer=2&second=1"),
    "symmetry": ("See the mirrored belief fit", f"{_GAME}&language=1&layer=1&second=0&probe=0&symmetry=diagonal"),
    "patching": ("Patch a state from another language", f"{_GAME}&language=0&layer=1&second=2&patch=13@0from2"),
}  # by figure: a state of the explorer in which its claim can be seen, for four naive languages
_KINDS = ("csv", "png", "svg", "pdf")
_COLUMNS, _ROWS = 8, 60  # of a table on a page; all are in the CSV


@dataclass(frozen=True)
class Item:
    """A figure with its text and table, from the files that its analysis left in `out`."""

    name: str
    text: _text.Text
    headline: pd.DataFrame
    out: Path

    @cached_property
    def _figures(self) -> tuple[Any, Any]:
        """For a wide screen and for a narrow one; they differ in their layout alone."""
        figure = pio.read_json(self.out / f"{self.name}.json")
        return for_paper(figure).update_layout(width=None, autosize=True), for_phone(figure)

    @property
    def height(self) -> float:
        """Pixels."""
        return self._figures[0].layout.height or 450

    @property
    def figure(self) -> str:
        """Data and both layouts as JSON that a page can hold."""
        wide, narrow = (json.loads(figure.to_json()) for figure in self._figures)
        text = json.dumps({"data": wide["data"], "wide": wide["layout"], "narrow": narrow["layout"]})
        return text.replace("</", "<\\/")

    @property
    def table(self) -> str:
        """The first rows and columns of the headline."""
        shown = self.headline.iloc[:_ROWS, :_COLUMNS]
        return shown.to_html(index=False, border=0, float_format=_number, na_rep="-")

    @property
    def more(self) -> str:
        """What of the headline is not shown."""
        rows, columns = self.headline.shape
        if rows <= _ROWS and columns <= _COLUMNS:
            return ""
        return f"All {rows} rows and {columns} columns are in {self.name}-headline.csv."

    @property
    def files(self) -> list[str]:
        """Everything that can be opened."""
        names = [f"{self.name}.{kind}" for kind in _KINDS] + [f"{self.name}-headline.csv"]
        return [name for name in names if (self.out / name).exists()]

    @property
    def seen(self) -> tuple[str, str] | None:
        """What can be seen in the explorer, and its address; None without one."""
        words, state = _SEEN.get(self.name, ("", ""))
        return (words, EXPLORER + state) if state and (self.out / EXPLORER).exists() else None

    @property
    def picture(self) -> str:
        """A drawing that scales, where one was made."""
        return f"{self.name}.svg" if (self.out / f"{self.name}.svg").exists() else ""

    @property
    def stored(self) -> str:
        """Seeds of models that were not measured here."""
        table = pd.read_csv(self.out / f"{self.name}.csv", usecols=["origin", "seed"])
        return ", ".join(map(str, sorted(table[table["origin"] == "stored"]["seed"].unique())))


def write_report(out: Path, zoo: Zoo = BUNDLED) -> list[str]:
    """Write `index.html` (the article), `all.html` (the gallery) and a page for each figure from what the analyses left in
    `out`, without those that were not run.

    Returns:
        The sentences that their numbers do not support, marked on the pages.
    """
    names = [name for name in find() if (out / f"{name}.json").exists()]
    headlines = {name: pd.read_csv(out / f"{name}-headline.csv") for name in names}
    items = {name: Item(name, _text.fill(name, headlines), headlines[name], out) for name in names}
    texts = [item.text for item in items.values()]
    main = [items[name] for name in ARTICLE if name in items]
    others = [item for name, item in items.items() if name not in ARTICLE]
    complete = set(find()) == set(names)
    opening = _text.fill("article", headlines) if complete else None
    texts += [opening, _text.fill("findings", headlines)] if opening else []
    write_file(out / "plotly.min.js", get_plotlyjs())

    def write(page: str, template: str, title: str, figures: list[Item], **values: Any) -> None:
        write_file(out / f"{page}.html", _page(template, title=title, figures=figures, others=others, **values))

    about: dict[str, Any] = {"abstract": opening and opening.answer, "models": _models_in_words(zoo)}
    about["explorer"] = (out / EXPLORER).exists()
    write("index", "article", _text.title_of("article"), main, **about)
    write("all", "gallery", "All further figures", [])
    for name, item in items.items():
        write(name, "page", item.text.title, [item])
    for text in texts:
        write_file(out / f"{text.name}.md", text.markdown)
    return [sentence for text in texts for sentence in text.broken]


def _page(template: str, **values: Any) -> str:
    """A page of one of the kinds in `report/`."""
    environment = Environment(
        loader=FileSystemLoader(_PARTS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((_PARTS / name).read_text(encoding="utf-8") for name in ("style.css", "figures.js"))
    return environment.get_template(f"{template}.html").render(style=style, script=script, **values)


def _number(value: float) -> str:
    """As a table shows it."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


def _models_in_words(zoo: Zoo) -> str:
    """Size and training of the models, as their own folders say."""
    said = set()
    for folder in (found for preset in REGIMES.values() for found in zoo.folders(zoo.preset(preset))[:1]):
        spec = tomllib.loads((folder / "spec.toml").read_text(encoding="utf-8"))
        games = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["games"]
        size = f"{spec['world']['board']}x{spec['world']['board']} board, {spec['model']['n_layers']} layers of "
        said.add(f"{size}{spec['model']['d_model']}, trained on {games:,} random games each")
    return "; ".join(sorted(said)) or "known by stored rows alone"
