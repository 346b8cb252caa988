"""How near VideoMAE comes to what a GPU can do: its rate from resident tensors over the rate of matrix products.

    python benchmarks/gpu_rate.py CHECKPOINT    # a folder with VideoMAE; needs a GPU

Both in bfloat16 on the same GPU. No Ray, no files: this is the limit of the encoding actor.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from tikval.config import CatalogConfig, EmbedConfig, Pictures, Pool
from tikval.embed.encoders import PictureEncoder
from tikval.embed.plan import make_plan


def matrix_rate(size: int = 8192) -> float:
    """Floating-point operations per second of large products of bfloat16 matrices."""
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / _seconds(lambda: a @ b)


def _seconds(work: Callable[[], Any], repeats: int = 20) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) / repeats


def videomae_rate(checkpoint: Path) -> dict[str, Any]:
    """Clips per second of the encoding actor's model by batch size, compiled or not, and the best one's share."""
    peak = matrix_rate()
    found: dict[str, float] = {}
    flops = 0
    for compiled in (False, True):
        for batch in (8, 16, 32, 64):
            config = EmbedConfig(
                out="unused",
                videos=CatalogConfig(out="unused", videos="unused"),
                video=Pictures(model=str(checkpoint)),
                sound=None,
                text=None,
                precision="bfloat16",
                compile=compiled,
                encode_pool=Pool(batch_rows=batch),
            )
            plan = make_plan(config, {}).pictures
            assert config.video is not None
            assert plan is not None
            encoder = PictureEncoder(config, config.video, plan)
            clips_NTHWC = np.zeros((batch, 16, *plan.crop_px, 3), np.uint8)
            x_NTCHW = encoder.prepare(clips_NTHWC)
            with torch.inference_mode():
                if not flops:
                    with FlopCounterMode(display=False) as counter:
                        encoder.model(pixel_values=x_NTCHW)
                    flops = counter.get_total_flops() // batch
                seconds = _seconds(lambda e=encoder, x=x_NTCHW: e.forward(pixel_values=x))  # type: ignore[misc]
            found[f"batch {batch}{', compiled' * compiled}"] = round(batch / seconds, 1)
    best = max(found, key=found.__getitem__)
    return {
        "gpu": torch.cuda.get_device_name(),
        "matrix rate, TFLOP/s": round(peak / 1e12, 1),
        "TFLOP a clip": round(flops / 1e12, 3),
        "clips per second, VideoMAE alone": found,
        "best": best,
        "clips_per_second": found[best],
        "share of the matrix rate": round(found[best] * flops / peak, 3),
    }


if __name__ == "__main__":
    print(json.dumps(videomae_rate(Path(sys.argv[1]))))
