"""Warnings that stand wherever results are shown or handed on."""

from typing import Final

LOCAL_NOTICE: Final = (
    "Demo quality, English speech only. These values come from the embedded default: a small speech recogniser, "
    "Tesseract and sentence embeddings, without looking at what the picture shows. Do not draw conclusions "
    "about people from them."
)
