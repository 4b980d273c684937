"""Cross-lingual probe transfer: does a board probe of one language read the board in another?

A probe P_src, fitted on games written in the source language, is applied unchanged to games written in the target
language (Hua et al. 2024). Its accuracy there is the alignment of source to target. Two readings go beyond the paper:

- Scale. Each accuracy stands between two zeros (`guess`, the best guess from square and move number; `floor`, the same
  probe read against another game's board at the same move number) and two ceilings (P_src on the source, P_tgt on the
  target). `normalised` is (accuracy - floor) / (ceiling - floor).
- Symmetry. Random play is the same under four symmetries of the board, so without anchors nothing says WHICH of four
  maps relates two languages. Every accuracy is therefore taken against g(board) for each g: `accuracy` of symmetry g is
  the share of squares where P_src, reading the target's rows of a board b, says g(b).
"""

from mothello_interp.alignment.accuracy import align, align_by_move, align_on, best_layer
from mothello_interp.alignment.symmetry import GroupTest, align_up_to_symmetry, contest, group_test

__all__ = [
    "GroupTest",
    "align",
    "align_by_move",
    "align_on",
    "align_up_to_symmetry",
    "best_layer",
    "contest",
    "group_test",
]
