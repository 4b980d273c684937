"""The exported page of the explorer in Chromium, from a click to the new page laid out, against what feels immediate.

Every click is at a position that the model has not read yet (in the new language, for a change of it); two languages are
shown. A page runs on one thread; on a machine that is busy the processor's own time says more than the clock.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.explorer import LIMIT
from mothello_interp.explorer import Reader, write_page
from mothello_interp.models import load

NAMES = ("mini/four-naive", "mini/atomic-split-anchors4", "midi/atomic-atomic-anchors4")
_REPEATS = 8
_PREPARE = """([kind, game]) => {
  const [first, second] = explorer.get("view").languages.slice(-2).map(([language]) => language);
  const send = (...what) => explorer.send({ do: what });
  send("clear"), send("set", "second", null), send("set", "language", first);
  if (kind !== "language") send("set", "second", second);
  send("new game"), send("step", 6 + game);
  const board = (name) => document.querySelector(`[role=grid][aria-label^="${name}"]`);
  const option = (name, value) => {
    const control = document.querySelector(`[data-key=${name}]`);
    control.value = String(value);
    return () => control.dispatchEvent(new Event("change"));
  };
  const button = (element) => () => element.click();
  const clicks = {
    play: () => button(board("Board").querySelector(".legal")),
    flip: () => button(board("Belief").querySelector("[role=gridcell]:not([aria-disabled])")),
    language: () => option("language", second),
    layer: () => option("layer", 1),
    patch: () => (option("patch-move", 8)(), button(document.querySelector("[data-key=patch]"))),
  };
  const click = clicks[kind]();
  globalThis.timed = () => {
    const began = performance.now();
    click();
    document.body.getBoundingClientRect();
    return performance.now() - began;
  };
}"""


def run() -> list[str]:
    """Lines to print."""
    from playwright.sync_api import sync_playwright

    lines = [f"milliseconds by the clock (of the processor), medians of {_REPEATS}; {LIMIT} of the processor allowed"]
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in NAMES:
            path = write_page(Reader(load(name)), Path(folder) / "page.html")
            page = browser.new_page()
            page.goto(path.as_uri())
            lines.append(f"{name}: {_medians(page)}; {path.stat().st_size / 1e6:.2f} MB")
            page.close()
        browser.close()
    return lines


def _medians(page: Any) -> str:
    processor = page.context.new_cdp_session(page)
    processor.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = processor.send("Performance.getMetrics")["metrics"]
        return 1000 * next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    def once(kind: str, game: int) -> tuple[float, float]:
        page.evaluate(_PREPARE, [kind, game])
        before = busy()
        return page.evaluate("timed()"), busy() - before

    kinds = ("play", "flip", "language", "layer", "patch")
    took = {kind: np.median([once(kind, game) for game in range(_REPEATS)], axis=0) for kind in kinds}
    late = [kind for kind, (_, used) in took.items() if used > LIMIT]
    verdict = f"TOO SLOW: {', '.join(late)}" if late else "all within"
    return f"{', '.join(f'{kind} {clock:.0f} ({used:.0f})' for kind, (clock, used) in took.items())}: {verdict}"
