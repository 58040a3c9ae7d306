"""What readers of annotated images share: file names, pictures and values that may be hostile."""

import math
import warnings
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from plastorch.engine.errors import InputError, check_file

_MOST_PIXELS = 1 << 24
"""Of a picture; a small file can claim to hold more than the memory."""
_MOST_IN_ALL = 1 << 31


def inside(folder: Path, name: object, where: str) -> Path:
    """The path of a file named by an annotation, which must lie in the folder.

    Args:
        folder: where it should lie.
        name: as found.
        where: the annotation, for the message.

    Raises:
        InputError: if the name is no name, leads out of the folder (also by a link), or no file has
            it.

    Example:
        >>> inside(Path("src"), "../x.png", "a.json")
        Traceback (most recent call last):
        plastorch.engine.errors.InputError: a.json: file name is '../x.png'; expected one inside src
    """
    outside = InputError(f"{where}: file name is {name!r}; expected one inside {folder}")
    if not isinstance(name, str) or not name.isprintable() or not name.strip():
        raise outside
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.is_absolute() or path.drive or ".." in path.parts:
            raise outside
    try:
        found = (folder / name).resolve()
        is_file = found.is_file()
    except (OSError, ValueError, RuntimeError):  # too long; a circle of links
        raise outside from None
    if not found.is_relative_to(folder.resolve()):
        raise outside
    if not is_file:
        raise InputError(f"{where}: {folder / name} is missing; expected an image")
    return folder / name


def check_room(images: int, size: tuple[int, int], where: str) -> None:
    """Raises InputError if so many images of that height and width don't fit into memory.

    Small files can hold large images, and a list can name a file many times.

    Example:
        >>> check_room(1000, (64, 64), "a.json")
    """
    if images * size[0] * size[1] > _MOST_IN_ALL:
        raise InputError(
            f"{where}: {images} images of {size[1]}x{size[0]} pixels; expected at most "
            f"{_MOST_IN_ALL} pixels in all"
        )


def read_picture(file: Path, size: tuple[int, int] | None) -> Tensor:
    """A JPEG or PNG as uint8 [3, H, W].

    Args:
        file: of 8 bits per channel.
        size: height and width that it must have; any if None.

    Raises:
        InputError: if it isn't such a file, or of another size.
    """
    return torch.from_numpy(_decoded(file, "RGB", size)).permute(2, 0, 1).contiguous()


def read_map(file: Path, size: tuple[int, int] | None) -> Tensor:
    """The numbers in a PNG of grey levels or of places in a palette, uint8 [H, W].

    Args:
        file: of 8 bits per pixel.
        size: height and width that it must have; any if None.

    Raises:
        InputError: if it isn't such a file, or of another size.
    """
    return torch.from_numpy(_decoded(file, None, size))


def checked_box(values: list[float], size: tuple[int, int], where: str) -> list[float]:
    """A box left, top, right, bottom inside an image of that height and width.

    What goes less than a pixel beyond the image, as by rounding, is cut off.

    Raises:
        InputError: if more does, or the box is empty.

    Example:
        >>> checked_box([-0.5, 0.0, 3.0, 2.0], (2, 4), "a.json")
        [0.0, 0.0, 3.0, 2.0]
    """
    height, width = size
    limits = (width, height, width, height)
    cut = [min(max(v, 0.0), most) for v, most in zip(values, limits, strict=True)]
    near = all(abs(v - c) <= 1 for v, c in zip(values, cut, strict=True))
    if not near or cut[0] >= cut[2] or cut[1] >= cut[3]:
        raise InputError(
            f"{where}: box is {values}; expected left < right and top < bottom, inside "
            f"{width}x{height} pixels"
        )
    return cut


def number(value: object, where: str) -> float:
    """A finite number, which may be written as text.

    Raises:
        InputError: if it isn't one.

    Example:
        >>> number("12", "a.xml: xmin")
        12.0
    """
    try:
        found = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise InputError(f"{where} is {shown(value)}; expected a number")
    return found


def whole(value: object, where: str) -> int:
    """A whole number.

    Raises:
        InputError: if it isn't one.

    Example:
        >>> whole(3, "a.json: id")
        3
    """
    if type(value) is not int or abs(value) >= 1 << 53:
        raise InputError(f"{where} is {shown(value)}; expected a whole number")
    return value


def shown(value: object) -> str:
    """A value that was found, short enough for a message.

    Example:
        >>> shown("x" * 99)
        "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"
    """
    text = repr(value)
    return text if len(text) < 40 else f"{text[:39]}…"


def _decoded(
    file: Path, mode: str | None, size: tuple[int, int] | None
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    check_file(file, "an image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=("JPEG", "PNG"))
    except Exception as error:  # Pillow raises many kinds
        raise InputError(f"{file}: cannot be opened ({error}); expected JPEG or PNG") from None
    with image:
        found = image.height, image.width
        if size not in (None, found) or image.height * image.width > _MOST_PIXELS:
            expected = f"at most {_MOST_PIXELS} pixels" if size is None else f"{size[1]}x{size[0]}"
            raise InputError(f"{file}: {found[1]}x{found[0]} pixels; expected {expected}")
        if image.mode not in (("L", "P") if mode is None else ("L", "RGB")):
            raise InputError(
                f"{file}: pixel format {image.mode} found; expected "
                + ("numbers of 8 bits" if mode is None else "8-bit grey or RGB")
            )
        try:
            return np.array(image if mode is None else image.convert(mode))
        except Exception as error:  # as above
            raise InputError(f"{file}: cannot be decoded ({error}); expected an image") from None
