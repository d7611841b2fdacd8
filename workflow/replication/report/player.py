"""The frames of an animation for the report's player, which can stop at any of them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageSequence, UnidentifiedImageError

from replication.errors import DataError


@dataclass(frozen=True)
class Frames:
    """The pictures of a player (PNGs, base64), a label for each, their width in pixels, and how long each is shown."""

    pictures: list[str]
    labels: list[str]
    width: int
    every_ms: int


def read_frames(path: Path) -> Frames:
    """The pictures of a GIF; their labels are the lines of its comment.

    Raises DataError, naming the file, if it is not a GIF or does not have one label per picture.
    """
    try:
        with Image.open(path, formats=["GIF"]) as gif:
            labels = bytes(gif.info.get("comment", b"")).decode().splitlines()
            width, every = gif.width, int(gif.info.get("duration", 0))
            pictures = [_png(frame) for frame in ImageSequence.Iterator(gif)]
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise DataError(f"{path}: not an animation ({error}); delete it and draw it again") from None
    if len(labels) != len(pictures):
        raise DataError(f"{path}: {len(pictures)} pictures with {len(labels)} labels; delete it and draw it again")
    return Frames(pictures, labels, width, every)


def _png(frame: Image.Image) -> str:
    buffer = io.BytesIO()
    # The frames share one palette, so no colour is lost; a GIF's later frames come as differences, in full colour.
    frame.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
