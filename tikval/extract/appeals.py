"""Appeals: how people demand what a value asks for, or condemn what offends it (prompts/appeals.yaml).

A complaint about harm has the words of the harm, so that a sentence encoder finds it near to the examples that confront
the value. These sentences stand for such speech, and count as endorsing. They are of one codebook, which they name.
"""

from tikval.codebook import Codebook, CodebookPart, Examples, Slug, load_part
from tikval.config import LocalExtractor, UserError, find_file
from tikval.config.extract import APPEALS


class Appeals(CodebookPart):
    """What a file of appeals has."""

    codebook: str  # by its name
    values: dict[Slug, Examples]


def appeals_for(codebook: Codebook, config: LocalExtractor) -> dict[str, tuple[str, ...]]:
    """The appeals of a codebook's values by slug; of the file that comes with tikval those that fit.

    Raises UserError for another file that is not one of appeals, or not of this codebook and its values.
    """
    if config.appeals is None:
        return {}
    try:
        found = load_part(Appeals, find_file(config.appeals))
    except ValueError as err:
        raise UserError(str(err)) from err
    slugs = {value.slug for value in codebook.values}
    if config.appeals == APPEALS:  # nobody asked for it by name
        same = found.codebook == codebook.name
        return {slug: its for slug, its in found.values.items() if same and slug in slugs}
    if found.codebook != codebook.name:
        raise UserError(
            f"{config.appeals}: is of the codebook {found.codebook}, and not of {codebook.name}; "
            "give extractor.appeals: null"
        )
    if unknown := sorted(found.values.keys() - slugs):
        raise UserError(f"{config.appeals}: {unknown[0]} is no value of the codebook {codebook.name}")
    return found.values
