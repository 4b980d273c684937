"""One page with every figure, that opens from the file system without a network."""

import html
from pathlib import Path

from plotly.offline import get_plotlyjs

from analyses._models import BUNDLED, REGIMES, Zoo
from analyses._page import PAGE, section
from analyses._runner import find
from analyses._story import TITLE as STORY
from analyses._story import write_story
from mothello_interp.models import load

_OPENING = """<p>A game of Othello is the meaning; a language is a way to write its moves as tokens; a small GPT reads games in several
languages. These figures ask when its representation becomes independent of the language, in three regimes: languages
with nothing in common (<b>naive</b>), languages that write four moves alike (<b>4 anchor tokens</b>), and languages
that are all continued in one output language (<b>unified output</b>).</p>
<p class="note">Models: {models}. The paper's values (Hua, Yun and
Pavlick 2024, arXiv 2404.12444) are for 8x8 boards and larger models, so magnitudes differ; what is compared is the pattern.</p>
{story}<ol>{contents}</ol>
"""


def write_report(out: Path, zoo: Zoo = BUNDLED) -> Path:
    """Write `index.html`, and the story of the symmetries, from what the analyses left in `out`; those that were not run yet
    are left out."""
    ready = [analysis for analysis in find().values() if (out / f"{analysis.name}.json").exists()]
    contents = "".join(f'<li><a href="#{item.name}">{html.escape(item.title)}</a></li>' for item in ready)
    story = write_story(out)
    link = f'<p>Told from the beginning: <a href="{story.name}">{html.escape(STORY)}</a></p>' if story else ""
    page = out / "index.html"
    page.write_text(
        PAGE.format(
            title="mothello-interp: figures",
            plotly=f"<script>{get_plotlyjs()}</script>",
            heading="Multilingual Othello: where do languages meet?",
            opening=_OPENING.format(models=_models_in_words(zoo), contents=contents, story=link),
            sections="\n".join(section(analysis, out) for analysis in ready),
        ),
        encoding="utf-8",
    )
    return page


def _models_in_words(zoo: Zoo) -> str:
    """Size and training of the models, as their own folders say."""
    models = [load(folder) for preset in REGIMES.values() for folder in zoo.folders(zoo.preset(preset))[:1]]
    said = {
        f"{spec.board}x{spec.board} board, {spec.model.n_layers} layers of {spec.model.d_model}, "
        f"trained on {checkpoint.provenance['games']:,} random games each"
        for checkpoint in models
        for spec in [checkpoint.spec]
    }
    return "; ".join(sorted(said)) or "known by stored rows alone"
