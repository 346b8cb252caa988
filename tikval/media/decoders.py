"""Which library turns packets into pictures, and whether this machine has it. Light: the caller imports it too.

pyav    FFmpeg by PyAV, on one core: exact, and what everything here was measured with
decord  the package decord2: wrong pictures for some files (decord_reader.py)
nvdec   the same as pyav, with the decoding done by an NVIDIA GPU; never run by the authors
"""

import functools
import importlib.util

from tikval.media.reading import Decoder, MissingTool


def check_decoder(decoder: Decoder) -> None:
    """Raise MissingTool where a package is not installed; a GPU is not asked for: see check_gpu."""
    if decoder == "decord" and importlib.util.find_spec("decord") is None:
        raise MissingTool("decord", "pip install 'tikval[decord]' (the package decord2)")


@functools.cache
def check_gpu() -> None:
    """Raise MissingTool where no GPU can decode H.264. The worker calls it, as the caller may sit elsewhere."""
    import av
    from av.codec.hwaccel import HWAccel

    try:
        HWAccel(device_type="cuda").create(av.Codec("h264", "r"))
    except (av.FFmpegError, OSError, NotImplementedError, ValueError) as err:
        remedy = "it needs an NVIDIA GPU with its driver; else configure decoder: pyav"
        raise MissingTool("a GPU for decoder: nvdec", remedy) from err
