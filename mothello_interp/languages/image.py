"""A language seen through a symmetry of the board."""

from collections.abc import Mapping
from dataclasses import dataclass

from mothello_interp.languages.language import Language, Word, language_from, register_language
from mothello_interp.othello import Symmetry


@register_language("image")
@dataclass(frozen=True)
class Image:
    """Another language seen through a symmetry: the image of a square is written with the word of the square.

    A game in the language and the image of the game in its `Image` are one text. So a model cannot tell a language from
    its image under one of the `SYMMETRIES`, except by anchors, which belong to a Mothello and stay where they are.

    Attributes:
        language: the language, or its description as `language_from` takes it.
        symmetry: the name of a symmetry of the square, or the symmetry.

    Examples:
        >>> Image("atomic", "flip_rows").words(4)[0]
        ('a4',)

    Raises:
        ValueError: for a symmetry that does not exist, or as `language_from`.
    """

    language: Language
    symmetry: str

    def __post_init__(self) -> None:
        if isinstance(self.language, str | Mapping):
            object.__setattr__(self, "language", language_from(self.language))
        if not isinstance(self.language, Language):
            raise ValueError(f"Image of {self.language!r}: expected a language, or the description of one")
        object.__setattr__(self, "symmetry", Symmetry.of(self.symmetry).name)

    def words(self, board: int) -> list[Word]:
        words = self.language.words(board)
        image = Symmetry.of(self.symmetry).inverse.squares(board)
        return [words[image[square]] for square in range(board * board)]
