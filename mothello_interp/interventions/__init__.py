"""Edits of a forward pass: small frozen values that a reading takes.

```python
edits = [ProjectOut(basis, layer=1), Steer(direction, scale=2, layer=2, moves="last")]
reading.edited(*edits).next_moves()
with reading.edited(*edits).hooks() as model:
    logits = model(reading.tokens)
```
"""

from mothello_interp.forward import NoEffectError
from mothello_interp.interventions.boards import BoardEdit, FlipSquares, SetBoard, along, random_like
from mothello_interp.interventions.edits import Ablate, MeanShift, ProjectOut, Replace, Steer, Transport
from mothello_interp.interventions.intervention import Apply, Context, Intervention

__all__ = [
    "Ablate",
    "Apply",
    "BoardEdit",
    "Context",
    "FlipSquares",
    "Intervention",
    "MeanShift",
    "NoEffectError",
    "ProjectOut",
    "Replace",
    "SetBoard",
    "Steer",
    "Transport",
    "along",
    "random_like",
]
