"""A page of figures: the look, and a section for each analysis from the files that it left."""

import html
from pathlib import Path

import pandas as pd
import plotly.io as pio

from analyses._runner import Analysis

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
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
{plotly}
<h1>{heading}</h1>
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


def section(analysis: Analysis, out: Path, *, title: str = "", text: str = "") -> str:
    """An analysis' figure and headline, under its own title and text or these (text: HTML)."""
    own = "".join(f"<p>{html.escape(part)}</p>" for part in analysis.text.split("\n\n"))
    files = [f"{analysis.name}.{kind}" for kind in _KINDS if (out / f"{analysis.name}.{kind}").exists()]
    table = pd.read_csv(out / f"{analysis.name}.csv")
    stored = sorted(table[table["origin"] == "stored"]["seed"].unique())
    note = (
        f" Seeds {', '.join(map(str, stored))} come from stored tables, with provenance beside them." if stored else ""
    )
    headline = pd.read_csv(out / f"{analysis.name}-headline.csv")
    figure = pio.read_json(out / f"{analysis.name}.json").update_layout(autosize=True)
    return _SECTION.format(
        name=analysis.name,
        title=html.escape(title or analysis.title),
        text=text or own,
        figure=figure.to_json().replace("</", "<\\/"),
        headline=headline.to_html(index=False, border=0, float_format="{:.3f}".format, na_rep="-"),
        files=", ".join(f'<a href="{file}">{file}</a>' for file in files),
        stored=note,
    )
