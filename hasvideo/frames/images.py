"""Pixels of image files of any kind that Pillow knows, and what trainings need of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hasvideo.errors import HasvideoError
from hasvideo.types import ImageInfo

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm"}
    | {".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)
"""How images are called. HEIC is among them, so that a folder's HEIC files are reported and not passed over."""

WEBP_ADVICE = "which is not read as a video: convert it to MP4, WebM or GIF"

OVERLAY_SUFFIX, MASK_SUFFIX, SEGMENTS_SUFFIX = ".cam.png", ".mask.png", ".segments.png"
"""How the pictures of localized images end: in a folder they are not taken for further images."""

_PREVIEW_FORMATS = ("MPO",)  # photos of two "frames", the second of which is a preview or the other eye's view


def read_image(path: str | Path) -> tuple[np.ndarray, ImageInfo]:
    """Read the pixels of an image as it is displayed, and its size.

    Orientation from EXIF is applied. Grey, palette, CMYK and other colours become RGB; 16 bits are scaled to 8;
    transparent parts are laid over white; of an animation, the first frame is taken, with a warning.

    Returns:
        uint8 ``(H, W, 3)``, RGB, and what the file says of itself.

    Raises:
        HasvideoError: there is no such file, or it is not an image, is cut off or damaged, has more pixels than Pillow
            takes for safe (179 million, ``PIL.Image.MAX_IMAGE_PIXELS`` twice), or pixels without a known range.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    _check_file(path)
    try:
        with Image.open(path) as image:
            _warn_of_frames(image, path)
            pixels = np.array(_to_rgb(image))  # a copy, which may be written to, as torch wants
    except HasvideoError as error:
        raise HasvideoError(f"cannot read {path}: {error}") from error
    except UnidentifiedImageError as error:
        raise HasvideoError(
            f"cannot read {path}: not an image that Pillow knows (HEIC and camera raw files are none); "
            "convert it to JPEG or PNG"
        ) from error
    except Exception as error:  # on a damaged file, Pillow raises whatever its parsers trip over
        raise HasvideoError(f"cannot read {path}: {_reason(error)}") from error
    return pixels, ImageInfo(path, pixels.shape[1], pixels.shape[0])


def is_animated_webp(path: Path) -> bool:
    """Tell whether a file is a WebP that holds an animation, by its header."""
    try:
        with path.open("rb") as file:
            header = file.read(21)
    except OSError:
        return False
    is_extended = header[:4] == b"RIFF" and header[8:16] == b"WEBPVP8X" and len(header) == 21
    return is_extended and bool(header[20] & 0x02)


def square(image: np.ndarray, size: int) -> Tensor:
    """Squeeze an image into a square, bilinear, with antialiasing.

    Args:
        image: uint8 ``(H, W, 3)``.
        size: pixels of both sides.

    Returns:
        uint8 ``(3, size, size)``.
    """
    import torch
    from torch.nn import functional as F

    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    if tensor.shape[1:] == (size, size):
        return tensor.contiguous()
    scaled = F.interpolate(tensor[None].float(), (size, size), mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).to(torch.uint8)[0]


def channel_statistics(images: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation of each channel over all pixels.

    Both are float32 ``(3,)`` in 0..255, the deviation at least 1.

    Args:
        images: RGB ``(3, H, W)`` each, 0..255, of any sizes; at least one.
    """
    import torch

    sums, squares, count = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 0
    for image in images:
        pixels = image.flatten(1).double()
        sums += pixels.sum(dim=1)
        squares += pixels.square().sum(dim=1)
        count += pixels.shape[1]
    mean = sums / count
    return mean.float(), (squares / count - mean**2).clamp(min=1.0).sqrt().float()


def _check_file(path: Path) -> None:
    """Name what else would be reported as no image, or would wait for ever, as a pipe does."""
    try:
        if path.exists() and not path.is_file():
            raise HasvideoError(f"cannot read {path}: not a file")
        if path.stat().st_size == 0:
            raise HasvideoError(f"cannot read {path}: the file is empty")
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {_reason(error)}") from error


def _warn_of_frames(image: Image, path: Path) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in _PREVIEW_FORMATS:
        warnings.warn(f"{path} has {frames} frames; only the first is looked at", stacklevel=3)


def _to_rgb(image: Image) -> Image:
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        return _eight_bits(upright).convert("RGB")
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return upright.convert("RGB")


def _eight_bits(image: Image) -> Image:
    """Grey of 16 bits scaled to 8; Pillow's own conversion cuts off at 255."""
    from PIL import Image

    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise HasvideoError("its pixels are neither of 8 nor of 16 bits, so their range is unknown; convert it")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
