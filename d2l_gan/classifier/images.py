"""What the classifier takes: the images, and their labels."""

import numpy

from d2l_gan.data.minibatches import label_array, normalize
from d2l_gan.support.checks import to_numpy

__all__ = ['as_floats', 'check_images', 'check_labels']

# By how much rounding may take an image out of [-1, 1]
ROUNDING = 1e-4


def check_images(images, shape=None):
    """See that images are as the classifier takes them.

    Args:
        images: shape (n, channels, height, width), n at least 2, 1 or 3
            channels, height and width from 8 to 128; floats in [-1, 1], or
            uint8 with 0 and 255 in the places of -1 and 1.
        shape: what one image must have, any if `None`.

    Returns:
        numpy.ndarray: the images.

    Raises:
        ValueError: for other images.
    """
    images = to_numpy(images)
    if shape is not None and images.shape[1:] != shape:
        raise ValueError(
            f'the images have shape {images.shape}, but the real ones have '
            f'{shape} each'
        )
    n, channels, *sides = images.shape if images.ndim == 4 else (0, 0, 0)
    if n < 2 or channels not in (1, 3) or min(sides) < 8 or max(sides) > 128:
        raise ValueError(
            f'the images have shape {images.shape}; it has to be (n, '
            'channels, height, width), with n at least 2, 1 or 3 channels, '
            'and height and width from 8 to 128'
        )
    if images.dtype == 'uint8':
        return images
    if images.dtype.kind != 'f':
        raise ValueError(
            f'the images are of type {images.dtype}; they have to be floats '
            'in [-1, 1], or uint8'
        )
    low, high = images.min(), images.max()
    if numpy.isnan(low):
        raise ValueError('the images hold NaN')
    if low < -1 - ROUNDING or high > 1 + ROUNDING:
        raise ValueError(
            f'the images go from {low:.6g} to {high:.6g}, but have to be in '
            '[-1, 1]'
        )
    return images


def as_floats(images):
    """Give images, floats or uint8, as floats in [-1, 1]."""
    return normalize(images) if images.dtype == 'uint8' else images


def check_labels(labels, num_images):
    """See that labels name classes, and each class has an image.

    Args:
        labels: shape (num_images,), the integers from 0 to k - 1, each of
            them at least once, for k >= 2 classes.
        num_images: how many images they belong to.

    Returns:
        numpy.ndarray: the labels, of int64.

    Raises:
        ValueError: for other labels.
    """
    labels = label_array(labels, num_images)
    found = numpy.unique(labels)
    if len(found) < 2 or not numpy.array_equal(found, range(len(found))):
        raise ValueError(
            'the labels have to be the integers from 0 to k - 1, each of them '
            f'at least once, for k >= 2 classes; found {found[:20]}'
        )
    return labels.astype('int64')
