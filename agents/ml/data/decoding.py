"""One image file as bytes, whatever it is stored as."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.ml.data.files import require_file
from agents.ml.errors import DatasetError

# No others, whatever a file calls itself: pillow runs Ghostscript to decode PostScript.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
_SIXTEEN_BITS = 65_535.0
_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_DEEP = ("I", "F", "I;16")  # pillow would clip them to 255 instead of scaling


def decode_image(path: Path, side: int, channels: int) -> npt.NDArray[np.uint8]:
    """The image cut and scaled to a square, as bytes (side, side, channels).

    It is turned as its EXIF says, if that can be read; of several pictures in it the first counts.
    Values of more than 8 bits are scaled by their range: 16 bits from 0 to 65,535, what has more
    from its least to its greatest value. What is transparent is black.

    Raises:
        DatasetError: no image, a damaged one or one of more pixels than pillow takes for harmless.
    """
    try:
        from PIL import Image, ImageOps  # noqa: PLC0415  an optional library
    except ImportError as error:
        raise DatasetError("image folders need pillow; run: pip install pillow") from error
    require_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                upright = _eight_bits(_turned(image))
                plain = _without_transparency(upright).convert("L" if channels == 1 else "RGB")
                fitted = ImageOps.fit(plain, (side, side))
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise DatasetError(f"cannot be decoded as an image: {error}", where=str(path)) from error
    return np.array(fitted, dtype=np.uint8).reshape(side, side, channels)


def _turned(image: Any) -> Any:
    """The image upright. Its other EXIF is not looked at: damaged, it is no reason to refuse it."""
    from PIL import Image  # noqa: PLC0415  is there by now

    image.load()  # a PNG may have its EXIF behind its pixels
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION))
    except Exception:  # noqa: BLE001  what is no EXIF may raise anything
        turn = None
    return image if turn is None else image.transpose(Image.Transpose[turn])


def _eight_bits(image: Any) -> Any:
    from PIL import Image  # noqa: PLC0415  is there by now

    if not image.mode.startswith(_DEEP):
        return image
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are no numbers")
    low, high = float(values.min()), float(values.max())
    if image.mode != "F" and low >= 0 and high <= _SIXTEEN_BITS:
        low, high = 0.0, _SIXTEEN_BITS
    scaled = (values - low) / max(high - low, 1e-12) * 255
    return Image.fromarray(scaled.round().astype(np.uint8))


def _without_transparency(image: Any) -> Any:
    from PIL import Image  # noqa: PLC0415  is there by now

    if "A" not in image.getbands() and "transparency" not in image.info:
        return image
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, (0, 0, 0, 255)), layered)
