"""Examples to learn from: where they come from, and minibatches of them.

images       read and load by name, whatever they are
published    data sets that others made, and where they are kept
folder       pictures in a folder
lazy         what is decoded as late as somebody asks for it
minibatches  of images, or of any arrays
"""

from d2l_gan.data.images import class_names, load_images, read_images
from d2l_gan.data.lazy import LazyImages
from d2l_gan.data.minibatches import (
    in_epochs,
    load_array,
    loader,
    normalize,
    some_of,
)

__all__ = [
    'LazyImages',
    'class_names',
    'in_epochs',
    'load_array',
    'load_images',
    'loader',
    'normalize',
    'read_images',
    'some_of',
]
