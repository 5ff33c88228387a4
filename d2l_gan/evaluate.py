"""How Good Is a Generator?, as chapters/evaluation.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 4513bc462aab4c26.

import math
import numpy
import scipy.linalg
from d2l_gan.classifier import (
    Classifier,
    as_floats,
    check_images,
    classify,
    cluster,
    fit,
    train_classifier,
)
from d2l_gan.support.checks import finite_array
from mxnet.gluon import nn
from numpy.lib.stride_tricks import sliding_window_view
from scipy.spatial.distance import cdist
from scipy.special import entr, log_softmax
from scipy.stats import mannwhitneyu
from sklearn.neighbors import NearestNeighbors

__all__ = [
    'Judge',
    '_patches',
    'copying',
    'covariance_root',
    'draw_mixture',
    'frechet_distance',
    'grid_of_gaussians',
    'inception_score',
    'laplacian_pyramid',
    'mode_coverage',
    'modified_inception_score',
    'moments',
    'nearest_examples',
    'new_discriminator',
    'patch_distance',
    'precision_recall',
    'ring_of_gaussians',
    'sliced_distance',
    'two_sample_test',
]


def draw_mixture(n, modes, std, seed=0):
    """Draw points from a mixture of round Gaussians of equal weights.

    Args:
        n: the number of points, at least 1.
        modes: the Gaussians' means, shape (num_modes, d).
        std: their standard deviation in each direction, above 0.
        seed: of the draw.

    Returns:
        numpy.ndarray: float32, shape (n, d).

    Raises:
        ValueError: if `n`, `modes` or `std` is not as above.

    Taught in chapters/evaluation.md, "Where the Truth Is Known".
    """
    modes = finite_array('modes', modes, ndim=2, min_rows=1)
    if n < 1 or not 0 < std < math.inf:
        raise ValueError(f'n is {n} and std {std}, but there must be at '
                         'least 1 point, and a finite spread above 0')
    rng = numpy.random.RandomState(seed)
    X = modes[rng.randint(len(modes), size=n)]
    return (X + rng.normal(0, std, X.shape)).astype('float32')


def ring_of_gaussians(n, num_modes=8, radius=2, std=0.02, seed=0):
    """Draw points from Gaussians on a ring.

    The settings of Metz, Poole, Pfau and Sohl-Dickstein, "Unrolled generative
    adversarial networks" (2017).

    Args:
        n, std, seed: as in `draw_mixture`.
        num_modes: how many Gaussians there are, at least 1.
        radius: of the ring.

    Returns:
        tuple: the points, float32 of shape (n, 2), and the modes, shape
        (num_modes, 2), both numpy.ndarray.

    Raises:
        ValueError: as `draw_mixture` does.

    Taught in chapters/evaluation.md, "Where the Truth Is Known".
    """
    angles = 2 * numpy.pi * numpy.arange(num_modes) / num_modes
    modes = radius * numpy.stack((numpy.cos(angles), numpy.sin(angles)), 1)
    return draw_mixture(n, modes, std, seed), modes


def grid_of_gaussians(n, side=5, spacing=2, std=0.05, seed=0):
    """Draw points from Gaussians on a square grid around the origin.

    The settings of Srivastava, Valkov, Russell, Gutmann and Sutton,
    "VEEGAN: reducing mode collapse in GANs using implicit variational
    learning" (2017).

    Args:
        n, std, seed: as in `draw_mixture`.
        side: how many Gaussians there are in a row, at least 1.
        spacing: how far they are apart.

    Returns:
        tuple: the points, float32 of shape (n, 2), and the modes, shape
        (side**2, 2), both numpy.ndarray.

    Raises:
        ValueError: as `draw_mixture` does.

    Taught in chapters/evaluation.md, "Where the Truth Is Known".
    """
    ticks = spacing * (numpy.arange(side) - (side - 1) / 2)
    modes = numpy.stack(numpy.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    return draw_mixture(n, modes, std, seed), modes


def nearest_examples(X, examples=None):
    """Find the nearest example for each row of `X`.

    Args:
        X: points, or images or anything else with an axis of examples first;
            shape (n, ...), with n at least 1.
        examples: where to look, shape (m, ...); if `None`, among the other
            rows of `X`.

    Returns:
        tuple: Euclidean distances, and the indices of the nearest examples,
        both numpy.ndarray of shape (n,).

    Raises:
        ValueError: if shapes do not fit together, there is nothing to look
            among, or a number is NaN or infinite.

    Taught in chapters/evaluation.md, "Where the Truth Is Known".
    """
    X = finite_array('X', X)
    others = X if examples is None else finite_array('examples', examples)
    needed = 2 if examples is None else 1
    if (X.ndim < 2 or X.shape[1:] != others.shape[1:] or len(X) < 1
            or len(others) < needed):
        raise ValueError(f'X has shape {X.shape}, and is compared with '
                         f'{others.shape}: there must be two axes or more, '
                         f'at least {needed} examples, and equal shapes')
    X, others = X.reshape(len(X), -1), others.reshape(len(others), -1)
    neighbors = NearestNeighbors(n_neighbors=1).fit(others)
    indices = neighbors.kneighbors(None if examples is None else X,
                                   return_distance=False)[:, 0]
    # Once more, since scikit-learn's way of computing many distances at once
    # leaves about 1e-7 where there should be 0.
    return numpy.linalg.norm(X - others[indices], axis=1), indices


def mode_coverage(X, modes, std, num_std=3):
    """Measure fakes against the modes of a mixture of round Gaussians.

    After Srivastava, Valkov, Russell, Gutmann and Sutton, "VEEGAN: reducing
    mode collapse in GANs using implicit variational learning" (2017).

    Args:
        X: generated points, shape (n, d), with n at least 1.
        modes: the Gaussians' means, shape (num_modes, d).
        std: their standard deviation, above 0.
        num_std: a point has high quality if it is within so many standard
            deviations of a mode.

    Returns:
        tuple: the number of modes that are nearest to some point of high
        quality; and the share of the points that have high quality. One minus
        this is the share that lies in the void between the modes.

    Raises:
        ValueError: for NaN or infinite numbers, other shapes, or a radius
            that is not above 0.

    Taught in chapters/evaluation.md, "Where the Truth Is Known".
    """
    if not std * num_std > 0:
        raise ValueError(f'std is {std} and num_std {num_std}, but both must '
                         'be above 0')
    distances, indices = nearest_examples(X, modes)
    good = distances <= num_std * std
    return len(set(indices[good])), float(good.mean())


def moments(X):
    """Compute the mean and the covariance of the rows of `X`.

    Args:
        X: shape (n, d), with n at least 2.

    Returns:
        tuple: the mean, shape (d,), and the unbiased covariance (a division
        by n - 1), shape (d, d), both numpy.ndarray of float64.

    Raises:
        ValueError: for other shapes, and for NaN or infinite numbers.

    Taught in chapters/evaluation.md, "A Distance between Crowds of Features".
    """
    # One row has no covariance.
    X = finite_array('X', X, ndim=2, min_rows=2)
    mean = X.mean(axis=0)
    X = X - mean
    return mean, X.T @ X / (len(X) - 1)


def covariance_root(cov, name='cov'):
    """Compute a matrix R with R R^T = cov.

    Args:
        cov: a covariance matrix, shape (d, d); may be singular.
        name: what to call it in a message.

    Returns:
        numpy.ndarray: shape (d, d).

    Raises:
        ValueError: if it is not symmetric with eigenvalues >= 0, but for
            rounding, or holds NaN or infinite numbers.

    Taught in chapters/evaluation.md, "A Distance between Crowds of Features".
    """
    cov = finite_array(name, cov, ndim=2, min_rows=1)
    if (cov.shape != cov.T.shape
            or abs(cov - cov.T).max() > 1e-4 * abs(cov).max()):
        raise ValueError(f'{name} is not symmetric')
    values, vectors = scipy.linalg.eigh(cov)
    if values[0] < -1e-4 * abs(values).max():
        raise ValueError(f'{name} has the eigenvalue {values[0]:.3g}; those '
                         'of a covariance matrix are not below 0')
    return vectors * numpy.sqrt(numpy.maximum(values, 0))


def frechet_distance(mean_1, cov_1, mean_2, cov_2):
    """Compute the squared Fréchet distance between two Gaussians.

    |mean_1 - mean_2|^2 + tr(cov_1 + cov_2 - 2 (cov_1 cov_2)^(1/2)), after
    Dowson and Landau, "The Fréchet distance between multivariate normal
    distributions" (1982). It is the square of the 2-Wasserstein distance.

    Args:
        mean_1, mean_2: the means, shape (d,).
        cov_1, cov_2: the covariance matrices, shape (d, d); may be singular.

    Returns:
        float: at least 0.

    Raises:
        ValueError: if shapes do not fit together, a number is NaN or
            infinite, or a matrix is not symmetric with eigenvalues >= 0.

    Taught in chapters/evaluation.md, "A Distance between Crowds of Features".
    """
    d, arrays = numpy.size(mean_1), []
    for name, array, shape in (
            ('mean_1', mean_1, (d,)), ('cov_1', cov_1, (d, d)),
            ('mean_2', mean_2, (d,)), ('cov_2', cov_2, (d, d))):
        arrays.append(finite_array(name, array))
        if arrays[-1].shape != shape or d == 0:
            raise ValueError(f'{name} has shape {arrays[-1].shape}; for '
                             f'means of {d} elements there must be shapes '
                             '(d,) and (d, d), with d at least 1')
    mean_1, cov_1, mean_2, cov_2 = arrays
    root_1 = covariance_root(cov_1, 'cov_1')
    root_2 = covariance_root(cov_2, 'cov_2')
    distance = (((mean_1 - mean_2) ** 2).sum()
                + numpy.trace(cov_1) + numpy.trace(cov_2)
                - 2 * scipy.linalg.svdvals(root_1.T @ root_2).sum())
    return max(float(distance), 0.0)


def inception_score(logits):
    """Compute the Inception Score from a classifier's logits.

    After Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen, "Improved
    techniques for training GANs" (2016).

    Args:
        logits: shape (n, num_classes), with n at least 1.

    Returns:
        float: from 1 to num_classes.

    Raises:
        ValueError: for another shape, and for NaN or infinite numbers.

    Taught in chapters/evaluation.md, "The Inception Score".
    """
    logits = finite_array('logits', logits, ndim=2, min_rows=1)
    probs = numpy.exp(log_softmax(logits, axis=1))
    return math.exp(entr(probs.mean(axis=0)).sum()
                    - entr(probs).sum(axis=1).mean())


def modified_inception_score(logits, classes=None):
    """Compute the modified Inception Score: diversity inside the classes.

    exp(E_i E_j KL(p(y|x_i) || p(y|x_j))) over all pairs of images of a class,
    averaged over the classes, after Gurumurthy, Sarvadevabhatla and Babu,
    "DeLiGAN: generative adversarial networks for diverse and limited data"
    (2017). A class without any image counts 1, as one without diversity does.

    Args:
        logits: a classifier's, shape (n, num_classes), with n at least 1.
        classes: that the images were asked to be of, integers from 0 to
            num_classes - 1, shape (n,); if `None`, those of the greatest
            logits.

    Returns:
        float: at least 1.

    Raises:
        ValueError: for other shapes or classes, for NaN or infinite numbers,
            and for logits so far apart that the score would be infinite.

    Taught in chapters/evaluation.md, "Diversity inside a Class".
    """
    logits = finite_array('logits', logits, ndim=2, min_rows=1)
    log_probs = log_softmax(logits, axis=1)
    probs = numpy.exp(log_probs)
    if classes is None:
        classes = logits.argmax(axis=1)
    classes = finite_array('classes', classes, ndim=1)
    if (len(classes) != len(logits)
            or not numpy.isin(classes, range(logits.shape[1])).all()):
        raise ValueError(f'the classes {classes[:10]}, shape '
                         f'{classes.shape}, do not go with logits of shape '
                         f'{logits.shape}: there must be an integer from 0 '
                         f'to {logits.shape[1] - 1} for each row')
    scores = numpy.ones(logits.shape[1])
    for k in set(classes.astype('int64')):
        p, log_p = probs[classes == k], log_probs[classes == k]
        divergence = (-entr(p).sum(axis=1).mean()
                      - (p.mean(axis=0) * log_p.mean(axis=0)).sum())
        if divergence > 700:
            raise ValueError(f'in class {k} the mean divergence of two '
                             f'images is {divergence:.0f}, too much for exp: '
                             'are these the logits of a classifier?')
        scores[k] = math.exp(max(divergence, 0.0))
    return float(scores.mean())


def precision_recall(real, fake, k=3):
    """Compute precision and recall by nearest neighbours.

    After Kynkäänniemi, Karras, Laine, Lehtinen and Aila, "Improved precision
    and recall metric for assessing generative models" (2019). Both depend on
    how many examples there are: take as many real as generated ones, and the
    same number for all generators.

    Args:
        real, fake: features of real and of generated examples, shapes (n, d)
            and (m, d), with n and m above `k`.
        k: the balls reach to the k-th nearest neighbour, at least 1.

    Returns:
        tuple: the share of `fake` in the balls around `real`, and the share
        of `real` in the balls around `fake`; two floats.

    Raises:
        ValueError: if shapes do not fit together, `k` is not as above, or a
            number is NaN or infinite.

    Taught in chapters/evaluation.md, "Precision and Recall".
    """
    if k < 1:
        raise ValueError(f'k is {k}, but must be at least 1')
    real = finite_array('real', real, ndim=2, min_rows=k + 1)
    fake = finite_array('fake', fake, ndim=2, min_rows=k + 1)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f'real has shape {real.shape}, but fake '
                         f'{fake.shape}: the second axes must be equal')
    shares = []
    for centers, X in ((real, fake), (fake, real)):
        neighbors = NearestNeighbors(n_neighbors=k).fit(centers)
        radii = neighbors.kneighbors()[0][:, -1]
        # In pieces, so that the distances fit into the memory
        rows = 1 + 10**7 // len(centers)
        inside = [(cdist(X[i:i + rows], centers) <= radii).any(axis=1)
                  for i in range(0, len(X), rows)]
        shares.append(float(numpy.concatenate(inside).mean()))
    return tuple(shares)


def copying(fake, real):
    """Measure how much nearer to the training data fakes are than honest.

    The share of pairs of a fake and a real example in which the fake is the
    nearer one to its nearest (other) real example, ties counting one half.
    After Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect
    data-copying in generative models" (2020), with real examples left out one
    by one in the place of a test set.

    Args:
        fake: generated examples or their features, shape (n, ...), with n at
            least 1.
        real: the training examples or their features, shape (m, ...), with m
            at least 2.

    Returns:
        float: 1/2 for new examples of the same distribution, 1 for copies,
        0 for fakes that are all farther from the data than any real example.

    Raises:
        ValueError: as `nearest_examples` does.

    Taught in chapters/evaluation.md, "Is It Copying?".
    """
    fake_distances, _ = nearest_examples(fake, real)
    real_distances, _ = nearest_examples(real)
    wins = mannwhitneyu(real_distances, fake_distances).statistic
    return float(wins / (len(real_distances) * len(fake_distances)))


def sliced_distance(X, Y, num_directions=32, seed=0):
    """Compute the squared sliced Wasserstein distance of two sets of points.

    The mean over random directions of the squared 2-Wasserstein distance of
    what the points are when projected onto the direction. After Rabin, Peyré,
    Delon and Bernot, "Wasserstein barycenter and its application to texture
    mixing" (2011).

    Args:
        X, Y: shapes (n, d) and (m, d), n and m at least 1.
        num_directions: at least 1.
        seed: of the directions.

    Returns:
        float: at least 0; 0 for equal sets.

    Raises:
        ValueError: for other shapes, and for NaN or infinite numbers.

    Taught in chapters/evaluation.md, "Shadows".
    """
    X = finite_array('X', X, ndim=2, min_rows=1)
    Y = finite_array('Y', Y, ndim=2, min_rows=1)
    if X.shape[1:] != Y.shape[1:] or num_directions < 1:
        raise ValueError(f'X has shape {X.shape} and Y {Y.shape}, and there '
                         f'are {num_directions} directions: the second axes '
                         'must be equal, and one direction is needed')
    rng = numpy.random.RandomState(seed)
    directions = rng.normal(size=(num_directions, X.shape[1]))
    directions /= numpy.linalg.norm(directions, axis=1, keepdims=True)
    x, y = (numpy.sort(directions @ Z.T) for Z in (X, Y))
    # A point of X weighs 1 / n, and one of Y 1 / m: in units of 1 / (n m),
    # where does one end?
    n, m = len(X), len(Y)
    ends = numpy.union1d(numpy.arange(1, n + 1) * m,
                         numpy.arange(1, m + 1) * n)
    weights = numpy.diff(ends, prepend=0) / (n * m)
    gaps = x[:, (ends - 1) // m] - y[:, (ends - 1) // n]
    return float((gaps ** 2 @ weights).mean())


def laplacian_pyramid(images):
    """Split images into their details of each size.

    After Burt and Adelson, "The Laplacian pyramid as a compact image code"
    (1983), with means over blocks of 2 x 2 pixels in the place of a smooth
    filter.

    Args:
        images: a numpy.ndarray of shape (n, channels, height, width).

    Returns:
        list: numpy.ndarrays, first the details that go when the images are
        halved, then those that go when these are halved, and so on; at last
        the smallest images. They are halved once, and then as long as at
        least 8 pixels are left in height and width. Each level scaled up to
        the size of the one before, by repeating pixels, and added to it, they
        give back the images.

    Taught in chapters/evaluation.md, "Patches over Scales".
    """
    levels = []
    while not levels or min(images.shape[2:]) >= 16:
        height, width = images.shape[2:]
        even = numpy.pad(images, ((0, 0), (0, 0), (0, height % 2),
                                  (0, width % 2)), mode='edge')
        rows = (even[:, :, ::2] + even[:, :, 1::2]) / 2
        halved = (rows[..., ::2] + rows[..., 1::2]) / 2
        again = halved.repeat(2, axis=2).repeat(2, axis=3)
        levels.append(images - again[:, :, :height, :width])
        images = halved
    return [*levels, images]


def patch_distance(real, fake, num_patches=2**14, seed=0):
    """Compare small patches of images, over all scales.

    The mean over the levels of a Laplacian pyramid of the `sliced_distance`
    between patches of 3 x 3 pixels, in units of the real patches' spread.
    After Karras, Aila, Laine and Lehtinen, "Progressive growing of GANs for
    improved quality, stability, and variation" (2018).

    Args:
        real, fake: images, shapes (n, channels, height, width) and (m, ...),
            n and m at least 1, height and width at least 8.
        num_patches: how many are drawn from real and from generated images,
            on each level.
        seed: of the patches and the directions.

    Returns:
        float: squared, at least 0; 0 for equal images. As other distances, it
        falls with the number of images.

    Raises:
        ValueError: for other shapes, and for NaN or infinite numbers.

    Taught in chapters/evaluation.md, "Patches over Scales".
    """
    real = finite_array('real', real, ndim=4, min_rows=1)
    fake = finite_array('fake', fake, ndim=4, min_rows=1)
    if real.shape[1:] != fake.shape[1:] or min(real.shape[2:]) < 8:
        raise ValueError(f'real has shape {real.shape} and fake {fake.shape}:'
                         ' only the first axes may differ, and images have '
                         'to be at least 8 pixels high and wide')
    distances = []
    for levels in zip(laplacian_pyramid(real), laplacian_pyramid(fake)):
        X, Y = (_patches(level, num_patches, seed) for level in levels)
        spread = X.std() or 1
        distances.append(sliced_distance(X / spread, Y / spread, seed=seed))
    return float(numpy.mean(distances))


def _patches(images, num_patches, seed):
    """Draw patches of 3 x 3 pixels, shape (num_patches, 9 * channels).

    Taught in chapters/evaluation.md, "Patches over Scales".
    """
    rng = numpy.random.RandomState(seed)
    windows = sliding_window_view(images, (3, 3), axis=(2, 3))
    n, _, height, width = windows.shape[:4]
    i, y, x = (rng.randint(size, size=num_patches)
               for size in (n, height, width))
    return windows[i, :, y, x].reshape(num_patches, -1)


def new_discriminator(widths=(8, 16)):
    """Make a small convolutional network that has no weights yet.

    Args:
        widths: the numbers of channels of its convolutions.

    Returns:
        Classifier: its features are the means over all places of what the
        last convolution sees, and it has two logits.

    Taught in chapters/evaluation.md, "A Fresh Discriminator".
    """
    body = nn.HybridSequential()
    for channels in widths:
        body.add(nn.Conv2D(channels, 3, padding=1, use_bias=False),
                 nn.BatchNorm(), nn.Activation('relu'), nn.AvgPool2D(2))
    body.add(nn.GlobalAvgPool2D(), nn.Flatten())
    return Classifier(2, body)


def two_sample_test(real, fake, seed=0):
    """Ask a fresh discriminator which images are generated.

    It learns from half of the images, as many real ones as generated ones,
    and is asked about the others. After Lopez-Paz and Oquab, "Revisiting
    classifier two-sample tests" (2017).

    Args:
        real, fake: images as in `check_images`, shapes (n, ...) and (m, ...);
            n and m at least 4. The larger set counts by min(n, m) of its
            images, and both by 5000 at most.
        seed: of the choice of images, and of the training.

    Returns:
        tuple: the share of right answers, from 0 to 1, 1/2 for fakes that
        cannot be told from real images; and the standard deviation that this
        would have if a coin answered.

    Raises:
        ValueError: for other images, or too few.

    Taught in chapters/evaluation.md, "A Fresh Discriminator".
    """
    real = check_images(real)
    fake = check_images(fake, real.shape[1:])
    n = min(len(real), len(fake), 5000)
    if n < 4:
        raise ValueError(f'there are {len(real)} real and {len(fake)} '
                         'generated images, but at least 4 of each are '
                         'needed, 2 to learn from and 2 to ask about')
    rng, k = numpy.random.RandomState(seed), n // 2
    real, fake = (as_floats(X[rng.permutation(len(X))[:n]])
                  for X in (real, fake))
    net = new_discriminator()
    fit(net, numpy.concatenate((real[:k], fake[:k])), numpy.repeat((0, 1), k),
        seed=seed, num_steps=100, lr=0.02)
    right = [classify(net, X[k:])[1].argmax(axis=1) == y
             for y, X in enumerate((real, fake))]
    return float(numpy.mean(right)), 0.5 / math.sqrt(2 * (n - k))


class Judge:
    """Judges generated images by what networks see, and by their patches.

    The distance is that of Heusel, Ramsauer, Unterthiner, Nessler and
    Hochreiter, "GANs trained by a two time-scale update rule converge to a
    local Nash equilibrium" (2017), with the 64 features of a classifier of
    the data at hand in the place of Inception's. So its size depends on the
    data: compare it with `floor`, and not between data sets.

    Its methods take generated images, n at least 2, as tall, wide and
    coloured as the real ones, floats in [-1, 1] or uint8, and raise a
    ValueError for others. Most of what they give depends on n: compare
    generators by the same number of images.

    Args:
        images, labels: real images and their classes; this and the other
            arguments are those of `train_classifier`. If `labels` is `None`,
            ten clusters of the images take the place of the classes; see
            `cluster`. They may know nothing of textures, so the features are
            then those of a `new_discriminator` that has learned nothing.

    Attributes:
        accuracy: of the classifier, on real images that it did not learn
            from; where it is low, its judgement is worth little.
        num_classes: how many classes there are.

    Raises:
        ValueError: as `train_classifier` does; without labels, if there are
            not ten images that differ.

    Taught in chapters/evaluation.md, "One Judge".
    """
    def __init__(self, images, labels=None, *, cache=None, seed=0,
                 num_epochs=None):
        self._images = images = check_images(images)
        self._eye, self._spread = None, 1
        if labels is None:
            labels, self._eye = cluster(images, seed), new_discriminator((64,))
            fit(self._eye, images, None, seed=seed, num_steps=0)
            spread = classify(self._eye, images)[0].std(axis=0)
            self._spread = numpy.where(spread > 0, spread, 1)
        self._net, self.accuracy = train_classifier(
            images, labels, cache=cache, seed=seed, num_epochs=num_epochs)
        self.num_classes = self._net.head.weight.shape[0]
        self._features, _ = self._read(images)
        self._moments = moments(self._features)

    def _read(self, images):
        images = check_images(images, self._images.shape[1:])
        features, logits = classify(self._net, images)
        if self._eye:
            features = classify(self._eye, images)[0] / self._spread
        return features, logits

    def classes(self, images):
        """Tell which class each generated image looks like.

        Returns:
            numpy.ndarray: shape (n,), integers from 0 to num_classes - 1.
        """
        return self._read(images)[1].argmax(axis=1)

    def class_shares(self, images):
        """Count the classes among generated images, as the classifier does.

        Returns:
            numpy.ndarray: shape (num_classes,), shares that add up to 1.
        """
        classes = self.classes(images)
        counts = numpy.bincount(classes, minlength=self.num_classes)
        return counts / len(classes)

    def distance(self, images):
        """Compute the Fréchet distance between generated and real features.

        From few images it comes out too large, since their moments have
        errors: about as c / n for n images. So compare it with `floor(n)`.

        Returns:
            float: the squared distance, at least 0.
        """
        features, _ = self._read(images)
        return frechet_distance(*self._moments, *moments(features))

    def floor(self, n=None, seed=0):
        """Compute the distance between real images and other real images.

        `distance` gives about as much for n images of a generator without
        fault. (A little less where n is no small part of the real images,
        since it has all of them to compare with.)

        Args:
            n: so many images, drawn at random, are compared with the others;
                half of them if `None`.
            seed: of the draw; with little data the result varies by a third
                between draws, so take some.

        Returns:
            float: the squared distance, at least 0.

        Raises:
            ValueError: if less than 2 images would be on either side.
        """
        drawn, others = self._split(n, seed)
        return frechet_distance(*moments(self._features[drawn]),
                                *moments(self._features[others]))

    def _split(self, n, seed):
        size = len(self._features)
        n = size // 2 if n is None else n
        if not 2 <= n <= size - 2:
            raise ValueError(f'n is {n}, but must leave at least 2 of the '
                             f'{size} real images on both sides')
        order = numpy.random.RandomState(seed).permutation(size)
        return order[:n], order[n:]

    def patch_distance(self, images, seed=0):
        """Compare patches; see the function.

        At most 5000 images are taken on each side; `seed` is that of all
        draws. Compare it with `patch_floor(n)`.
        """
        images = check_images(images, self._images.shape[1:])
        real, fake = (
            as_floats(X[numpy.random.RandomState(seed).permutation(len(X))
                        [:5000]]) for X in (self._images, images))
        return patch_distance(real, fake, seed=seed)

    def patch_floor(self, n=None, seed=0):
        """Compare patches of real images and of others; see `floor`."""
        real, fake = (as_floats(self._images[rows[:5000]])
                      for rows in self._split(n, seed)[::-1])
        return patch_distance(real, fake, seed=seed)

    def discriminator(self, images, seed=0):
        """Ask a fresh discriminator; see `two_sample_test`."""
        images = check_images(images, self._images.shape[1:])
        return two_sample_test(self._images, images, seed)

    def inception_score(self, images):
        """Compute the Inception Score; see the function."""
        return inception_score(self._read(images)[1])

    def modified_inception_score(self, images, classes=None):
        """Compute the modified Inception Score; see the function."""
        return modified_inception_score(self._read(images)[1], classes)

    def precision_recall(self, images, k=3, seed=0):
        """Compute precision and recall; see the function.

        Generated images are compared with as many real ones, or the other way
        round, and at most 5000 of each; `seed` is that of the draw.
        """
        features, _ = self._read(images)
        n = min(len(features), len(self._features), 5000)
        rng = numpy.random.RandomState(seed)
        real, fake = (X[rng.permutation(len(X))[:n]]
                      for X in (self._features, features))
        return precision_recall(real, fake, k)

    def copying(self, images):
        """Look for copies of real images, in features; see the function."""
        return copying(self._read(images)[0], self._features)

    def summary(self, images, classes=None):
        """Compute all measures.

        Args:
            images: generated ones.
            classes: as in `modified_inception_score`.

        Returns:
            dict: `distance`, `inception_score`, `modified_inception_score`,
            `precision`, `recall`, `copying`, `rarest_class`, the share of the
            class that is drawn least, `patch_distance`, `discriminator`, the
            share of its right answers, and `discriminator_error`; floats.
        """
        precision, recall = self.precision_recall(images)
        answers, error = self.discriminator(images)
        return {'distance': self.distance(images),
                'inception_score': self.inception_score(images),
                'modified_inception_score': self.modified_inception_score(
                    images, classes),
                'precision': precision, 'recall': recall,
                'copying': self.copying(images),
                'rarest_class': float(self.class_shares(images).min()),
                'patch_distance': self.patch_distance(images),
                'discriminator': answers, 'discriminator_error': error}
