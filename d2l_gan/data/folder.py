"""Pictures in a folder: all that Pillow reads, of any size and mode."""

import collections
import contextlib
import functools
import io
import sys

import numpy
import PIL.Image
import PIL.ImageOps

from d2l_gan.data.lazy import LazyImages, ahead

__all__ = ['FITS', 'folder_classes', 'folder_images', 'scaled_pixels']

# How a picture becomes a square: called with it, a size, and a filter
FITS = {
    'crop': PIL.ImageOps.fit,
    'pad': functools.partial(PIL.ImageOps.pad, color='white'),
    'stretch': PIL.Image.Image.resize,
}
# Of these Pillow reads a header only, or needs another program.
NO_PIXELS = {'BUFR', 'EPS', 'GRIB', 'HDF5', 'MPEG', 'WMF'}
# The parts of a PNG file that its pixels follow from
PNG_PARTS = {b'IHDR', b'PLTE', b'tRNS', b'IDAT', b'IEND'}
# What white may be where pixels are integers, or floats, of more than 8 bits:
# files do not say how many of them are used.
WHITE = {'I': (255, 4095, 65535), 'F': (1, 255, 4095, 65535)}


def folder_images(folder, size, fit='crop', skip_damaged=False):
    """Find the pictures in a folder, and in those below.

    Hidden files and folders are left out, and links are followed. A line on
    stderr tells how many files are taken, and which ones are not.

    Args:
        folder: a `pathlib.Path`.
        size: height and width, to which they are scaled.
        fit: how, a key of `FITS`.
        skip_damaged: whether to leave out damaged files. Then all are decoded
            once more, to find these.

    Returns:
        tuple: `LazyImages`, sorted by their paths, with 1 channel if all are
        grey, or else 3, and white where they were transparent; and the
        labels, int32 of shape (n,), which count the `folder_classes`, or
        `None` if there are none.

    Raises:
        ValueError: if there are no pictures, or none of a class; or if one is
            damaged, which may be found as late as it is read.
    """
    found, left_out = _find(folder)
    if not found:
        raise ValueError(
            f'the folder {folder} holds no images: there must be files that '
            'Pillow reads (.png, .jpg, .webp, ...) in it, or in the folders '
            f'below, and there are {_list(left_out) or "none"}'
        )

    def probe(path):
        try:
            return _probe(path, decode=skip_damaged)
        except ValueError:
            if not skip_damaged:
                raise

    # Threads help to decode; to open files they only get in each other's way.
    probes = ahead(probe, found, 64) if skip_damaged else map(probe, found)
    facts = dict(zip(found, probes))
    paths = [path for path in found if facts[path]]
    damaged = [path for path in found if not facts[path]]
    names = folder_classes(folder, found)
    tops = [_top(folder, path) for path in paths]
    if not paths or not set(names) <= set(tops):
        raise ValueError(
            f'all images in {folder}, or in one of its classes, are damaged, '
            f'such as {damaged[0]}: put whole ones there'
        )
    if damaged:
        left_out[f'damaged, such as {damaged[0]}'] = len(damaged)
    _report(folder, len(paths), names, left_out)
    facts = [facts[path] for path in paths]
    mode = 'L' if all(_is_grey(mode) for mode, _ in facts) else 'RGB'
    white = _white(facts)

    def read(i):
        with _naming(paths[i]):
            image = _flatten(_open(paths[i]), mode, white)
            return scaled_pixels(image, size, fit)

    # A mode has one letter a channel.
    shape = len(paths), len(mode), size, size
    images = LazyImages(read, shape, f'Reading {folder.name}')
    labels = numpy.searchsorted(names, tops).astype('int32') if names else None
    return images, labels


def folder_classes(folder, paths=None):
    """Name the classes of a folder's pictures, as Gluon's `ImageFolder` does.

    Args:
        folder: a `pathlib.Path`.
        paths: of all its pictures; they are sought if `None`.

    Returns:
        list: the names of the folders in it that hold pictures, sorted, if
        there are two or more, and no picture lies outside of them; else it
        is empty.
    """
    paths = _find(folder)[0] if paths is None else paths
    tops = {_top(folder, path) for path in paths}
    return sorted(tops) if len(tops) > 1 and None not in tops else []


def scaled_pixels(image, size, fit='stretch'):
    """Scale a Pillow image to a square, and take its pixels.

    Args:
        image: of mode L or RGB.
        size: height and width.
        fit: a key of `FITS`.

    Returns:
        numpy.ndarray: uint8 of shape (channels, size, size).
    """
    # Pillow's filter takes in all pixels when it shrinks, and clips the
    # result to 0..255.
    image = FITS[fit](image, (size, size), PIL.Image.Resampling.BICUBIC)
    return numpy.asarray(image).reshape(size, size, -1).transpose(2, 0, 1)


