"""What the residual stream would say if the model stopped there: by layer, by component, in which language."""

from mothello_interp.lens.direct import DirectLogits, attribute, direct_logits
from mothello_interp.lens.logit import lens_logits, logit_lens
from mothello_interp.lens.tuned import Translators, fit_translators

__all__ = [
    "DirectLogits",
    "Translators",
    "attribute",
    "direct_logits",
    "fit_translators",
    "lens_logits",
    "logit_lens",
]
