"""Figures at the width of a paper."""

import os
import re
import socket
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from PIL import Image

from analyses._runner import has_browser
from mothello_interp.plots import for_paper, panel_grid, paper, write_image


def curves(names: list[str]) -> go.Figure:
    figure = panel_grid([["left", "right"]], x="layer", y="share")
    for name in names:
        figure.add_scatter(x=[0, 1], y=[0, 1], name=name)
    return figure


def test_the_legend_stands_below_and_makes_the_figure_taller() -> None:
    """By its rows; the figure that is given is left alone."""
    figure = curves(["a", "b"])
    short, long = for_paper(figure), for_paper(curves([f"{'long name ' * 3}{index}" for index in range(9)]))
    assert figure.layout.legend.orientation is None
    assert short.layout.legend.orientation == "h"
    assert short.layout.legend.y < 0
    assert figure.layout.height < short.layout.height < long.layout.height
    assert short.layout.width == long.layout.width


def test_a_figure_of_no_theme_and_no_height() -> None:
    figure = go.Figure([go.Scatter(y=[0, 1], name=name) for name in ("a", "b")])
    assert for_paper(figure).layout.height > 450
    assert for_paper(go.Figure(figure.data[:1])).layout.height is None


def test_a_figure_without_a_legend_keeps_its_height() -> None:
    figure = curves(["only one"])
    assert for_paper(figure).layout.height == figure.layout.height


def test_an_ending_that_is_none_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot write a.jpg: the name must end in .pdf, .svg or .png"):
        write_image(curves(["a"]), tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())


def test_a_picture_that_is_half_drawn_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def half(pictures: list[dict[str, Any]]) -> None:
        pictures[0]["path"].write_bytes(b"half")
        raise OSError("full")

    monkeypatch.setattr(paper, "_draw", half)
    (tmp_path / "a.png").write_bytes(b"earlier")
    with pytest.raises(OSError, match="full"):
        write_image(curves(["a"]), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"earlier"


@pytest.mark.slow
@pytest.mark.skipif(not has_browser(), reason="neither Chrome nor Chromium is installed")
def test_images_are_as_wide_as_a_page_of_text(tmp_path: Path) -> None:
    """6.75 inches: 300 pixels an inch in PNG, 96 in SVG, 72 points in PDF."""
    write_image(curves(["a", "b"]), *(tmp_path / f"a.{kind}" for kind in ("png", "svg", "pdf")))
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == pytest.approx(6.75 * 300, abs=1)
    (svg,) = re.findall(r'<svg[^>]* width="([\d.]+)"', (tmp_path / "a.svg").read_text(encoding="utf-8"))[:1]
    assert float(svg) == pytest.approx(6.75 * 96, abs=1)
    (pdf,) = re.findall(rb"/MediaBox ?\[0 0 ([\d.]+)", (tmp_path / "a.pdf").read_bytes())[:1]
    assert float(pdf) == pytest.approx(6.75 * 72, abs=1)


@pytest.mark.slow
@pytest.mark.skipif(not has_browser(), reason="neither Chrome nor Chromium is installed")
def test_a_network_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a firewall: connections open, and nothing comes. Kaleido would wait for MathJax for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("CHOREO_PROXY_SERVER", f"127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(paper, "_PATIENCE", 60)
        write_image(curves(["a", "b"]), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_browser_that_is_stuck_ends_in_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts and says nothing; it is killed and nothing half-written stays."""
    stuck = tmp_path / "chrome"
    stuck.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n", encoding="utf-8")
    stuck.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(stuck))
    monkeypatch.setattr(paper, "_PATIENCE", 2)
    monkeypatch.setattr(paper, "_EACH", 0)
    monkeypatch.setattr(paper, "_PARTING", 5)
    with pytest.raises(RuntimeError, match="has not drawn in 2 s; the environment variable BROWSER_PATH names another"):
        write_image(curves(["a", "b"]), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
    number = int((tmp_path / "pid").read_text(encoding="utf-8"))
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
