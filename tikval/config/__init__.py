"""One configuration per job; each is imported from here."""

from tikval.config.annotate import AnnotateConfig
from tikval.config.base import (
    ADDED_LATER,
    Config,
    JobConfig,
    Limits,
    Pool,
    TextFile,
    Upstream,
    UserError,
    find_file,
    load_config,
    nested,
    parse_yaml,
    plain_path,
    read_yaml,
    validate,
    with_overrides,
)
from tikval.config.cascade import CascadeConfig
from tikval.config.combine import CombineConfig, CombinedSystem
from tikval.config.embed import EmbedConfig, OnScreenText, Pictures, Sound
from tikval.config.evaluate import DevelopmentConfig, EvaluateConfig, System
from tikval.config.explain import ExplainConfig
from tikval.config.extract import (
    TUNED_FOR,
    ExtractConfig,
    Extractor,
    FaithfulnessConfig,
    LlmExtractor,
    LocalExtractor,
)
from tikval.config.llm import Api, Endpoint, Engine, Gemini, Llm, Vllm
from tikval.config.predict import PredictConfig
from tikval.config.report import ReportConfig
from tikval.config.scripts import (
    CatalogConfig,
    LlmWriter,
    LocalWriter,
    Look,
    Ocr,
    ScriptConfig,
    Speech,
    Writer,
)
from tikval.config.suggest import AskedModel, SuggestConfig
from tikval.config.sweep import Axis, Mlflow, SweepConfig
from tikval.config.train import (
    FinetuneConfig,
    Fit,
    LearnConfig,
    PretrainConfig,
    Protocol,
    TextEncoder,
    Texts,
    VectorHead,
)
from tikval.config.tune import Heads, TuneConfig

__all__ = [
    "ADDED_LATER",
    "TUNED_FOR",
    "AnnotateConfig",
    "Api",
    "AskedModel",
    "Axis",
    "CascadeConfig",
    "CatalogConfig",
    "CombineConfig",
    "CombinedSystem",
    "Config",
    "DevelopmentConfig",
    "EmbedConfig",
    "Endpoint",
    "Engine",
    "EvaluateConfig",
    "ExplainConfig",
    "ExtractConfig",
    "Extractor",
    "FaithfulnessConfig",
    "FinetuneConfig",
    "Fit",
    "Gemini",
    "Heads",
    "JobConfig",
    "LearnConfig",
    "Limits",
    "Llm",
    "LlmExtractor",
    "LlmWriter",
    "LocalExtractor",
    "LocalWriter",
    "Look",
    "Mlflow",
    "Ocr",
    "OnScreenText",
    "Pictures",
    "Pool",
    "PredictConfig",
    "PretrainConfig",
    "Protocol",
    "ReportConfig",
    "ScriptConfig",
    "Sound",
    "Speech",
    "SuggestConfig",
    "SweepConfig",
    "System",
    "TextEncoder",
    "TextFile",
    "Texts",
    "TuneConfig",
    "Upstream",
    "UserError",
    "VectorHead",
    "Vllm",
    "Writer",
    "find_file",
    "load_config",
    "nested",
    "parse_yaml",
    "plain_path",
    "read_yaml",
    "validate",
    "with_overrides",
]
