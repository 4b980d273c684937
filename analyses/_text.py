"""The texts of the report: a Markdown file a figure in `text/`, with numbers from its headline table and claims about them.

In such a file `cells(column, regime="naive")` is a column of the headline's rows with these values, `cell` its value (the mean
over seeds; nan if there is none), and `claim(value, ">", 0.8)` shows a number of which the sentence says that it is so, `bound` the
bound alone ("above 0.8"), `check` nothing. A claim that does not hold is marked in its sentence; `Text.broken` lists these
sentences, and those with a nan.
"""

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

TEXTS = Path(__file__).parent / "text"
_CLAIMS = {
    ">": ("above", operator.gt),
    ">=": ("at least", operator.ge),
    "<": ("below", operator.lt),
    "<=": ("at most", operator.le),
    "==": ("equal to", operator.eq),
}
_MARK = re.compile(r"\[not (?:above|at least|below|at most|equal to) [^\]]*\]|\bnan%?(?!\w)")


@dataclass(frozen=True)
class Text:
    """A text with its numbers: `# title`, a paragraph that answers it, one that is the caption, and `## ...` details."""

    name: str
    markdown: str

    @cached_property
    def title(self) -> str:
        """The question."""
        return _title(self.markdown)

    @cached_property
    def _paragraphs(self) -> list[str]:
        """Title, answer, caption; all further ones are the details."""
        return [part.strip() for part in re.split(r"\n{2,}", self.markdown.strip())]

    @property
    def answer(self) -> str:
        """The answer, as HTML without a paragraph around it."""
        return _html(self._paragraphs[1], inline=True)

    @property
    def caption(self) -> str:
        """The caption, likewise."""
        return _html(self._paragraphs[2], inline=True)

    @property
    def details(self) -> str:
        """Everything after the caption, as HTML; its headings are of the third level."""
        return _html(re.sub(r"^## ", "### ", "\n\n".join(self._paragraphs[3:]), flags=re.MULTILINE))

    @property
    def broken(self) -> list[str]:
        """The sentences with a claim that does not hold, each with the number and the condition."""
        flat = re.sub(r"\s+", " ", self.markdown).strip()
        sentences = re.split(r"(?<=[.?!:]) (?=[A-Z#])", flat)
        return [f"{self.name}.md: {sentence}" for sentence in sentences if _MARK.search(sentence)]


def title_of(name: str) -> str:
    """The question of a figure, without filling in its text."""
    return _title((TEXTS / f"{name}.md").read_text(encoding="utf-8"))


def fill(name: str, headlines: Mapping[str, "pd.DataFrame"]) -> Text:
    """The text of a figure, with numbers from the headline tables.

    Raises:
        ValueError: for a text that is no template, or asks for a table that is not there, or for one value of rows
            that differ in more than their seed.
    """
    import jinja2
    import pandas as pd

    def rows(of: str, values: Mapping[str, Any]) -> "pd.DataFrame":
        table = headlines[of]
        for key, value in values.items():  # a list is any of its values
            table = table[table[key].isin(value if isinstance(value, list) else [value])]
        return table

    def cells(column: str, *, of: str = name, **values: Any) -> "pd.Series":
        return rows(of, values).get(column, pd.Series(dtype=float))

    def cell(column: str, *, of: str = name, **values: Any) -> Any:
        chosen, found = rows(of, values), cells(column, of=of, **values)
        if len(found) > 1 and ("seed" not in chosen or chosen["seed"].duplicated().any()):
            raise ValueError(f"the table of {of} has {len(found)} rows with {values}")
        return ", ".join(found) if found.dtype == object or found.dtype == "str" else found.mean()

    def claim(value: Any, op: str, bound: float, spec: str = ".2f") -> str:
        return f"{value:{spec}}{check(value, op, bound)}"

    def bound(value: Any, op: str, bound: float, spec: str = "") -> str:
        return f"{_CLAIMS[op][0]} {bound:{spec}}{check(value, op, bound)}"

    def check(value: Any, op: str, bound: float) -> str:
        words, holds = _CLAIMS[op]
        return "" if holds(value, bound) else f" [not {words} {bound}]"

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    template = (TEXTS / f"{name}.md").read_text(encoding="utf-8")
    try:
        filled = environment.from_string(template).render(cells=cells, cell=cell, claim=claim, bound=bound, check=check)
    except (ValueError, KeyError, TypeError, jinja2.TemplateError) as error:
        raise ValueError(f"{TEXTS / name}.md: {type(error).__name__}: {error}") from error
    return Text(name, filled)


def _title(markdown: str) -> str:
    return markdown.partition("\n")[0].removeprefix("# ").strip()


def _html(markdown: str, *, inline: bool = False) -> str:
    """Markdown as HTML; a claim that does not hold stands out."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    text = parser.renderInline(markdown) if inline else parser.render(markdown)
    return _MARK.sub(r"<mark>\g<0></mark>", text)
