"""Figure 3: the steps of a system are those of its configuration, and the picture shows them."""

from xml.etree import ElementTree

import pytest

from tests.report.test_figure_numbers import lines
from tikval.config import CombineConfig, ExtractConfig, FinetuneConfig, PredictConfig, load_config
from tikval.report.figures.pipelines import SystemConfig, brief, pipeline_steps, pipelines, pipelines_csv
from tikval.report.figures.style import render, styled


def steps(kind: type[SystemConfig], path: str, *changes: str) -> list[str]:
    found = pipeline_steps(load_config(kind, path, changes))
    return [" | ".join(filter(None, step[1:])) for step in found]


GEMINI = "gemini-3.1-pro-preview"
SCRIPT = f"script | {GEMINI} | watches the video"
LARGE = "FacebookAI/roberta-large"


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        (
            ExtractConfig,
            "paper/gemini_direct",
            ["videos", f"values | {GEMINI} | prompted: definitions, all examples"],
        ),
        (
            ExtractConfig,
            "paper/gemini_two_step",
            ["videos", SCRIPT, f"values | {GEMINI} | prompted: definitions, all examples"],
        ),
        (
            FinetuneConfig,
            "paper/roberta_pt",
            [
                *("videos", SCRIPT, f"continued pretraining | {LARGE} | on all scripts"),
                f"values | {LARGE} | fine-tuned; paper protocol, 3 folds",
            ],
        ),
        (
            FinetuneConfig,
            "paper/roberta_pt_honest",
            [
                *("videos", SCRIPT),
                f"continued pretraining | {LARGE} | on the scripts of each fold's training",
                f"values | {LARGE} | fine-tuned; honest protocol, 3 x 3 folds",
            ],
        ),
        (
            FinetuneConfig,
            "paper/f_videomae",
            [
                "videos",
                "embeddings | MCG-NJU/videomae-base + facebook/wav2vec2-base + "
                "sentence-transformers/all-MiniLM-L6-v2 | pictures, sound, on-screen text",
                "values | MLP, 512 hidden | trained; paper protocol, 3 folds",
            ],
        ),
        (
            CombineConfig,
            "paper/ensemble",
            [
                *("videos", "systems | roberta_honest + deberta_honest"),
                "values | mean of scores | combined; honest protocol, 3 x 3 folds",
            ],
        ),
        (
            PredictConfig,
            "paper/roberta_predict",
            [
                *("videos", SCRIPT),
                f"values | {LARGE} | mean of the models of roberta_honest, fine-tuned before; "
                "honest protocol, 3 x 3 folds",
            ],
        ),
        (
            ExtractConfig,
            "qwen/direct",
            [
                *("videos", "pictures and speech | openai/whisper-small | 16 pictures"),
                "values | Qwen/Qwen3-VL-8B-Instruct | prompted: definitions, all examples",
            ],
        ),
        (
            ExtractConfig,
            "demo/predictions",
            [
                *("videos", "script | Whisper base + Tesseract | speech and on-screen text"),
                "values | sentence-transformers/all-MiniLM-L6-v2 | sentences of the script beside the codebook's",
            ],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_steps_of_a_system(kind: type[SystemConfig], path: str, expected: list[str]) -> None:
    assert steps(kind, f"configs/{path}.yaml") == expected


def test_steps_say_what_is_switched_off() -> None:
    assert steps(ExtractConfig, "configs/demo/predictions.yaml", "scripts.writer.ocr.frames=0")[1] == (
        "script | Whisper base | speech"
    )
    assert steps(ExtractConfig, "configs/qwen/direct.yaml", "extractor.look.speech.engine=none")[1] == (
        "pictures | 16 pictures"
    )
    few = steps(ExtractConfig, "configs/qwen/direct.yaml", "extractor.examples_per_value=2")
    assert few[-1].endswith("definitions, 2 examples a stance")
    none = steps(ExtractConfig, "configs/qwen/direct.yaml", "extractor.examples_per_value=0")
    assert none[-1].endswith("definitions, no examples")


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("FacebookAI/roberta-large", "FacebookAI/roberta-large"),
        ("gemini-3.1-pro", "gemini-3.1-pro"),
        ("/home/anna.b/models/mine/", "mine"),
        ("~/mine", "mine"),
        ("./mine", "mine"),
        ("s3://bucket/a/mine", "mine"),
        ("C:\\Users\\anna\\mine", "mine"),
    ],
)
def test_a_folder_of_models_does_not_say_whose_it_is(model: str, shown: str) -> None:
    assert brief(model) == shown


def test_steps_as_csv_are_numbered() -> None:
    found = {"direct": pipeline_steps(load_config(ExtractConfig, "configs/paper/gemini_direct.yaml", []))}
    assert [(n["system"], n["step"], n["what"], n["model"]) for n in lines(pipelines_csv(found))] == [
        ("direct", "1", "videos", ""),
        ("direct", "2", "values", GEMINI),
    ]


def test_the_picture_says_who_did_what_with_which_model() -> None:
    paths = {"direct $\\frac{": "gemini_direct", "two <script>": "gemini_two_step"}
    found = {
        name: pipeline_steps(load_config(ExtractConfig, f"configs/paper/{path}.yaml", []))
        for name, path in paths.items()
    }
    with styled():
        picture = render(pipelines(found), "svg")
    assert b"<script" not in picture
    words = [text for part in ElementTree.fromstring(picture).itertext() if (text := part.strip())]
    assert [words.count(word) for word in ("videos", "script", "values", GEMINI)] == [2, 1, 2, 3]
    assert set(paths) <= set(words)
