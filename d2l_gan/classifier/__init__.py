"""A classifier of real images: the eyes with which fakes are judged.

It is small, learns in seconds, and is kept in a file, so that the same data
and settings need no second training.

    images    what it takes
    clusters  classes for images that have no labels
    network   what it is, and how it learns
    cache     the files
"""

from d2l_gan.classifier.clusters import cluster
from d2l_gan.classifier.images import as_floats, check_images
from d2l_gan.classifier.network import (
    Classifier,
    classify,
    fit,
    train_classifier,
)

__all__ = [
    'Classifier',
    'as_floats',
    'check_images',
    'classify',
    'cluster',
    'fit',
    'train_classifier',
]
