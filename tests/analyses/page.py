"""A page of figures, read as a browser reads it."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """A page as a browser reads it: its text, identities, links and scripts; every tag must be closed in its order."""

    def __init__(self, path: Path):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.figures: dict[str, Any] = {}  # by the analysis
        self._figure = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self._figure = values.get("data-figure", "").removeprefix("figure-")
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if tag == "a" else []
        self.sources += [values[key] for key in ("src", "href", "data", "srcset") if key in values and tag != "a"]
        if tag not in VOID:
            self.open.append(tag)
            self.inside.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._figure:
            self.figures[self._figure], self._figure = json.loads(data), ""
        for tag in set(self.open):
            self.inside[tag][-1] += data
