"""Texts with numbers: what a claim shows, what happens when it does not hold, and what all texts have."""

import re
from pathlib import Path

import pandas as pd
import pytest

from analyses import _runner, _text
from analyses._report import ARTICLE
from analyses._text import TEXTS, fill

TABLE = pd.DataFrame({"regime": ["naive", "naive", "anchors"], "seed": [0, 1, 1], "alignment": [0.05, 0.058, 0.98]})
NAMES = sorted(path.stem for path in TEXTS.glob("*.md"))


def filled(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> _text.Text:
    (folder / "one.md").write_text(text, encoding="utf-8")
    monkeypatch.setattr(_text, "TEXTS", folder)
    return fill("one", {"one": TABLE, "other": TABLE.assign(alignment=0.5)})


def test_a_claim_that_holds_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = filled(
        '# Is it?\n\nNo, {{ claim(cell("alignment", regime="naive"), "<", 0.1) }}, {{ bound(1, ">", 0.5, ".0%") }}'
        '{{ check(cells("alignment").min(), ">", 0) }} of `{{ cells("alignment", of="other").mean() }}`.\n\n'
        "A *caption*,\nof two lines.\n\n## Method\n\n- one\n",
        tmp_path, monkeypatch,
    )  # fmt: skip
    assert (text.title, text.answer) == ("Is it?", "No, 0.05, above 50% of <code>0.5</code>.")
    assert text.caption == "A <em>caption</em>,\nof two lines."
    assert "<h3>Method</h3>" in text.details
    assert "<li>one</li>" in text.details
    assert text.broken == []


@pytest.mark.parametrize(("op", "said"), [(">", "above"), (">=", "at least"), ("==", "equal to")])
def test_a_claim_that_does_not_hold_is_named_with_its_sentence(
    op: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = f'One is fine. But {{{{ claim(cell("alignment", seed=0), "{op}", 0.8, ".0%") }}}} align. So it is.'
    text = filled(f"# Q?\n\n{claims}\n\nCaption.\n", tmp_path, monkeypatch)
    assert text.broken == [f"one.md: But 5% [not {said} 0.8] align."]
    assert f"<mark>[not {said} 0.8]</mark>" in text.answer


@pytest.mark.parametrize("asked", ['cell("alignment", regime="none")', 'cells("nothing").mean()'])
def test_what_is_not_there_breaks_its_sentence(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of models that were not measured, say."""
    text = filled(
        f"# Q?\n\nIt is {{{{ claim({asked}, '<', 1, '.0%') }}}}.\n\nAnd {{{{ {asked} }}}}.\n", tmp_path, monkeypatch
    )
    assert text.broken == ["one.md: It is nan% [not below 1].", "one.md: And nan."]


@pytest.mark.parametrize("asked", ['cell("alignment")', 'cells("alignment", of="no")', "x", "claim("])
def test_a_text_that_cannot_be_filled_in(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several values for one, no such table, no such name, no template."""
    with pytest.raises(ValueError, match=r"one\.md"):
        filled(f"# Q?\n\n{{{{ {asked} }}}}\n", tmp_path, monkeypatch)


def test_every_figure_has_a_text_and_every_text_a_figure() -> None:
    assert {*_runner.find(), "article", "findings"} == set(NAMES)
    assert set(ARTICLE) < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_text_is_plain(name: str) -> None:
    """A question without numbers in it, and no digit typed where a table has it: answers claim theirs."""
    text = (TEXTS / f"{name}.md").read_text(encoding="utf-8")
    title, *parts = re.split(r"\n{2,}", text.strip())
    assert re.fullmatch(r"# [^{}]{10,90}", title)
    answer = re.sub(r"{%.*?%}\s*", "", parts[0])
    assert "claim(" in answer
    assert set(re.findall(r"\d\.\d+", re.sub(r"{{.*?}}", "", answer))) <= {
        "0.002",
        "0.02",
        "0.9",
    }  # settings, no results
    if name not in ("article", "findings"):
        assert "## Method" in text
        assert "## What could have fooled this" in text


def test_captions_are_short(out: Path) -> None:
    for name in _runner.find():
        _, _, caption, *_ = re.split(r"\n{2,}", (out / f"{name}.md").read_text(encoding="utf-8").strip())
        assert len(caption.split()) <= 80, name
