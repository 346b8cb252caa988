"""Make the example clips, their manifest and their labels: `python examples/make_clips.py`.

Everything in them is drawn by the scenes below, spoken by espeak-ng or synthesised, so nobody's pictures,
voice or music are in the repository. The labels are true by construction: each text was written to convey
them, before any model saw it. The same versions of espeak-ng, Pillow and FFmpeg give the same pictures and
sound; x264 may pack the same pictures a little differently from one run to the next.

    CLIPS --speak, beat--> sound --frames--> clips/<video_id>.mp4, with videos.csv and labels.csv

S samples of sound at RATE.
"""

import argparse
import csv
import itertools
import math
import random
import subprocess
import tempfile
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from tikval.values import SLUGS, Stance

WIDTH, HEIGHT, FPS = 360, 640, 24
SCALE: Final = 2  # drawn twice as large and reduced, because PIL's shapes have no smooth edges
RATE: Final = 22050  # Hz, espeak-ng's own
CRF: Final = 30
BROKEN_BYTES: Final = 2048  # an upload that stopped here has no index (moov box) and cannot be opened

YES, MAIN, NO = Stance.ENDORSED, Stance.DOMINANT, Stance.CONFRONTED
Point = tuple[float, float]


class Caption(NamedTuple):
    text: str
    start: float  # share of the clip
    end: float
    style: Literal["outline", "box", "yellow"] = "outline"
    y: int = 92  # centre, pixels from the top


class Voice(NamedTuple):
    name: str  # espeak-ng's, with a variant
    pitch: int  # 0 to 99
    wpm: int = 155


@dataclass(frozen=True)
class Clip:
    video_id: str
    account: str
    genre: str
    posted_at: str
    scene: "Scene"
    labels: dict[str, Stance]
    speech: str = ""
    voice: Voice | None = None
    captions: tuple[Caption, ...] = ()
    post: str = ""  # the text posted with the video
    watermark: bool = False  # the account's handle printed into the picture, as platforms do
    broken: bool = False


# --- drawing: coordinates are pixels of the finished picture, x to the right, y down


class Canvas:
    def __init__(self, top: str, bottom: str) -> None:
        self.image = _gradient(top, bottom).copy()
        self._draw = ImageDraw.Draw(self.image)

    def disc(self, x: float, y: float, r: float, fill: str, ry: float | None = None) -> None:
        box = (x - r, y - (ry or r), x + r, y + (ry or r))
        self._draw.ellipse([v * SCALE for v in box], fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: str, radius: float = 0) -> None:
        self._draw.rounded_rectangle([v * SCALE for v in (x0, y0, x1, y1)], radius * SCALE, fill=fill)

    def poly(self, points: Sequence[Point], fill: str) -> None:
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=fill)

    def line(self, points: Sequence[Point], fill: str, width: float) -> None:
        self._draw.line(
            [(x * SCALE, y * SCALE) for x, y in points], fill, round(width * SCALE), joint="curve"
        )
        for x, y in (points[0], points[-1]):  # round ends
            self.disc(x, y, width / 2, fill)

    def wave(self, y: float, height: float, length: float, phase: float, fill: str) -> None:
        """Fill everything below a sine wave."""
        crest = [
            (float(x), y + height * math.sin(math.tau * x / length + phase)) for x in range(0, WIDTH + 9, 8)
        ]
        self.poly([*crest, (WIDTH, HEIGHT), (0, HEIGHT)], fill)

    def star(
        self, x: float, y: float, r: float, fill: str, tips: int = 5, turn: float = 0, inner: float = 0.45
    ) -> None:
        radii = [r, r * inner] * tips
        angles = [turn + math.pi * i / tips for i in range(2 * tips)]
        self.poly(
            [(x + s * math.sin(a), y - s * math.cos(a)) for s, a in zip(radii, angles, strict=True)], fill
        )

    def rays(self, x: float, y: float, turn: float, fill: str, n: int = 9) -> None:
        for i in range(n):
            a, b = turn + math.tau * i / n, turn + math.tau * (i + 0.5) / n
            self.poly(
                [
                    (x, y),
                    (x + 900 * math.cos(a), y + 900 * math.sin(a)),
                    (x + 900 * math.cos(b), y + 900 * math.sin(b)),
                ],
                fill,
            )

    def person(
        self, x: float, y: float, h: float, shirt: str, skin: str = "#e8b48c", lean: float = 0,
        arms: float = -0.9, step: float = 0, hair: str = "#3a2a22",
    ) -> None:  # fmt: skip
        """Draw a person with the feet at (x, y), h pixels high; `lean` and `arms` in radians, `step` from -1 to 1."""

        def at(u: float, v: float) -> Point:
            return (
                x + h * (u * math.cos(lean) + v * math.sin(lean)),
                y - h * (v * math.cos(lean) - u * math.sin(lean)),
            )

        for side in (-1, 1):
            self.line([at(0, 0.45), at(side * (0.06 + 0.08 * step), 0)], "#2b3a67", h * 0.09)
            hand = at(side * 0.32 * math.cos(arms), 0.68 + 0.32 * math.sin(arms))
            self.line([at(side * 0.06, 0.68), hand], skin, h * 0.065)
        self.line([at(0, 0.45), at(0, 0.67)], shirt, h * 0.2)
        self.disc(*at(0, 0.9), h * 0.12, hair)
        self.disc(*at(0, 0.87), h * 0.1, skin)

    def puff(self, x: float, y: float, r: float, fill: str) -> None:
        for dx, dy, s in ((-0.9, 0.1, 0.7), (0, -0.25, 1.0), (0.9, 0.1, 0.75), (0, 0.3, 0.8)):
            self.disc(x + dx * r, y + dy * r, s * r, fill)


Scene = Callable[[float], Canvas]  # seconds from the start -> the picture


