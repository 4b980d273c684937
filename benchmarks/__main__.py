"""`python -m benchmarks [name ...]`: all of them, or those named, but for recipe, which takes half an hour."""

import sys
from importlib import import_module

_ALL = [
    "world",
    "engines",
    "encoding",
    "training",
    "rate",
    "probes",
    "probing_loop",
    "similarity",
    "patching",
    "explorer",
    "page",
]

unknown = sorted(set(sys.argv[1:]) - set(_ALL))
if unknown:
    sys.exit(
        f"no benchmark {unknown[0]!r} here; there are: {', '.join(_ALL)}. "
        f"recipe takes half an hour and is run by: python -m benchmarks.recipe"
    )
for name in sys.argv[1:] or _ALL:
    print(f"{name}\n  " + "\n  ".join(import_module(f"benchmarks.{name}").run()), flush=True)
