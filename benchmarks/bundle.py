"""`python -m benchmarks.bundle`, after a bundled checkpoint changed: the manifest, what `bundled()` says was measured (anew for
other weights alone), and the guide's table."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from mothello_interp import bundled, legal_accuracy, load, random_games, transfer_state
from mothello_interp.hints import atomic_write
from mothello_interp.legality import summary
from mothello_interp.models import Checkpoint, bundled_names, write_manifest
from mothello_interp.models.zoo import BUNDLE, MEASURED, weights_of

GUIDE = Path(__file__).parent.parent / "docs/pages/guide.md"
_FIT, _SCORE = 1000, 400  # games


def measure(checkpoint: Checkpoint) -> dict[str, float]:
    """Top-1 on games of every opening, and normalised alignment of the first input language with the others, on its own."""
    board, (source, *others) = checkpoint.spec.board, checkpoint.mothello.inputs
    opening = checkpoint.provenance["training"]["opening"]
    fit, score = (random_games(n, board=board, seed=seed, opening=opening) for n, seed in ((_FIT, 31), (_SCORE, 32)))
    state = transfer_state(checkpoint, source=source, fit=fit, score=score, seed=0).set_index("language")
    every = summary(legal_accuracy(checkpoint.readings(random_games(_SCORE, board=board, seed=33)), mass=False))
    return {"top1_all": float(every["top1"].mean()), "alignment": float(state.loc[others, "normalised"].mean())}


def guide_row(row: dict[str, Any]) -> str:
    """The row of a checkpoint in the guide's table."""
    unified = "yes" if row["unified_output"] else ""
    facts = [f"`{row['name']}`", row["board"], row["languages"], unified, row["anchors"], row["opening"]]
    facts += [f"{row['top1']:.3f}", f"{row['top1_all']:.3f}", f"{row['alignment']:.2f}"]
    return f"| {' | '.join(map(str, facts))} |\n"


def run() -> None:
    """Write all three."""
    write_manifest(BUNDLE)
    rows = []
    for name, known in zip(bundled_names(), bundled()[["top1_all", "alignment"]].to_dict("records"), strict=True):
        missing = any(map(pd.isna, known.values()))
        numbers: dict[Any, Any] = measure(load(name)) if missing else known
        rows.append({"name": name, "weights": weights_of(name), **numbers})
        print(f"{name}: {'measured' if missing else 'known'}", flush=True)
    with atomic_write(BUNDLE / MEASURED) as file:
        pd.DataFrame(rows).to_csv(file, index=False, float_format="%.4f")
    text = GUIDE.read_text(encoding="utf-8")
    table = "".join(map(guide_row, bundled().to_dict("records")))  # type: ignore[arg-type]
    with atomic_write(GUIDE) as file:
        file.write_text(re.sub(r"(?<=\|\n)(\| `m[^\n]*\|\n)+(?=\n)", lambda _: table, text, count=1), encoding="utf-8")


if __name__ == "__main__":
    run()
