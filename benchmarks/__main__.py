"""`python -m benchmarks [name ...]`: all of them, or those named, but for recipe, which takes half an hour."""

import sys

from benchmarks import engines, explorer, page, patching, probes, probing_loop, rate, similarity, training, words, world

_ALL = {
    "world": world,
    "engines": engines,
    "words": words,
    "training": training,
    "rate": rate,
    "probes": probes,
    "probing_loop": probing_loop,
    "similarity": similarity,
    "patching": patching,
    "explorer": explorer,
    "page": page,
}

unknown = sorted(set(sys.argv[1:]) - _ALL.keys())
if unknown:
    sys.exit(
        f"no benchmark {unknown[0]!r} here; there are: {', '.join(_ALL)}. "
        f"recipe takes half an hour and is run by: python -m benchmarks.recipe"
    )
for name in sys.argv[1:] or _ALL:
    print(f"{name}\n  " + "\n  ".join(_ALL[name].run()), flush=True)