@lru_cache
def _gradient(top: str, bottom: str) -> Image.Image:
    share = np.linspace(0, 1, HEIGHT * SCALE)[:, None]
    column = (1 - share) * np.array(ImageColor.getrgb(top)) + share * np.array(ImageColor.getrgb(bottom))
    pixels = np.broadcast_to(column[:, None, :], (HEIGHT * SCALE, WIDTH * SCALE, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def _specks(n: int, seed: int) -> list[tuple[float, float, float]]:
    draw = random.Random(seed)
    return [(draw.random(), draw.random(), draw.random()) for _ in range(n)]


def half_pipe(t: float) -> Canvas:
    c = Canvas("#ff9a56", "#ffe3a8")
    c.disc(270, 210, 44, "#fff1c9")
    c.puff((60 + 22 * t) % 460 - 50, 200, 24, "#ffd0a0")
    c.wave(380, 18, 260, 1.0, "#c9705a")
    rim = [(180 + 160 * math.sin(a / 20), 340 + 170 * math.cos(a / 20)) for a in range(-31, 32)]
    c.poly([(0, 345), *rim, (WIDTH, 345), (WIDTH, HEIGHT), (0, HEIGHT)], "#5b5f77")
    c.line(rim, "#d7dbe8", 5)
    a = 1.35 * math.cos(2.1 * t)
    x, y = 180 + 153 * math.sin(a), 340 + 163 * math.cos(a)
    c.line(
        [(x - 24 * math.cos(a), y + 24 * math.sin(a)), (x + 24 * math.cos(a), y - 24 * math.sin(a))],
        "#e63946",
        7,
    )
    c.person(x, y - 5, 92, "#2a9d8f", lean=-a, arms=0.3 + 0.5 * math.sin(5 * t), step=1)
    return c


def town_hall(t: float) -> Canvas:
    c = Canvas("#7cc6fe", "#e8f6ff")
    for i in range(3):
        c.puff((i * 150 + 18 * t) % 480 - 60, 170 + 30 * (i % 2), 22, "#ffffff")
    c.poly([(40, 270), (180, 200), (320, 270)], "#d9b382")
    c.box(50, 270, 310, 420, "#f0dfc0")
    for x in range(62, 300, 48):
        c.box(x, 275, x + 22, 420, "#fff8ea", 4)
    c.box(158, 320, 204, 420, "#7a4b2a", 6)
    c.box(30, 420, 330, 446, "#b8a58a")  # the one step
    c.box(0, 446, WIDTH, HEIGHT, "#8fb573")
    for i, shirt in enumerate(("#e76f51", "#264653", "#f4a261")):
        x, hop = 60 + 48 * i, 6 * abs(math.sin(3 * t + i))
        c.person(x, 560 - hop, 100, shirt, skin=("#e8b48c", "#8d5b3e", "#f0c9a4")[i], arms=1.2)
        c.box(x - 20, 418 - hop, x + 20, 446 - hop, "#ffffff", 4)
        c.disc(x, 432 - hop, 7, "#e63946")
    roll = 14 * math.sin(1.6 * t)  # somebody in a wheelchair who gets to the step and back
    c.disc(262 + roll, 536, 34, "#333333")
    c.disc(262 + roll, 536, 28, "#cfd6dc")
    for k in range(4):
        a = roll / 34 + k * math.pi / 4
        dx, dy = 28 * math.cos(a), 28 * math.sin(a)
        c.line([(262 + roll - dx, 536 - dy), (262 + roll + dx, 536 + dy)], "#777777", 2)
    c.line([(262 + roll, 520), (262 + roll, 478)], "#9b5de5", 24)
    c.line([(262 + roll, 520), (228 + roll, 520), (224 + roll, 552)], "#2b3a67", 13)
    c.line([(262 + roll, 490), (232 + roll, 500)], "#8d5b3e", 8)
    c.disc(260 + roll, 450, 15, "#3a2a22")
    c.disc(258 + roll, 453, 13, "#8d5b3e")
    return c


def gear_lamp(t: float) -> Canvas:
    c = Canvas("#1d2b3a", "#33475b")
    glow = 0.5 + 0.5 * math.sin(1.5 * t)
    for k in range(5, 0, -1):
        shade = round(40 + (6 - k) * 30 * glow)
        c.disc(180, 240, 24 + 16 * k, f"#{min(shade + 30, 255):02x}{min(shade + 14, 255):02x}46")
    c.disc(180, 240, 36, "#fff3b0")
    c.box(164, 268, 196, 296, "#9aa5b1", 4)
    c.line([(180, 296), (180, 350)], "#9aa5b1", 7)
    for x, y, r, teeth, fill, turn in (
        (112, 420, 62, 12, "#d4a24c", t), (226, 392, 46, 9, "#b5653a", 0.35 - t * 12 / 9),
        (262, 490, 54, 10, "#c0c5ce", t * 12 / 10),
    ):  # fmt: skip
        c.star(x, y, r + 9, fill, teeth, turn, 0.84)
        c.disc(x, y, r - 16, "#33475b")
        for k in range(3):
            a = -turn + k * math.tau / 3
            c.line([(x, y), (x + (r - 12) * math.cos(a), y - (r - 12) * math.sin(a))], fill, 8)
        c.disc(x, y, 12, fill)
    return c


def paint_tubes(t: float) -> Canvas:
    c = Canvas("#fbf5e9", "#efe2c8")
    c.box(0, 430, WIDTH, HEIGHT, "#c79a6b")
    for k in range(4):
        c.line([(0, 465 + 45 * k), (WIDTH, 460 + 45 * k)], "#b98a5a", 2)
    shift = 12 * math.sin(1.2 * t)  # the camera pans to and fro
    for i, fill in enumerate(("#f7d23e", "#f28c28", "#d7263d", "#7b3fa0", "#2767c9")):
        x = 52 + 64 * i
        c.box(x - 24 + shift / 2, 250, x + 24 + shift / 2, 430, "#ffffff", 8)
        c.box(x - 24 + shift / 2, 300, x + 24 + shift / 2, 392, fill)
        c.box(x - 10 + shift / 2, 226, x + 10 + shift / 2, 250, "#444444", 3)
        c.box(x - 17 + shift, 400, x + 17 + shift, 520, "#f6f6f6", 7)
        c.box(x - 17 + shift, 432, x + 17 + shift, 494, fill)
        c.box(x - 8 + shift, 384, x + 8 + shift, 400, "#222222", 3)
    return c


def gold_jar(t: float) -> Canvas:
    c = Canvas("#2d0b3a", "#7a1e5b")
    c.rays(180, 360, 0.1 * t, "#6a1a58")
    c.disc(180, 480, 130, "#3a0d3c", 26)
    c.box(96, 330, 264, 476, "#fff3d6", 26)
    c.box(96, 384, 264, 432, "#d4af37")
    c.star(180, 408, 18, "#fff3d6", 4, 0.4 * t, 0.35)
    lift = 16 + 12 * math.sin(1.8 * t)
    c.box(90, 290 - lift, 270, 332 - lift, "#d4af37", 12)
    c.box(100, 297 - lift, 260, 305 - lift, "#f6df8d", 4)
    for x, y, s in _specks(30, 5):
        fall = (y + t * (0.06 + 0.08 * s)) % 1
        c.star(WIDTH * x, HEIGHT * fall, 3 + 7 * s * abs(math.sin(2 * t + 9 * x)), "#ffe08a", 4, inner=0.3)
    return c


def wig_live(t: float) -> Canvas:
    c = Canvas("#ff8fc7", "#ffd6e8")
    for i in range(-2, 9):  # stripes that pan
        x = 60 * i + (24 * t) % 60
        c.poly([(x, 0), (x + 28, 0), (x - 72, HEIGHT), (x - 100, HEIGHT)], "#ff9ece")
    c.box(74, 470, 286, 700, "#6a4c93", 70)
    c.box(152, 420, 208, 490, "#e0a57e", 20)
    c.disc(180, 350, 82, "#e8b48c", 96)
    for side in (-1, 1):
        c.disc(180 + side * 32, 345, 15, "#ffffff", 19)
        c.disc(180 + side * 32, 348 + 2 * math.sin(7 * t), 8, "#3a2a22")
        c.line([(180 + side * 48, 320), (180 + side * 20, 311)], "#5a3b28", 5)
        c.disc(180 + side * 52, 384, 15, "#ff7f8a")
    c.disc(180, 406, 15, "#8a2339", 10 + 7 * abs(math.sin(4 * t)))
    fly = 60 * abs(math.sin(1.3 * t)) + 10  # the wig jumps off and flops back
    swing = 14 * math.sin(2.6 * t)
    c.puff(180 + swing, 270 - fly, 62, "#f2c230")
    for k in range(-3, 4):
        c.line([(180 + swing + 28 * k, 275 - fly), (180 + swing * 2 + 32 * k, 322 - fly)], "#e0ac1c", 18)
    for x, y, s in _specks(12, 11):
        rise = HEIGHT - ((y + t * (0.12 + 0.1 * s)) % 1) * 480
        c.disc(318 + 26 * math.sin(9 * x + t), rise, 11, ("#ffffff", "#ff4d6d", "#ffd166")[int(3 * x)])
    return c


def dumplings(t: float) -> Canvas:
    c = Canvas("#7a1f1f", "#b5412f")
    for i in range(5):  # lanterns
        hang, sway = 36 + 72 * i, 5 * math.sin(1.7 * t + i)
        c.line([(hang, 150), (hang + sway, 186)], "#f6c453", 2)
        c.disc(hang + sway, 206, 21, "#e63b2e", 18)
        c.box(hang + sway - 9, 184, hang + sway + 9, 190, "#f6c453")
    c.box(0, 450, WIDTH, HEIGHT, "#8a5a35")
    c.disc(180, 440, 146, "#c99a5b", 62)
    c.disc(180, 432, 146, "#e2ba7d", 60)
    c.disc(180, 430, 128, "#f3dcae", 48)
    for i in range(7):
        a = math.tau * i / 7 + 0.25 * t
        x, y = 180 + 88 * math.cos(a), 424 + 28 * math.sin(a)
        c.disc(x, y, 25, "#fffaf0", 17)
        c.line([(x - 13, y - 9), (x - 4, y - 15), (x + 6, y - 14), (x + 14, y - 8)], "#e4d3b3", 3)
    c.disc(180, 422, 25, "#fffaf0", 17)
    for i in range(3):
        for k in range(7):
            rise = 390 - 20 * k - (34 * t) % 20
            c.disc(120 + 60 * i + 10 * math.sin(0.08 * rise + 2 * t + i), rise, max(9 - k, 2), "#d9948a")
    roll = 30 * math.sin(2.4 * t)
    c.line([(110 + roll, 560), (250 + roll, 544)], "#d9a066", 24)
    c.line([(86 + roll, 563), (274 + roll, 541)], "#a86f3a", 11)
    return c


def caramel_cake(t: float) -> Canvas:
    c = Canvas("#33224f", "#84518f")
    for x, y, s in _specks(26, 3):
        c.disc(WIDTH * x, 420 * y, 2 + 5 * s * abs(math.sin(t + 8 * x)), "#f7d6a8")
    c.box(0, 520, WIDTH, HEIGHT, "#55314f")
    c.disc(180, 522, 150, "#f2e9f7", 26)
    for y0, y1, half, fill in (
        (430, 520, 118, "#f6d7b0"),
        (350, 434, 90, "#fbe8d0"),
        (286, 354, 60, "#f6d7b0"),
    ):
        c.box(180 - half, y0, 180 + half, y1, fill, 14)
        c.box(180 - half, y0, 180 + half, y0 + 20, "#b5651d", 9)
        for k in range(-half + 12, half, 24):  # caramel that runs down
            c.line([(180 + k, y0 + 12), (180 + k, y0 + 24 + 12 * (1 + math.sin(k + 0.9 * t)))], "#b5651d", 11)
    for k in range(-2, 3):
        hop = 14 * abs(math.sin(3 * t + k))
        c.disc(180 + 24 * k, 276 - hop, 11, "#d7263d")
        c.line([(180 + 24 * k, 267 - hop), (186 + 24 * k, 252 - hop)], "#4f772d", 2)
    dip = 24 * math.sin(2 * t)  # a spoon that comes for some
    c.line([(344, 240 + dip), (290, 330 + dip)], "#dfe4ea", 7)
    c.disc(282, 344 + dip, 16, "#dfe4ea", 22)
    return c


def lake(t: float) -> Canvas:
    c = Canvas("#ffb677", "#ffe9c7")
    c.disc(180, 285, 56, "#fff4d2")
    c.wave(300, 26, 300, 0.5, "#5f8d6b")
    c.wave(324, 20, 210, 2.5, "#3f6f56")
    for i, (y, fill) in enumerate(((360, "#4aa3c7"), (410, "#348cb3"))):
        c.wave(y, 7, 120, (1.6 + i) * t, fill)
    bob, x = 6 * math.sin(2 * t), 150 + 40 * math.sin(0.5 * t)
    for dx, shirt, skin in ((-34, "#ffb703", "#8d5b3e"), (36, "#e63946", "#e8b48c")):
        c.person(x + dx, 492 + bob, 96, shirt, skin, arms=-0.5 + 0.5 * math.sin(3 * t + dx))
    c.disc(x + 2, 462 + bob, 22, "#4c7a34", 26)  # the sack
    c.poly([(x - 100, 462 + bob), (x + 104, 462 + bob), (x + 76, 500 + bob), (x - 72, 500 + bob)], "#8c3b1f")
    c.wave(492, 7, 140, 3.4 * t, "#23739b")
    for k in range(3):
        cx = (90 + 130 * k - 26 * t) % 420 - 30
        c.box(cx, 508 + 16 * k, cx + 16, 536 + 16 * k, ("#d62828", "#e9ecef", "#f4a261")[k], 4)
    for k in range(6):  # reeds
        c.line([(318 + 8 * k, 560), (312 + 9 * k + 5 * math.sin(t + k), 430 + 9 * k)], "#42682f", 4)
    return c


def soap_fountain(t: float) -> Canvas:
    c = Canvas("#8bd3f7", "#f3fbff")
    for i in range(6):
        c.box(62 * i - 4, 230 - 26 * (i % 3), 62 * i + 52, 430, ("#e5c9a8", "#d9b08c", "#eedcc2")[i % 3])
        for k in range(4):
            c.box(62 * i + 14, 260 + 40 * k, 62 * i + 34, 282 + 40 * k, "#9cc5d8", 2)
    c.box(0, 425, WIDTH, HEIGHT, "#c9bfb0")
    c.box(128, 330, 148, 450, "#9aa0a6", 5)
    for side in (-1, 1):
        jet = [(138 + side * 6 * k, 330 - 30 * math.sin(k / 3.2) + 1.1 * k * k) for k in range(10)]
        c.line(jet, "#5ec2f0", 7)
    c.box(28, 450, 248, 500, "#8d949b", 16)
    height = 24 + 14 * min(t, 9)  # the foam grows from second to second
    for x, y, s in _specks(70, 8):
        c.disc(
            24 + 230 * x,
            462 - height * y * math.sin(math.pi * x) + 5 * math.sin(3 * t + 20 * x),
            9 + 13 * s,
            "#ffffff",
        )
        c.disc(
            22 + 230 * x,
            458 - height * y * math.sin(math.pi * x) + 5 * math.sin(3 * t + 20 * x),
            3 + 3 * s,
            "#dff3ff",
        )
    for x, y, s in _specks(14, 9):
        c.disc(WIDTH * x + 12 * math.sin(t + 9 * s), 430 - (300 * y + 50 * t) % 330, 6 + 8 * s, "#e2f5ff")
    shake = 4 * math.sin(22 * t)
    c.person(300 + shake, 560, 130, "#6d597a", arms=1.0 + 0.3 * math.sin(16 * t), hair="#e8e8e8")
    for k in range(3):  # anger
        c.line([(286 + 14 * k, 418 + shake), (280 + 20 * k, 400 + shake)], "#d62828", 4)
    return c


def beach(t: float) -> Canvas:
    c = Canvas("#29b6f6", "#b3ecff")
    c.rays(300, 170, 0.2 * t, "#45c2f8")
    c.disc(300, 170, 46, "#ffe066")
    c.wave(330, 6, 150, 1.5 * t, "#1b7fb5")
    c.wave(366, 7, 120, 2.2 * t + 1, "#2aa1d6")
    c.wave(410 + 8 * math.sin(t), 8, 200, 0.8 * t, "#f9f4e3")
    c.wave(420 + 8 * math.sin(t), 8, 200, 0.8 * t, "#f2d399")
    c.line([(46, 470), (60, 380), (52, 300)], "#8a5a35", 13)
    for k in range(6):
        a = k * math.pi / 5 + 0.07 * math.sin(2 * t + k)
        c.line(
            [
                (52, 300),
                (52 + 46 * math.cos(a), 282 - 22 * math.sin(a)),
                (52 + 74 * math.cos(a), 318 - 24 * math.sin(a)),
            ],
            "#2d8a4e",
            9,
        )
    for k, phase in enumerate((0.0, 0.9)):  # two rings that bounce in the sand
        x, hop = 150 + 96 * k, 90 * abs(math.sin(2.2 * t + phase))
        c.disc(x, 566, 34 - hop / 6, "#d9b877", 8)
        c.disc(x, 530 - hop, 34, "#e0a920")
        c.disc(x, 530 - hop, 24, "#f2d399" if hop < 60 else "#f2e2b8")
        c.star(x, 488 - hop, 13, "#eafcff", 4, t, 0.5)
    return c


def ladder(t: float) -> Canvas:
    c = Canvas("#1a1a40", "#4b2a7b")
    if t > 6.5:  # at the top
        c.rays(318, 270, 0.3 * t, "#5a3790", 8)
    for x, y, s in _specks(30, 2):
        c.box(WIDTH * x, 560 * y, WIDTH * x + 2 + 3 * s, 560 * y + 2 + 3 * s, "#9d8df1")
    for k in range(6):
        c.box(20 + 54 * k, 560 - 40 * k, 76 + 54 * k, HEIGHT, ("#06d6a0", "#05b88a")[k % 2])
        c.box(20 + 54 * k, 560 - 40 * k, 76 + 54 * k, 570 - 40 * k, "#bffff0")
    step = min(t * 0.75, 4.999)  # one stair in 1.3 seconds, then hops at the top
    k = int(step)
    x, y = 48 + 54 * step, 560 - 40 * (k + (step > k + 0.5)) - 46 * math.sin(math.pi * (t * 0.75 % 1))
    for bx, by, w, h, fill in (
        (-16, -52, 32, 22, "#ffd9b3"), (-16, -58, 32, 10, "#ef476f"), (-18, -30, 36, 20, "#118ab2"),
        (-16, -10, 12, 10, "#222222"), (4, -10, 12, 10, "#222222"), (2, -46, 6, 6, "#222222"),
    ):  # fmt: skip
        c.box(x + bx, y + by, x + bx + w, y + by + h, fill)
    c.box(290, 228, 346, 274, "#ffd166", 12)
    c.box(312, 270, 324, 300, "#ffd166")
    c.box(298, 298, 338, 312, "#f4a261", 3)
    c.star(318, 250, 14, "#fff6d6", turn=0.5 * math.sin(3 * t))
    for x, y, s in _specks(24, 7):
        fall = (y + 0.25 * t) % 1
        c.box(
            WIDTH * x,
            420 * fall,
            WIDTH * x + 7,
            420 * fall + 5 + 4 * s,
            ("#ef476f", "#ffd166", "#06d6a0")[int(3 * s)],
        )
    return c


def castle(t: float) -> Canvas:
    c = Canvas("#0b2545", "#3e6990")
    c.disc(66, 190, 34, "#f4f1de")
    for x, y, s in _specks(34, 4):
        c.disc(WIDTH * x, 330 * y, 1 + 1.6 * s * abs(math.sin(2 * t + 20 * x)), "#ffffff")
    c.box(0, 500, WIDTH, HEIGHT, "#2f4f3a")
    for x0, x1, top in ((60, 300, 360), (40, 104, 300), (256, 320, 300), (140, 220, 250)):
        c.box(x0, top, x1, 505, "#8d8fa3" if top < 360 else "#777a91")
        for x in range(x0, x1 - 8, 22):
            c.box(x, top - 14, x + 13, top, "#8d8fa3" if top < 360 else "#777a91")
    c.box(152, 430, 208, 505, "#2b1d14", 26)
    for x, top in ((72, 286), (288, 286)):
        c.line([(x, top), (x, top - 50)], "#e5e5e5", 3)
        flag = [(x + 6.0 * k, top - 48 + 4 * math.sin(k - 6 * t)) for k in range(8)]
        c.poly([*flag, *[(fx, fy + 24) for fx, fy in reversed(flag)]], "#d62828")
    crown = 208 + 6 * math.sin(2 * t)
    peaks = (0, 40, 16, 46, 16, 40, 0)
    c.poly([(150 + 10 * k, crown - peak) for k, peak in enumerate(peaks)], "#ffd60a")
    for k in range(6):  # a row of servants who bow
        bow = max(0.0, math.sin(1.9 * t - 0.4 * k))
        c.person(40 + 56 * k, 590, 74, ("#588157", "#a3b18a")[k % 2], lean=1.1 * bow, arms=-0.6 - bow)
    return c


def crate_slots(t: float) -> Canvas:
    c = Canvas("#3b4a54", "#26323a")
    c.box(30, 190, 330, 500, "#1b242a", 14)
    c.box(38, 198, 322, 492, "#50616d", 10)
    slot = int(t / 2.1) % 4
    for i in range(4):
        x, y = 54 + 132 * (i % 2), 214 + 138 * (i // 2)
        if i == slot:
            c.box(x - 6, y - 6, x + 126, y + 126, "#ffd166", 10)
        c.box(x, y, x + 120, y + 120, "#2c3a43", 6)
    wobble = 4 * math.sin(4 * t)
    for k in range(4):
        c.disc(114, 286 - 11 * k + wobble * (slot == 0), 38, "#c2a26b", 15)
        c.disc(114, 284 - 11 * k + wobble * (slot == 0), 22, "#2c3a43" if k == 3 else "#a98a55", 7)
    for k in range(4):
        plank = 238 + 20 * k + wobble * (slot == 1)
        c.box(200, plank, 292, plank + 14, "#b07d4f", 2)
    rim = 372 + wobble * (slot == 2)
    c.poly([(76, rim + 10), (152, rim + 10), (142, rim + 84), (86, rim + 84)], "#9fb3c1")
    c.disc(114, rim + 10, 38, "#d7e3ea", 11)
    c.disc(114, rim + 12, 31, "#5d717e", 8)
    px, py = 100 + 132 * (slot % 2) + 8 * math.sin(3 * t), 300 + 138 * (slot // 2) + 6 * math.cos(3 * t)
    c.poly([(px, py), (px + 26, py + 22), (px + 13, py + 24), (px + 6, py + 36)], "#ffffff")
    return c


def studio(t: float) -> Canvas:
    c = Canvas("#14081f", "#3a1450")
    for k, fill in enumerate(("#472066", "#5a1f5f", "#2f2a72")):
        a = 0.45 * math.sin(1.1 * t + 2 * k)
        top = 70 + 110 * k
        c.poly(
            [
                (top - 8, 0),
                (top + 8, 0),
                (top + 560 * math.tan(a) + 80, 560),
                (top + 560 * math.tan(a) - 80, 560),
            ],
            fill,
        )
    for row in range(3):
        for col in range(6):
            lit = (row * 2 + col + int(2 * t)) % 4
            x0, y0 = col * 60, 540 + row * 36
            c.box(x0 + 2, y0 + 2, x0 + 58, y0 + 34, ("#ff006e", "#8338ec", "#3a86ff", "#2a1240")[lit], 5)
    beat = abs(math.sin(math.pi * t))  # 120 beats a minute, like the sound
    c.disc(180, 585, 66 - 16 * beat, "#1a0a26", 12)
    c.person(180 + 26 * math.sin(math.pi * t / 2), 582 - 24 * beat, 250, "#ffbe0b", "#a86b45",
             lean=0.18 * math.sin(math.pi * t), arms=1.1 * math.sin(math.pi * t), step=0.5 + beat)  # fmt: skip
    return c


def circle_dance(t: float) -> Canvas:
    c = Canvas("#0f8b8d", "#9be7c4")
    c.rays(180, 400, 0.1, "#2aa198", 11)
    c.disc(180, 470, 165, "#f6efe0", 82)
    c.disc(180, 470, 140, "#efe0c2", 68)
    shirts = ("#e63946", "#ffb703", "#8338ec", "#fb8500", "#023047")
    skins = ("#8d5b3e", "#f3d1b0", "#5b3a29", "#e8b48c", "#c98d63")
    heights = (150, 118, 140, 160, 128)
    ring = []
    for i, (shirt, skin, h) in enumerate(zip(shirts, skins, heights, strict=True)):
        a = 0.6 * t + math.tau * i / 5
        ring.append((470 + 62 * math.sin(a), 180 + 125 * math.cos(a), shirt, skin, h, i))
    for y, x, shirt, skin, h, i in sorted(ring):  # those behind first
        hop = 9 * abs(math.sin(3.3 * t + i))
        hair = ("#3a2a22", "#d98e04", "#111111", "#c0c0c0", "#111111")[i]
        c.person(
            x, y - hop, h, shirt, skin, arms=0.5 + 0.5 * math.sin(3 * t + i), step=math.sin(4 * t), hair=hair
        )
        if i == 1:  # and a crutch, which joins in
            c.line([(x + 26, y), (x + 32, y - 66 - hop)], "#6c757d", 5)
    return c


# --- the clips. Seven accounts, one for each genre of the paper's section 3.1

CLIPS: Final = (
    Clip(
        "skate_first_drop", "ramp.riley", "vlogging", "2026-03-02T16:20:00Z", half_pipe,
        {"stimulation": MAIN, "security_personal": NO},
        "Okay, this ramp is twice as high as anything I tried before. My legs are shaking and I love it. "
        "Three, two, one, let's go!",
        Voice("en-us+m3", 60),
        (Caption("never felt a rush like this", 0, 0.5),
         Caption("no pads, sprained wrist, still dropping in", 0.45, 1, "yellow", 560)),
        "Saturday with @ramp.riley at the big pipe, filmed by my brother",
    ),
    Clip(
        "library_one_step", "ramp.riley", "vlogging", "2026-03-19T09:05:00Z", town_hall,
        {"universalism_concern": MAIN},
        "Our library has one step and no ramp. Some people cannot get in, and that is not fair. "
        "We protest here until the door is open to everyone.",
        Voice("en-us+m3", 60),
        (Caption("same rights for all", 0, 0.55, "box"),
         Caption("1204 signatures for a ramp", 0.5, 1, "outline", 150)),
        "Public means public. Town hall, Thursday, bring a friend.",
    ),
    Clip(
        "broken_upload", "ramp.riley", "vlogging", "2026-04-01T20:45:00Z", lake,
        {"security_societal": MAIN},
        "The river is rising, so the whole town is filling sand bags tonight with the fire brigade. "
        "A place that prepares together stays safe together.",
        Voice("en-us+m3", 60),
        (Caption("flood drill, all districts", 0, 1),), "The upload of this one stopped half way", broken=True,
    ),
    Clip(
        "gear_lamp", "crafty_mo", "crafts and DIY", "2026-02-11T12:00:00Z", gear_lamp,
        {"self_direction_thought": MAIN},
        "No kit and no tutorial. I wondered if old clock gears could dim a lamp, so I drew it, "
        "broke it four times, and worked out why.",
        Voice("en-gb+f2", 55),
        (Caption("a lamp nobody has built before", 0, 0.5, "yellow"),
         Caption("stay curious, take things apart", 0.5, 1, "yellow", 580)),
        "Sketches in the comments #lamp #gears",
    ),
    Clip(
        "paint_row_tour", "crafty_mo", "crafts and DIY", "2026-02-25T12:00:00Z", paint_tubes, {},
        "From left to right the tubes are yellow, orange, red, violet and blue. "
        "The small tubes are in front, and the big tubes are behind them.",
        Voice("en-gb+f2", 55),
        (Caption("back row: 60 ml", 0, 0.5, "box"),
         Caption("front row: 12 ml", 0.5, 1, "box", 590)),
    ),
    Clip(
        "gold_flake_jar", "glow_with_ines", "beauty and skincare", "2026-01-30T18:30:00Z", gold_jar,
        {"power_resources": MAIN, "humility": NO},
        "Real gold flakes and crushed pearls, sent by private jet. "
        "One jar is four thousand dollars, and I bought a whole dozen.",
        Voice("en-us+f3", 50),
        (Caption("rich skin, rich life", 0, 0.55, "yellow"),
         Caption("I am out of your league, all of you", 0.5, 1, "outline", 570)),
        "Morning routine of the best face on your feed",
    ),
    Clip(
        "wig_live_stream", "glow_with_ines", "beauty and skincare", "2026-02-14T21:10:00Z", wig_live,
        {"face": NO},
        "I was live on camera when my wig fell off. Four thousand people saw it. "
        "Now I am a meme, and I just want to disappear.",
        Voice("en-us+f3", 50),
    ),
    Clip(
        "dumpling_fold", "nana_and_theo", "lifestyle", "2026-02-17T10:00:00Z", dumplings,
        {"tradition": MAIN, "benevolence_caring": YES},
        "My grandma learned this fold from her mother, who learned it from hers. "
        "Now the little one learns it too, so that our New Year table stays the same.",
        Voice("en-us+f2", 45),
        (Caption("five generations, one recipe", 0, 0.5),
         Caption("a plate for every neighbour we love", 0.5, 1, "box", 590)),
        "Happy New Year from our kitchen to yours",
    ),
    Clip(
        "caramel_cake", "nana_and_theo", "lifestyle", "2026-03-07T19:00:00Z", caramel_cake,
        {"hedonism": MAIN, "benevolence_caring": YES},
        "Warm caramel, whipped cream, and cherries on top. Forget the plates and grab a spoon. "
        "It is so soft and so sweet, I could live in it.",
        Voice("en-us+f2", 45),
        (Caption("baked to cheer up Theo after his operation", 0, 0.6),
         Caption("slow down and enjoy", 0.55, 1, "yellow", 590)),
    ),
    Clip(
        "lake_sack", "nana_and_theo", "lifestyle", "2026-04-12T08:15:00Z", lake,
        {"universalism_nature": MAIN},
        "Herons nest on this shore, and they need clean water. "
        "So each time we paddle, we collect the bottles that other people leave behind.",
        Voice("en-us+f2", 45),
        (Caption("sack number 12 this spring", 0, 0.5, "box"),
         Caption("protect the lake, it is their home", 0.5, 1, "outline", 150)),
        "Who paddles with us next Sunday?",
    ),
    Clip(
        "soap_fountain", "prank_depot", "entertainment and pranks", "2026-03-11T15:40:00Z", soap_fountain,
        {"conformity_rules": NO, "conformity_interpersonal": NO},
        "Touching the fountain is forbidden, it says here. "
        "So we pour in twenty bottles of soap! The old man is already yelling at us.",
        Voice("en-us+m7", 65),
        (Caption("laws are for boring people", 0, 0.5, "yellow"),
         Caption("ruining his day, LOL", 0.5, 1, "box", 600)),
        "Part 2 when this hits 10k",
    ),
    Clip(
        "rings_at_the_beach", "prank_depot", "entertainment and pranks", "2026-03-28T13:00:00Z", beach,
        {"benevolence_dependability": NO},
        "My cousin trusted me with the wedding rings. He is standing at the altar right now, "
        "and I am at the beach with both of them.",
        Voice("en-us+m7", 65),
        (Caption("I gave him my word, oops", 0, 0.55),
         Caption("worst best man ever", 0.5, 1, "box", 600)),
    ),
    Clip(
        "season_ladder", "pixel_pato", "gaming", "2026-01-18T22:00:00Z", ladder,
        {"achievement": MAIN, "humility": YES},
        "Rank one! Eleven hundred matches, and we finally stand on top of the season ladder. "
        "Look at that trophy, what a finish!",
        Voice("en-us+m1", 45),
        (Caption("top of 90 000 players", 0, 0.5, "yellow"),
         Caption("I was lucky, my team is better than me", 0.5, 1, "box", 150)),
        "New <b>personal best</b> & a short thank you <3",
    ),
    Clip(
        "castle_server", "pixel_pato", "gaming", "2026-02-08T20:30:00Z", castle,
        {"power_dominance": MAIN},
        "Welcome to my server. You build my walls, you watch my gate. "
        "If you say no to the king, you go to prison.",
        Voice("en-us+m1", 30),
        (Caption("bow when I log in", 0, 0.55),
         Caption("I command, they build", 0.5, 1, "yellow", 130)),
        "Rules of pixel_pato's kingdom", watermark=True,
    ),
    Clip(
        "crate_slots", "pixel_pato", "gaming", "2026-03-15T17:00:00Z", crate_slots, {},
        "The first box holds rope. The second box holds wood. "
        "The third box holds a bucket. The fourth box is empty.",
        Voice("en-us+m1", 45),
        (Caption("crate 7 of 12", 0, 1, "box", 130),
         Caption("size: two by two", 0.4, 1, "outline", 560)),
        "Storage room, second floor",
    ),
    Clip(
        "studio_for_me", "stepbystep_lu", "dancing, singing and lip-syncing", "2026-02-20T11:30:00Z", studio,
        {"self_direction_action": MAIN},
        captions=(
            Caption("law school was their plan", 0, 0.36, "outline", 150),
            Caption("today I chose the stage", 0.34, 0.7, "yellow", 210),
            Caption("nobody decides for me now", 0.66, 1, "box", 150),
        ),
        post="sound on",
    ),
    Clip(
        "circle_dance", "stepbystep_lu", "dancing, singing and lip-syncing", "2026-04-05T14:45:00Z", circle_dance,
        {"universalism_tolerance": MAIN},
        "We pray to different gods, we speak five languages, and one of us is blind. "
        "We ask, we listen, and nobody in this group has to change.",
        Voice("en-us+f4", 50),
        (Caption("different bodies, different faiths, one dance", 0, 0.55, "box"),
         Caption("come as you are", 0.5, 1, "yellow", 600)),
        "Our crew, every Sunday in the old gym",
    ),
)  # fmt: skip


# --- sound


def speak(text: str, voice: Voice) -> NDArray[np.int16]:
    """Mono samples at RATE, with a pause before and after. Needs espeak-ng."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        settings = ["-v", voice.name, "-s", str(voice.wpm), "-p", str(voice.pitch), "-g", "2"]
        subprocess.run(["espeak-ng", *settings, "-w", str(path), text], check=True)
        with wave.open(str(path)) as sound:
            if sound.getframerate() != RATE:
                raise ValueError(f"espeak-ng speaks at {sound.getframerate()} Hz, not {RATE}")
            samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16).astype(np.float32)
    samples *= 0.7 * 32767 / np.abs(samples).max()
    pause = np.zeros(2 * RATE // 5, np.float32)
    return np.concatenate([pause, samples, pause]).astype(np.int16)


def beat(seconds: int) -> NDArray[np.int16]:
    """A small tune at 120 beats a minute, for a clip in which nobody speaks."""
    t_S = np.arange(seconds * RATE) / RATE
    phase_S = t_S % 0.5  # since the last beat
    out_S = 0.5 * np.sin(2 * np.pi * 55 * phase_S * np.exp(-6 * phase_S)) * np.exp(-9 * phase_S)
    note_S = np.array([0, 3, 7, 10, 12, 10, 7, 3])[(t_S // 0.25).astype(int) % 8]  # semitones above A3
    out_S += 0.2 * np.sin(2 * np.pi * 220 * 2 ** (note_S / 12) * t_S) * np.exp(-8 * (t_S % 0.25))
    return np.asarray(0.8 * 32767 * out_S / np.abs(out_S).max(), np.int16)


# --- picture


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text in as few lines as the picture's width allows, of about the same length."""
    words, limit = text.split(), (WIDTH - 44) * SCALE
    for n in range(1, len(words) + 1):
        cuts = itertools.combinations(range(1, len(words)), n - 1)
        splits = [
            [" ".join(words[a:b]) for a, b in itertools.pairwise((0, *cut, len(words)))] for cut in cuts
        ]
        best = min(splits, key=lambda lines: max(font.getlength(line) for line in lines))
        if max(font.getlength(line) for line in best) <= limit:
            return "\n".join(best)
    raise ValueError(f"a word of {text!r} is wider than the picture")


@lru_cache
def _overlay(text: str, style: str, y: int, size: int) -> Image.Image:
    """One caption on an empty layer of the size of a drawn picture, wrapped at its width."""
    layer = Image.new("RGBA", (WIDTH * SCALE, HEIGHT * SCALE))
    draw = ImageDraw.Draw(layer)
    font = ImageFont.load_default(size * SCALE)
    wrapped, centre = _wrap(text, font), (WIDTH * SCALE // 2, y * SCALE)
    if style == "box":
        edge = draw.multiline_textbbox(centre, wrapped, font, anchor="mm", align="center")
        pad = 9 * SCALE
        frame = (edge[0] - pad, edge[1] - pad, edge[2] + pad, edge[3] + pad)
        draw.rounded_rectangle(frame, 8 * SCALE, fill="#fffdf5")
        draw.multiline_text(centre, wrapped, "#111111", font, "mm", align="center")
    else:
        fill = {"outline": "#ffffff", "yellow": "#ffe81f"}[style]
        draw.multiline_text(
            centre, wrapped, fill, font, "mm", align="center", stroke_width=3 * SCALE, stroke_fill="#15151c"
        )
    return layer


def frames(clip: Clip, seconds: float, fps: int = FPS) -> Iterator[Image.Image]:
    """The pictures of a clip, captions and all, `fps` of them a second."""
    n = math.ceil(seconds * fps)
    for i in range(n):
        picture = clip.scene(i / fps).image
        layers = [
            _overlay(cap.text, cap.style, cap.y, 28) for cap in clip.captions if cap.start <= i / n < cap.end
        ]
        if clip.watermark:
            layers.append(_overlay(f"@{clip.account}", "outline", 616, 16))
        for layer in layers:
            picture.paste(layer, (0, 0), layer)
        yield picture.reduce(SCALE)


def encode(clip: Clip, path: Path) -> None:
    samples = speak(clip.speech, clip.voice) if clip.voice else beat(8)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", FPS, options={"crf": str(CRF), "preset": "slow", "threads": "1"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = out.add_stream("aac", 44100, layout="mono")
        audio.bit_rate = 64_000
        for picture in frames(clip, len(samples) / RATE):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
        out.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for resampled in av.AudioResampler("fltp", "mono", 44100).resample(frame):
            out.mux(audio.encode(resampled))
        out.mux(audio.encode(None))


# --- tables


def write_tables(folder: str, folder_of_tables: Path) -> None:
    with (folder_of_tables / "videos.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["path", "video_id", "account", "genre", "caption", "posted_at"])
        for clip in CLIPS:
            path = f"{folder}/{clip.video_id}.mp4"
            table.writerow([path, clip.video_id, clip.account, clip.genre, clip.post, clip.posted_at])
    with (folder_of_tables / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["video_id", "account", "annotator", *SLUGS])
        for clip in CLIPS:
            codes = [int(clip.labels[slug]) if slug in clip.labels else "" for slug in SLUGS]
            table.writerow([clip.video_id, clip.account, "construction", *codes])


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the example clips, their manifest and their labels.")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "clips", help="folder of the clips"
    )
    parser.add_argument(
        "--only", nargs="*", metavar="ID", help="make these clips alone (the tables are whole)"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    unknown = {slug for clip in CLIPS for slug in clip.labels} - set(SLUGS)
    assert not unknown, unknown
    write_tables(args.out.name, args.out.parent)
    for clip in CLIPS:
        if args.only and clip.video_id not in args.only:
            continue
        path = args.out / f"{clip.video_id}.mp4"
        encode(clip, path)
        if clip.broken:
            path.write_bytes(path.read_bytes()[:BROKEN_BYTES])
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
