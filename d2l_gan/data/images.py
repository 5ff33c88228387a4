"""Images by name: of a data set that others published, or of a folder."""

import contextlib
import difflib
import math
import os

import numpy
import PIL.Image

from d2l_gan.data import published
from d2l_gan.data.folder import (
    FITS,
    folder_classes,
    folder_images,
    scaled_pixels,
)
from d2l_gan.data.lazy import LazyImages
from d2l_gan.data.minibatches import loader
from d2l_gan.support.files import expand

__all__ = ['class_names', 'load_images', 'read_images']

# Images that take more bytes together are decoded anew in every epoch. Any
# computer that trains for long can spare these, and they hold 170 thousand
# images in colour of the size above.
MAX_BYTES = 2 * 2**30


def load_images(
    batch_size,
    name=None,
    size=None,
    shuffle=True,
    train=True,
    *,
    labels=None,
    mirror=False,
    kvstore=None,
    in_memory=None,
    **options,
):
    """Load images as minibatches.

    They are cut from all images, which are read before; or, if these take
    too much memory, they are decoded by threads, 8 minibatches ahead. On the
    same seed both ways give the same.

    Args:
        batch_size: the number of images in a minibatch, at least 1; the last
            one holds what is left.
        shuffle: whether the order is drawn anew every epoch, by
            `numpy.random`.
        name, size, train: as in `read_images`.
        labels: one for each image, in the place of those of the data set.
        mirror: whether every image is mirrored with a chance of one half, left
            to right, whenever it is given; for images of which both are right.
        kvstore: connects the workers of a distributed run, each of which gets
            the minibatches of its own share; `None` for all images.
        in_memory, options: as in `read_images`.

    Returns:
        an iterable, every time anew, with a length. It gives tuples (X, y), or
        X alone where there are no labels. X is a float32 `mxnet.np.ndarray` in
        [-1, 1] of shape (batch_size, channels, size, size), y an int32 one of
        shape (batch_size,).

    Raises:
        ValueError: if `batch_size` is below 1, or there is not a label for
            each image; in the loop, if a file that is decoded there is
            damaged.
        ValueError, OSError: as in `read_images`.
    """
    images, own = read_images(name, size, train, in_memory, **options)
    labels = own if labels is None else labels
    return loader(images, labels, batch_size, shuffle, kvstore, mirror)


def read_images(
    name=None,
    size=None,
    train=True,
    in_memory=True,
    *,
    fit='crop',
    skip_damaged=False,
):
    """Read all images of a data set, or of a folder.

    Args:
        name: 'digits' (1797 scans that come with scikit-learn), 'mnist',
            'fashion_mnist', 'pokemon', or the path to a folder of pictures
            that Pillow reads, which are sorted by their paths. If all of them
            lie in the folders in it, these are their classes. If `None`, what
            the environment variable D2L_GAN_DATASET says, or else 'digits'.
        size: height and width, at least 1, to which images are scaled. If
            `None`, that of the data set (8 for 'digits', 28 for the two
            others), and for 'pokemon' and folders what the environment
            variable D2L_GAN_SIZE says, or else 64.
        train: whether to take the training set of 'mnist' and
            'fashion_mnist', or their test set; the others have none.
        in_memory: whether to decode and scale all images now. If `None`, that
            is done if they take 2 GiB or less.
        fit: what becomes of pictures in a folder that are not square. 'crop'
            cuts their middle out, 'pad' adds white, 'stretch' distorts them.
        skip_damaged: whether to leave out pictures in a folder that cannot be
            read.

    Returns:
        tuple: the images, a uint8 `numpy.ndarray` of shape (n, channels,
        size, size) with 1 channel if all are grey, else 3; and the labels,
        an int32 one of shape (n,), or `None` for 'pokemon' and folders
        without classes. What was transparent is white. If they are not
        decoded now, the images are `LazyImages`.

    Raises:
        ValueError: if `size` is below 1, there is no such `fit` or no test
            set, a folder holds no images, or a file is damaged (with
            `LazyImages`, as late as it is read).
        FileNotFoundError: if there is no such data set or folder.
        OSError: if a data set cannot be fetched.
    """
    if fit not in FITS:
        raise ValueError(f'fit is {fit!r}, but must be {" or ".join(FITS)}')
    if size is not None and size < 1:
        raise ValueError(f'size is {size}, but must be at least 1')
    with _named(name) as name:
        images, labels = _read(name, size, train, fit, skip_damaged)
    if in_memory is None:
        in_memory = math.prod(images.shape) <= MAX_BYTES
    return numpy.asarray(images) if in_memory else images, labels


def class_names(name=None):
    """Name the classes of images.

    Args:
        name: as in `read_images`.

    Returns:
        list: a string for each label from 0 on; empty if there are no labels.

    Raises:
        FileNotFoundError: if there is no such data set or folder.
    """
    with _named(name) as name:
        if name == 'pokemon':
            return []
        if name in published.NAMES:
            return list('0123456789')
        return folder_classes(_folder(name))


@contextlib.contextmanager
def _named(name):
    """Give a name, or the default; errors say if the environment gave it."""
    default = os.environ.get('D2L_GAN_DATASET')
    try:
        yield os.fspath(name or default or 'digits')
    except (ValueError, OSError) as error:
        if name or not default:
            raise
        raise type(error)(f'of $D2L_GAN_DATASET: {error}') from error


def _read(name, size, train, fit, skip_damaged):
    """Find images and labels; see `read_images`."""
    if not train and name not in published.MNIST:
        raise ValueError(
            f'{name!r} has no test set, only '
            f'{" and ".join(published.MNIST)} have: leave `train` at True'
        )
    if name == 'digits':
        images, labels = published.read_digits()
    elif name in published.MNIST:
        images, labels = published.read_mnist(name, train)
    else:
        folder, size = _folder(name), size or _default_size()
        images, labels = folder_images(folder, size, fit, skip_damaged)
        return images, None if name == 'pokemon' else labels
    return _resized(images, size), labels


def _default_size():
    size = os.environ.get('D2L_GAN_SIZE') or '64'
    if not (size.isdecimal() and int(size)):
        raise ValueError(f'$D2L_GAN_SIZE is {size!r}, but must be at least 1')
    return int(size)


def _resized(images, size):
    """Scale grey images, shape (n, height, width), by Pillow."""
    if size is None or images.shape[1:] == (size, size):
        # Not the bytes of the file, which cannot be written to
        return images[:, None].copy()

    def read(i):
        return scaled_pixels(PIL.Image.fromarray(images[i]), size)

    return LazyImages(read, (len(images), 1, size, size), 'Scaling')


def _folder(name):
    if name == 'pokemon':
        return published.pokemon_folder()
    folder = expand(name)
    if not folder.is_dir():
        names = published.NAMES
        near = difflib.get_close_matches(name.lower(), names, 1)
        cure = f'did you mean {near[0]!r}?' if near else 'check its path'
        raise FileNotFoundError(
            f'{name!r} is neither a data set ({", ".join(names)}) nor a '
            f'folder: {cure}'
        )
    return folder
