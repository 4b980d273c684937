"""How alike two representations of the same games are, with what could fool such a measure held beside it.

`f(x, y)` measures take paired rows `[n d]` as numpy arrays or tensors and return a float, computed in float64. `Moments`
gives those that need no pairs of rows from batches of any number of rows, in memory that does not grow with them.
`compare` applies all to two languages of a model, within move number: position embeddings are shared between languages,
so rows pooled over moves look alike however unaligned the boards are.

CKA, SVCCA, PWCCA, Procrustes, RSA and nearest neighbours do not see a rotation: two languages in orthogonal subspaces can
score near 1 with nothing shared, even under random weights, for both carry the same bag of moves. So beside them stand
measures that need the same coordinates: parallel-game retrieval, centred cosine and principal angles.

| measure | range | 1 for a copy that is rotated, scaled, shifted | 1 for any invertible linear map | needs one width |
|---|---|---|---|---|
| `linear_cka`, `rbf_cka`, `minibatch_cka` | 0 to 1; debiased from below 0 | yes | no | no |
| `svcca` | 0 to 1 | yes | only with variance=1 | no |
| `pwcca` | 0 to 1 | yes | yes | no |
| `procrustes_distance` | 0 (alike) to sqrt 2 | 0 | no | no |
| `rsa` | -1 to 1 | "euclidean" | no | no |
| `mutual_knn` | 0 to 1 | rotated, scaled | no | no |
| `retrieval`, `centred_cosine`, `principal_angles` | 0 or -1 to 1 | only scaled, shifted | no | yes |
"""

from mothello_interp.similarity.canonical import pwcca, svcca
from mothello_interp.similarity.cka import linear_cka, minibatch_cka, rbf_cka
from mothello_interp.similarity.comparison import MIN_BOARDS, compare
from mothello_interp.similarity.coordinates import centred_cosine, principal_angles, retrieval
from mothello_interp.similarity.findings import MEASURES, SAME_COORDINATES
from mothello_interp.similarity.moments import Moments
from mothello_interp.similarity.pairs import mutual_knn, rsa
from mothello_interp.similarity.procrustes import OrthogonalMap, fit_procrustes, procrustes_distance

__all__ = [
    "MEASURES",
    "MIN_BOARDS",
    "SAME_COORDINATES",
    "Moments",
    "OrthogonalMap",
    "centred_cosine",
    "compare",
    "fit_procrustes",
    "linear_cka",
    "minibatch_cka",
    "mutual_knn",
    "principal_angles",
    "procrustes_distance",
    "pwcca",
    "rbf_cka",
    "retrieval",
    "rsa",
    "svcca",
]
