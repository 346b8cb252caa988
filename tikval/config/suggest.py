"""Which language models are asked for accounts, and by which prompt."""

from pydantic import Field, field_validator

from tikval.config.base import Config, TextFile
from tikval.config.llm import Api, Endpoint, Gemini


class AskedModel(Config):
    """A model, what it is called in tables, and how its server is asked."""

    name: str = Field(default="", max_length=60)  # "": the model's own
    llm: Gemini | Endpoint = Field(discriminator="kind")
    api: Api = Api(requests_per_minute=10, in_flight=1)

    @property
    def title(self) -> str:
        return self.name or self.llm.model


class SuggestConfig(Config):
    """Several models, each asked once for a list of accounts."""

    prompt: TextFile = "prompts/accounts.txt"  # the question
    models: tuple[AskedModel, ...] = Field(min_length=1)

    @field_validator("models")
    @classmethod
    def _are_told_apart(cls, models: tuple[AskedModel, ...]) -> tuple[AskedModel, ...]:
        titles = [model.title.casefold() for model in models]
        if len(set(titles)) < len(titles):
            raise ValueError("two models of one name: give each a name of its own")
        return models
