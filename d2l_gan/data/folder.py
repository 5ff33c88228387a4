"""Pictures in a folder: PNG and JPEG files, of any size and mode."""

import contextlib

import numpy
import PIL.Image
import PIL.ImageOps

from d2l_gan.data.lazy import LazyImages

__all__ = ['folder_images', 'scaled_pixels']

SUFFIXES = ('.png', '.jpg', '.jpeg')


def folder_images(folder, size):
    """Find the pictures in a folder, and in those below.

    Hidden files and folders are left out.

    Args:
        folder: a `pathlib.Path`.
        size: height and width, to which they are stretched.

    Returns:
        LazyImages: sorted by their paths, with 1 channel if all are grey, or
        else 3. What was transparent is white.

    Raises:
        ValueError: if there are none, or a file is no picture; and, when they
            are read, if a file is damaged.
    """
    paths = sorted(
        path
        for path in folder.rglob('*')
        if path.suffix.lower() in SUFFIXES
        # Some systems leave hidden files that are called as images are.
        and '/.' not in f'/{path.relative_to(folder).as_posix()}'
    )
    if not paths:
        raise ValueError(
            f'the folder {folder} holds no images: there must be files '
            f'{", ".join(SUFFIXES)} in it, or in the folders below'
        )
    mode = 'L' if all(map(_is_grey, paths)) else 'RGB'

    def read(i):
        return _read_picture(paths[i], size, mode)

    # A mode has one letter a channel.
    shape = len(paths), len(mode), size, size
    return LazyImages(read, shape, f'Reading {folder.name}')


def scaled_pixels(image, size):
    """Stretch a Pillow image, and take its pixels.

    Args:
        image: of mode L or RGB.
        size: height and width.

    Returns:
        numpy.ndarray: uint8 of shape (channels, size, size).
    """
    # Pillow's filter takes in all pixels when it shrinks, and clips the
    # result to 0..255.
    image = image.resize((size, size), PIL.Image.Resampling.BICUBIC)
    return numpy.asarray(image).reshape(size, size, -1).transpose(2, 0, 1)


@contextlib.contextmanager
def _opened(path):
    """Open a picture; errors in the block name the file."""
    try:
        with PIL.Image.open(path) as image:
            yield image
    # Pillow's decoders raise errors of many kinds.
    except Exception as error:
        raise ValueError(
            f'{path} cannot be read as an image ({error}): remove it, or put '
            'a whole one there'
        ) from error


def _is_grey(path):
    """Look into its header, which takes a tenth of the time to decode it."""
    with _opened(path) as image:
        return image.mode in ('1', 'L', 'LA') or image.mode.startswith('I')


def _read_picture(path, size, mode):
    """Read a file as pixels, uint8 of shape (channels, size, size)."""
    with _opened(path) as image:
        upright = PIL.ImageOps.exif_transpose(image)
        return scaled_pixels(_flatten(upright, mode), size)


def _flatten(image, mode):
    """Convert to mode L or RGB, on a white ground."""
    if image.mode.startswith('I'):
        # Grey in 16 bits, which `convert` would clip at 255
        high = numpy.asarray(image) >> 8
        image = PIL.Image.fromarray(high.astype('uint8'))
    if image.has_transparency_data:
        white = PIL.Image.new('RGBA', image.size, 'white')
        image = PIL.Image.alpha_composite(white, image.convert('RGBA'))
    return image.convert(mode)