def _find(folder):
    """Give the paths of pictures, sorted, and count what else there is."""
    suffixes = {
        suffix
        for suffix, name in PIL.Image.registered_extensions().items()
        if name in PIL.Image.OPEN and name not in NO_PIXELS
    }
    paths, left_out = [], collections.Counter()
    for path in _files(folder):
        suffix = path.suffix.lower()
        if not path.is_file():
            left_out['no file, or a link to none'] += 1
        elif suffix in suffixes:
            paths.append(path)
        else:
            left_out[suffix or 'without a suffix'] += 1
    return paths, left_out


def _files(folder, above=()):
    """Give all but hidden files in a folder and below, in order."""
    above = *above, folder.resolve()
    for path in sorted(folder.iterdir()):
        # Some systems leave hidden files that are called as images are.
        if path.name.startswith('.'):
            continue
        if not path.is_dir():
            yield path
        elif path.resolve() not in above:  # A link may lead back.
            yield from _files(path, above)


def _top(folder, path):
    """Name the folder in a folder where a file lies; `None` if in itself."""
    parts = path.parts[len(folder.parts) :]
    return parts[0] if len(parts) > 1 else None


def _report(folder, num_taken, names, left_out):
    """Tell what is taken of a folder, and what is not."""
    num_left_out = sum(left_out.values())
    line = f'{folder}: took {num_taken} of {num_taken + num_left_out} files'
    line += f', in {len(names)} classes' if names else ', without classes'
    if left_out:
        line += f'; left out: {_list(left_out)}'
    if num_left_out > num_taken:
        line += ' (most of them: is this the right folder?)'
    # Names may hold bytes that are no text.
    print(line.encode(errors='backslashreplace').decode(), file=sys.stderr)


def _list(counts):
    return ', '.join(f'{n} {what}' for what, n in counts.most_common())


@contextlib.contextmanager
def _naming(path):
    """Let all errors in the block name a file, and the cure."""
    try:
        yield
    except Exception as error:  # Pillow's decoders raise many kinds.
        raise ValueError(
            f'{path} cannot be read as an image ({error}): remove it, put a '
            'whole one there, or leave such files out by skip_damaged=True '
            '(--skip-damaged)'
        ) from error


def _open(path, decode=True):
    """Open a picture, and if it is to be decoded, turn it upright."""
    try:
        return _decoded(path) if decode else PIL.Image.open(path)
    except Exception:
        # It may be whole but for what is said about it.
        return _decoded(io.BytesIO(_bare_png(path.read_bytes())))


def _decoded(file):
    with PIL.Image.open(file) as image:
        image.load()
        # The pixels are turned first, and then a note is made of that.
        with contextlib.suppress(Exception):
            PIL.ImageOps.exif_transpose(image, in_place=True)
        return image


def _bare_png(content):
    """Leave out of a PNG file what its pixels do not follow from.

    Args:
        content: the bytes of a file; those of others come back as they are.
    """
    kept, start = [content[:8]], 8
    while kept[0] == b'\x89PNG\r\n\x1a\n' and start < len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], 'big')
        if content[start + 4 : start + 8] in PNG_PARTS:
            kept.append(content[start:end])
        start = end
    return b''.join(kept) if start > 8 else content


def _probe(path, decode):
    """Give the mode of a picture, and the largest number in a deep one."""
    with _naming(path):
        with _open(path, decode) as image:
            if image.mode[0] not in WHITE:
                if decode:
                    image.convert('RGB')
                return image.mode, 0
        image = _open(path)
        top = numpy.asarray(image).max()
        if not numpy.isfinite(top):
            raise ValueError('it holds NaN or infinite numbers')
        return image.mode, float(top)


def _is_grey(mode):
    return mode in ('1', 'L', 'LA') or mode[0] in WHITE


def _white(facts):
    """Tell what white is in deep pictures, from what `_probe` gives."""
    white = {}
    for kind, levels in WHITE.items():
        top = max((top for mode, top in facts if mode[0] == kind), default=0)
        white[kind] = next((x for x in levels if x >= top), top)
    return white


def _flatten(image, mode, white):
    """Convert to mode L or RGB, on a white ground.

    Args:
        image: a Pillow image.
        mode: the one that is wanted.
        white: the largest number of deep images, for each key of `WHITE`.
    """
    if image.mode[0] in white:
        # `convert` would clip it at 255.
        grey = numpy.asarray(image) * (255 / white[image.mode[0]])
        grey = numpy.rint(grey).clip(0, 255).astype('uint8')
        image = PIL.Image.fromarray(grey)
    if image.has_transparency_data:
        ground = PIL.Image.new('RGBA', image.size, 'white')
        image = PIL.Image.alpha_composite(ground, image.convert('RGBA'))
    return image.convert(mode)
