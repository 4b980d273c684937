"""Languages: language types, and several of them over one vocabulary. It knows no rule of Othello and no model."""

from mothello_interp.languages.authors import authors_vocabulary, read_authors_config
from mothello_interp.languages.language import (
    Atomic,
    Compositional,
    Language,
    Relabelled,
    Split,
    describe_language,
    language_from,
    register_language,
)
from mothello_interp.languages.mothello import PAD, Encoded, Mothello
from mothello_interp.languages.targets import exact_targets, sampled_targets

__all__ = [
    "PAD",
    "Atomic",
    "Compositional",
    "Encoded",
    "Language",
    "Mothello",
    "Relabelled",
    "Split",
    "authors_vocabulary",
    "describe_language",
    "exact_targets",
    "language_from",
    "read_authors_config",
    "register_language",
    "sampled_targets",
]
