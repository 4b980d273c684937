"""One page with every figure, that opens from the file system without a network."""

import html
import json
import tomllib
from pathlib import Path

import pandas as pd
import plotly.io as pio
from plotly.offline import get_plotlyjs

from analyses._models import BUNDLED, REGIMES, Zoo
from analyses._runner import Analysis, find

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mothello-interp: figures</title>
<style>
:root {{ color-scheme: light dark; --text: #222; --back: #fff; --soft: #666; --line: #ddd; --code: #f4f4f4; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --text: #e6e6e6; --back: #16181c; --soft: #a0a0a0; --line: #3a3d44; --code: #23262c; }}
}}
body {{ font: 17px/1.55 Helvetica, Arial, sans-serif; color: var(--text); background: var(--back); max-width: 1180px;
  margin: 0 auto; padding: 1.5rem; }}
section {{ border-top: 1px solid var(--line); margin-top: 2.5rem; padding-top: .5rem; }}
p {{ max-width: 52rem; }}
.figure {{ background: #fff; border-radius: 6px; padding: .3rem; overflow-x: auto; }}
.figure > div {{ min-width: 760px; }}
.files, .note {{ color: var(--soft); font-size: .9rem; }}
.table {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .9rem; margin: 1rem 0; }}
th, td {{ text-align: right; padding: .25rem .7rem; border-bottom: 1px solid var(--line); }}
th:first-child, td:first-child {{ text-align: left; }}
code {{ background: var(--code); padding: .1rem .3rem; border-radius: 3px; }}
a {{ color: inherit; }}
</style>
<script>{plotly}</script>
<h1>Multilingual Othello: where do languages meet?</h1>
{opening}
{sections}
</html>
"""
_SECTION = """<section id="{name}">
<h2>{title}</h2>
{text}
<div class="figure"><div id="figure-{name}"></div></div>
<script>(function () {{ const f = {figure};
Plotly.newPlot("figure-{name}", f.data, f.layout, {{responsive: true, displaylogo: false}}); }})();</script>
<div class="table">{headline}</div>
<p class="files">Regenerate: <code>python -m analyses {name}</code>. Files: {files}.{stored}</p>
</section>"""
_KINDS = ("csv", "html", "png", "svg", "pdf")
_OPENING = """<p>A game of Othello is the meaning; a language is a way to write its moves as tokens; a small GPT reads games in several
languages. These figures ask when its representation becomes independent of the language, in three regimes: languages
with nothing in common (<b>naive</b>), languages that write four moves alike (<b>4 anchor tokens</b>), and languages
that are all continued in one output language (<b>unified output</b>).</p>
<p class="note">Models: {models}. The paper's values (Hua, Yun and
Pavlick 2024, arXiv 2404.12444) are for 8x8 boards and larger models, so magnitudes differ; what is compared is the pattern.</p>
<ol>{contents}</ol>
"""


def write_report(out: Path, zoo: Zoo = BUNDLED) -> Path:
    """Write `index.html` from what the analyses left in `out`; those that were not run yet are left out."""
    ready = [analysis for analysis in find().values() if (out / f"{analysis.name}.json").exists()]
    contents = "".join(f'<li><a href="#{item.name}">{html.escape(item.title)}</a></li>' for item in ready)
    page = out / "index.html"
    text = _PAGE.format(
        plotly=get_plotlyjs(),
        opening=_OPENING.format(models=_models_in_words(zoo), contents=contents),
        sections="\n".join(_section(analysis, out) for analysis in ready),
    )
    page.write_text(text, encoding="utf-8")
    return page


def _section(analysis: Analysis, out: Path) -> str:
    """An analysis' title, text, figure and headline, from the files that it left."""
    files = [f"{analysis.name}.{kind}" for kind in _KINDS if (out / f"{analysis.name}.{kind}").exists()]
    headline = pd.read_csv(out / f"{analysis.name}-headline.csv")
    return _SECTION.format(
        name=analysis.name,
        title=html.escape(analysis.title),
        text="".join(f"<p>{html.escape(part)}</p>" for part in analysis.text.split("\n\n")),
        figure=pio.read_json(out / f"{analysis.name}.json")
        .update_layout(autosize=True)
        .to_json()
        .replace("</", "<\\/"),
        headline=headline.to_html(index=False, border=0, float_format="{:.3f}".format, na_rep="-"),
        files=", ".join(f'<a href="{file}">{file}</a>' for file in files),
        stored=_stored(pd.read_csv(out / f"{analysis.name}.csv")),
    )


def _stored(table: pd.DataFrame) -> str:
    """Which seeds are not of models measured here."""
    seeds = sorted(table[table["origin"] == "stored"]["seed"].unique())
    return f" Seeds {', '.join(map(str, seeds))} come from stored tables, with provenance beside them." if seeds else ""


def _models_in_words(zoo: Zoo) -> str:
    """Size and training of the models, as their own folders say."""
    said = set()
    for folder in (found for preset in REGIMES.values() for found in zoo.folders(zoo.preset(preset))[:1]):
        spec = tomllib.loads((folder / "spec.toml").read_text(encoding="utf-8"))
        games = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["games"]
        size = f"{spec['world']['board']}x{spec['world']['board']} board, {spec['model']['n_layers']} layers of "
        said.add(f"{size}{spec['model']['d_model']}, trained on {games:,} random games each")
    return "; ".join(sorted(said)) or "known by stored rows alone"
