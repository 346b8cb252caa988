"""What coders are asked about an account, as data (prompts/genres.yaml): for whom it is, who is in it, its genre."""

from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, field_validator

from tikval.annotate.sheet import Option, SheetQuestion
from tikval.codebook import CodebookPart, Examples, Guideline, Text, content_mark, load_part
from tikval.config import UserError

YesNo = Literal["aimed_at_young", "is_minor", "is_parent_run"]  # columns of the accounts table, or beside it
YES_NO: Final = get_args(YesNo)
YES, NO, GENRE = "yes", "no", "genre"
_SECTION: Final = "Account"


class AccountQuestion(CodebookPart):
    slug: YesNo
    title: Text
    definition: Text
    signs: tuple[Text, ...] = ()
    apart: Text


class Genre(CodebookPart):
    name: Text  # as the accounts table has it
    definition: Text
    apart: Text
    examples: Examples


class GenreList(CodebookPart):
    """A list of genres with the other questions about accounts."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    version: int = Field(ge=1)
    source: Text
    questions: Annotated[tuple[AccountQuestion, ...], Field(min_length=1)]
    genres: Annotated[tuple[Genre, ...], Field(min_length=2)]
    guidelines: tuple[Guideline, ...] = ()

    @field_validator("questions")
    @classmethod
    def _each_once(cls, questions: tuple[AccountQuestion, ...]) -> tuple[AccountQuestion, ...]:
        if (slugs := [one.slug for one in questions]) and sorted(slugs) != sorted(YES_NO):
            raise ValueError(f"asks {', '.join(slugs)}; expected {', '.join(YES_NO)}, each once")
        return questions

    @field_validator("genres")
    @classmethod
    def _no_two_alike(cls, genres: tuple[Genre, ...]) -> tuple[Genre, ...]:
        names = [genre.name.casefold() for genre in genres]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} is there twice")
        return genres

    @property
    def mark(self) -> str:
        """Name, version and a digest of all that the file says."""
        return content_mark(self, self.name, self.version)


def load_genres(path: Path) -> GenreList:
    """Raises UserError in one line, with the file and every wrong key."""
    try:
        return load_part(GenreList, path)
    except ValueError as err:
        raise UserError(str(err)) from err


def account_questions(genres: GenreList) -> tuple[SheetQuestion, ...]:
    """The questions that are answered by yes or no, then the genre."""
    yes_no = (Option(YES, "Yes"), Option(NO, "No"))
    asked = [
        SheetQuestion(
            one.slug,
            one.title,
            _SECTION,
            one.definition,
            yes_no,
            (("What sets it apart", one.apart),),
            ((YES, one.signs),),
        )
        for one in genres.questions
    ]
    options = tuple(Option(one.name, one.name, f"{one.definition} {one.apart}") for one in genres.genres)
    examples = tuple((one.name, one.examples) for one in genres.genres)
    genre = SheetQuestion(GENRE, "Genre", _SECTION, "What most of the posts are.", options, (), examples)
    return (*asked, genre)
