"""Classes for images that have no labels."""

import numpy

from d2l_gan.classifier.images import check_images

__all__ = ['cluster']

NUM_CLUSTERS = 10
# They are sought among at most so many images, scaled down to so many pixels.
MAX_CLUSTERED = 10_000
CLUSTERED_SIZE = 8


def cluster(images, seed=0):
    """Sort images into ten clusters, where there are no labels.

    k-means on the pixels, scaled down to 8 by 8. It tells images apart by
    where they are bright, or of which colour, and not by what they show.

    Args:
        images: as in `check_images`.
        seed: of the clusters that it begins with.

    Returns:
        numpy.ndarray: shape (n,), the number of each image's cluster. The
        largest one has the number 0.

    Raises:
        ValueError: if there are not ten images that differ, or the images
            are not as above.
    """
    images = check_images(images)
    # Imported here, since it takes a second.
    from sklearn.cluster import KMeans

    rng = numpy.random.RandomState(seed)
    pixels = images
    for size in images.shape[2:]:
        # Means over blocks of rows, and then of columns; the blocks' sizes
        # differ by 1 pixel at most.
        edges = numpy.arange(CLUSTERED_SIZE + 1) * size // CLUSTERED_SIZE
        lines = pixels.swapaxes(2, 3)
        sums = numpy.add.reduceat(lines, edges[:-1], 3, dtype='float64')
        pixels = sums / numpy.diff(edges)
    pixels = pixels.reshape(len(images), -1)
    some = pixels[rng.permutation(len(pixels))[:MAX_CLUSTERED]]
    num_different = len(numpy.unique(some, axis=0))
    if num_different < NUM_CLUSTERS:
        raise ValueError(
            f'without labels {NUM_CLUSTERS} clusters of images are the '
            f'classes, but only {num_different} of the {len(images)} images '
            'differ: give labels, or more images'
        )
    # Not MXNet's or NumPy's own random numbers
    k_means = KMeans(NUM_CLUSTERS, n_init=4, random_state=rng)
    clusters = k_means.fit(some).predict(pixels)
    largest_first = numpy.argsort(-numpy.bincount(clusters), kind='stable')
    return numpy.argsort(largest_first)[clusters]
