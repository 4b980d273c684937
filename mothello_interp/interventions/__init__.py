"""Edits of a forward pass: small frozen values, composed in a list, that become hooks or a context.

```python
edits = [ProjectOut(basis, layer=1), Steer(direction, scale=2, layer=2, moves="last")]
with edited(checkpoint, edits, games, language=0) as model:
    logits = model(checkpoint.tokens(games, 0))
```
"""

from mothello_interp.interventions.boards import BoardEdit, FlipSquares, SetBoard, along, random_like
from mothello_interp.interventions.effect import EditedBoards, edit_effect, edited_boards, legal_errors
from mothello_interp.interventions.hooks import NoEffectError, edited, fwd_hooks
from mothello_interp.interventions.intervention import Apply, Context, Intervention, Reading
from mothello_interp.interventions.values import Ablate, ProjectOut, Replace, Steer, SwapMeans, Transport

__all__ = [
    "Ablate",
    "Apply",
    "BoardEdit",
    "Context",
    "EditedBoards",
    "FlipSquares",
    "Intervention",
    "NoEffectError",
    "ProjectOut",
    "Reading",
    "Replace",
    "SetBoard",
    "Steer",
    "SwapMeans",
    "Transport",
    "along",
    "edit_effect",
    "edited",
    "edited_boards",
    "fwd_hooks",
    "legal_errors",
    "random_like",
]
