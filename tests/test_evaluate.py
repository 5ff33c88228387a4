"""The measures: against closed forms, and generators whose fault is known."""

import math
import random

import mxnet as mx
import numpy
import pytest
import scipy.linalg
import scipy.optimize
import scipy.spatial.distance
import scipy.special
import scipy.stats
from mxnet import np, npx
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits
from small import same

from d2l_gan.classifier import classify
from d2l_gan.evaluate import (
    Judge,
    copying,
    covariance_root,
    draw_mixture,
    frechet_distance,
    grid_of_gaussians,
    inception_score,
    laplacian_pyramid,
    mode_coverage,
    modified_inception_score,
    moments,
    nearest_examples,
    patch_distance,
    precision_recall,
    ring_of_gaussians,
    sliced_distance,
    two_sample_test,
)

npx.set_np()


@pytest.fixture(scope='module')
def digits():
    """1797 images of shape (1, 16, 16) in [-1, 1], and their labels."""
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8).astype('float32') / 8 - 1
    return images.repeat(2, axis=2).repeat(2, axis=3), labels


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='module')
def judge(digits, cache):
    return Judge(*digits, cache=cache)


@pytest.fixture(scope='module')
def few(digits):
    """Few and small images, for tests that train often: two classes."""
    images, labels = digits
    return images[labels < 2, :, ::2, ::2], labels[labels < 2]


def blank_of(*shape):
    return numpy.zeros((4, *shape), 'float32')


def random_gaussian(seed, d, num_samples=None):
    rng = numpy.random.RandomState(seed)
    A = rng.normal(size=(num_samples or 2 * d, d))
    return rng.normal(size=d), A.T @ A / len(A)


# The distance


@pytest.mark.parametrize(
    'mean_1, std_1, mean_2, std_2, expected',
    [
        (0, 1, 3, 1, 9),
        (0, 1, 0, 3, 4),
        (1, 0.5, -1, 2, 4 + 2.25),
        (1, 0, 0, 2, 1 + 4),
        (1, 0, 3, 0, 4),
    ],
)
def test_gaussians_on_a_line(mean_1, std_1, mean_2, std_2, expected):
    distance = frechet_distance([mean_1], [[std_1**2]], [mean_2], [[std_2**2]])
    assert isinstance(distance, float)
    assert distance == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize('rotated', [False, True])
def test_covariances_that_commute(rotated):
    a, b = numpy.array([[4, 1, 0.25, 0, 9], [1, 9, 0.25, 4, 0]])
    Q = numpy.eye(5)
    if rotated:
        Q = scipy.linalg.qr(numpy.random.RandomState(0).normal(size=(5, 5)))[0]
    distance = frechet_distance(
        numpy.zeros(5), Q * a @ Q.T, numpy.ones(5), Q * b @ Q.T
    )
    expected = 5 + ((numpy.sqrt(a) - numpy.sqrt(b)) ** 2).sum()
    assert distance == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize('d', [2, 7, 64])
def test_covariances_that_do_not_commute(d):
    (mean_1, cov_1), (mean_2, cov_2) = (random_gaussian(i, d) for i in (0, 1))
    root = scipy.linalg.sqrtm(cov_1 @ cov_2)
    assert abs(root.imag).max() < 1e-6
    expected = ((mean_1 - mean_2) ** 2).sum() + numpy.trace(
        cov_1 + cov_2 - 2 * root.real
    )
    distance = frechet_distance(mean_1, cov_1, mean_2, cov_2)
    assert distance == pytest.approx(expected, rel=1e-9)
    swapped = frechet_distance(mean_2, cov_2, mean_1, cov_1)
    assert distance == pytest.approx(swapped, rel=1e-9)


def test_two_lines_in_space():
    # Rank 1, where the product of the covariances has no usual root
    u, v = numpy.array([1.0, 2, 2]), numpy.array([0.0, 3, -4])
    zero = numpy.zeros(3)
    distance = frechet_distance(
        zero, numpy.outer(u, u), zero, numpy.outer(v, v)
    )
    assert distance == pytest.approx(9 + 25 - 2 * abs(u @ v), abs=1e-6)


@pytest.mark.parametrize('num_samples', [200, 10, 1])
def test_equal_gaussians(num_samples):
    # With fewer samples than dimensions the covariance is singular.
    mean, cov = random_gaussian(0, 64, num_samples)
    assert 0 <= frechet_distance(mean, cov, mean, cov) < 1e-10
    # As precise for others, too: twice the spread
    assert frechet_distance(mean, cov, mean, 4 * cov) == pytest.approx(
        numpy.trace(cov), rel=1e-6
    )


@pytest.mark.parametrize('num_samples', [200, 10, 1])
def test_roots_of_covariances(num_samples):
    _, cov = random_gaussian(0, 64, num_samples)
    root = covariance_root(cov)
    numpy.testing.assert_allclose(root @ root.T, cov, atol=1e-12)
    for bad in (cov[:3], cov + numpy.eye(64, k=1)):
        with pytest.raises(ValueError, match='cov is not symmetric'):
            covariance_root(bad)


eye = numpy.eye(2)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (([0, 0], eye, [0, 0, 0], eye), r'mean_2 has shape \(3,\)'),
        (([0, 0], eye, [0, 0], numpy.eye(3)), r'cov_2 has shape \(3, 3\)'),
        (([0, 0], [1, 1], [0, 0], eye), r'cov_1 has shape \(2,\)'),
        ((0, 1, 0, 1), r'mean_1 has shape \(\)'),
        (([], numpy.eye(0), [], numpy.eye(0)), 'd at least 1'),
        (([0, numpy.nan], eye, [0, 0], eye), 'mean_1 holds NaN'),
        (([0, 0], eye, [0, 0], eye + numpy.inf), 'cov_2 holds NaN'),
        (([0, 0], [[1, 1], [0, 1]], [0, 0], eye), 'cov_1 is not symmetric'),
        (([0, 0], eye, [0, 0], -eye), 'cov_2 has the eigenvalue -1'),
    ],
)
def test_what_is_no_pair_of_gaussians(arguments, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(*arguments)


# The moments


@pytest.mark.parametrize('n, d', [(2, 1), (5, 3), (3, 7)])
def test_moments(n, d):
    X = numpy.random.RandomState(0).normal(5, 2, (n, d))
    mean, cov = moments(X)
    numpy.testing.assert_allclose(mean, X.mean(axis=0))
    expected = numpy.cov(X, rowvar=False).reshape(d, d)
    numpy.testing.assert_allclose(cov, expected)


def test_moments_far_from_the_origin():
    X = np.array([[1e4, 0], [1e4 + 1, 0]], dtype='float32')
    mean, cov = moments(X)
    assert mean.tolist() == [1e4 + 0.5, 0]
    assert cov.tolist() == [[0.5, 0], [0, 0]]


@pytest.mark.parametrize(
    'X, message',
    [
        (numpy.zeros((1, 3)), 'at least 2 rows'),
        (numpy.zeros(3), r'shape \(3,\)'),
        ([[0], [numpy.nan]], 'X holds NaN'),
    ],
)
def test_what_has_no_moments(X, message):
    with pytest.raises(ValueError, match=message):
        moments(X)


# Mixtures with known modes


def test_the_modes_of_the_ring_by_hand():
    X, modes = ring_of_gaussians(50, num_modes=4, radius=3)
    assert X.shape == (50, 2) and X.dtype == 'float32'
    numpy.testing.assert_allclose(
        modes, [[3, 0], [0, 3], [-3, 0], [0, -3]], atol=1e-12
    )
    # Neighbours on the ring are the side of an octagon apart.
    _, modes = ring_of_gaussians(1)
    steps = numpy.linalg.norm(modes - numpy.roll(modes, 1, axis=0), axis=1)
    numpy.testing.assert_allclose(steps, 4 * math.sin(math.pi / 8))


def test_the_modes_of_the_grid_by_hand():
    X, modes = grid_of_gaussians(50)
    assert X.shape == (50, 2) and X.dtype == 'float32'
    expected = {(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}
    assert set(map(tuple, modes)) == expected and len(modes) == 25
    _, modes = grid_of_gaussians(1, side=2, spacing=3)
    assert set(map(tuple, modes)) == {
        (-1.5, -1.5), (-1.5, 1.5), (1.5, -1.5), (1.5, 1.5)
    }  # fmt: skip


def test_draws_have_the_weights_and_the_spread_asked_for():
    modes = numpy.array([[0, 0, 0], [10, 0, 0], [0, 10, 5]])
    X = draw_mixture(30000, modes, 0.5, seed=1)
    _, nearest = nearest_examples(X, modes)
    shares = numpy.bincount(nearest) / len(X)
    numpy.testing.assert_allclose(shares, 1 / 3, atol=0.015)
    errors = X - modes[nearest]
    numpy.testing.assert_allclose(errors.mean(axis=0), 0, atol=0.015)
    numpy.testing.assert_allclose(
        numpy.cov(errors.T), 0.25 * numpy.eye(3), atol=0.01
    )
    assert same([X], [draw_mixture(30000, modes, 0.5, seed=1)])
    assert not same([X], [draw_mixture(30000, modes, 0.5, seed=2)])


@pytest.mark.parametrize(
    'call, message',
    [
        (lambda: ring_of_gaussians(0), 'n is 0'),
        (lambda: grid_of_gaussians(9, std=0), 'std 0,'),
        (lambda: ring_of_gaussians(9, std=math.nan), 'std nan'),
        (lambda: ring_of_gaussians(9, num_modes=0), r'shape \(0, 2\)'),
        (lambda: grid_of_gaussians(9, side=0), r'shape \(0, 2\)'),
        (lambda: ring_of_gaussians(9, radius=math.nan), 'modes holds NaN'),
        (lambda: draw_mixture(9, [0, 1], 1), r'modes has shape \(2,\)'),
    ],
)
def test_what_is_no_mixture(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_coverage_by_hand():
    modes = [[0, 0], [10, 0], [0, 10]]
    X = np.array([[2.9, 0], [3.1, 0], [10, 3], [5, 5]])
    assert mode_coverage(X, modes, 1) == (2, 0.5)
    assert mode_coverage(X, modes, 1, num_std=3.5) == (2, 0.75)
    assert mode_coverage(X, modes, 1.5) == (2, 0.75)
    assert mode_coverage(X[3:], modes, 1) == (0, 0.0)
    assert mode_coverage(X[:1], modes, 1) == (1, 1.0)


@pytest.mark.parametrize('num_std', [1, 3, 3.5])
def test_the_quality_of_the_truth_in_closed_form(num_std):
    for draw in (ring_of_gaussians, grid_of_gaussians):
        X, modes = draw(20000, std=0.05)
        num_covered, quality = mode_coverage(X, modes, 0.05, num_std)
        assert num_covered == len(modes)
        expected = 1 - math.exp(-(num_std**2) / 2)
        error = math.sqrt(expected * (1 - expected) / len(X))
        assert quality == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize(
    'X, modes, std, message',
    [
        ([[0, 0]], [[0, 0]], 0, 'std is 0'),
        ([[0, 0]], [[0, 0]], math.nan, 'std is nan'),
        ([[0, math.nan]], [[0, 0]], 1, 'X holds NaN'),
        ([[0, 0, 0]], [[0, 0]], 1, r'X has shape \(1, 3\)'),
        (numpy.zeros((0, 2)), [[0, 0]], 1, r'X has shape \(0, 2\)'),
    ],
)
def test_what_covers_nothing(X, modes, std, message):
    with pytest.raises(ValueError, match=message):
        mode_coverage(X, modes, std)


# Nearest examples


def test_nearest_examples_against_all_distances():
    rng = numpy.random.RandomState(0)
    X, examples = (
        rng.normal(size=(n, 3, 4, 2)).astype('float32') for n in (30, 50)
    )
    all_distances = scipy.spatial.distance.cdist(
        X.reshape(30, -1).astype('float64'), examples.reshape(50, -1)
    )
    distances, indices = nearest_examples(np.array(X), np.array(examples))
    numpy.testing.assert_allclose(distances, all_distances.min(axis=1))
    assert indices.tolist() == all_distances.argmin(axis=1).tolist()
    distances, indices = nearest_examples(X)
    own = scipy.spatial.distance.squareform(
        scipy.spatial.distance.pdist(X.reshape(30, -1).astype('float64'))
    ) + numpy.diag([numpy.inf] * 30)
    numpy.testing.assert_allclose(distances, own.min(axis=1))
    assert indices.tolist() == own.argmin(axis=1).tolist()


def test_copies_are_at_no_distance():
    X = numpy.random.RandomState(0).normal(100, 1, (40, 64))
    distances, indices = nearest_examples(X[::-1], X)
    assert (distances == 0).all() and indices.tolist() == [*range(40)][::-1]
    distances, indices = nearest_examples(numpy.concatenate((X, X)))
    assert (distances == 0).all()
    assert (abs(indices - numpy.arange(80)) == 40).all()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (([[0, 1]], [[0, 1, 2]]), r'shape \(1, 2\).*\(1, 3\)'),
        ((numpy.zeros((2, 4)), numpy.zeros((2, 2, 2))), 'equal shapes'),
        (([0, 1], [0, 1]), r'shape \(2,\)'),
        (([[0, 1]],), 'at least 2 examples'),
        (([[0, 1]], numpy.zeros((0, 2))), 'at least 1 examples'),
        (([[0, 1]], [[0, math.inf]]), 'examples holds NaN'),
    ],
)
def test_what_has_no_nearest_example(arguments, message):
    with pytest.raises(ValueError, match=message):
        nearest_examples(*arguments)


# The Inception Score


def logits_of(probs):
    """Logits with these probabilities, with another constant in each row."""
    rng = numpy.random.RandomState(0)
    return numpy.log(probs) + rng.normal(0, 5, (len(probs), 1))


def divergence(p, q):
    return scipy.special.rel_entr(p, q).sum()


@pytest.mark.parametrize(
    'probs, expected',
    [
        ([[0.2, 0.3, 0.5]], 1),
        ([[0.2, 0.3, 0.5]] * 7, 1),
        # Mean (1/2, 1/2); entropies H(0.9), twice
        (
            [[0.9, 0.1], [0.1, 0.9]],
            2 * 0.9**0.9 * 0.1**0.1,
        ),
        # (3/4, 1/4) against a mean of (1/2, 1/2), and so on
        (
            [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.5, 0.5]],
            math.exp((0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2),
        ),
    ],
)
def test_inception_scores_by_hand(probs, expected):
    score = inception_score(logits_of(probs))
    assert isinstance(score, float)
    assert score == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize('sureness', [100, 1e4, 1e30])
def test_sure_of_all_classes_equally_often(sureness):
    # Probabilities that are 0 in floating point, and their logarithms
    logits = numpy.eye(7, dtype='float32').repeat(3, axis=0) * sureness
    assert inception_score(logits) == pytest.approx(7, rel=1e-12)
    # Of two classes only
    assert inception_score(logits[:6]) == pytest.approx(2, rel=1e-12)
    assert modified_inception_score(logits) == 1


def test_the_inception_score_against_its_definition():
    probs = numpy.random.RandomState(0).dirichlet([0.3] * 5, 20)
    mean = probs.mean(axis=0)
    expected = numpy.exp(numpy.mean([divergence(p, mean) for p in probs]))
    logits = logits_of(probs)
    assert inception_score(np.array(logits)) == pytest.approx(expected)
    assert 1 <= inception_score(logits) <= 5


@pytest.mark.parametrize('score', [inception_score, modified_inception_score])
@pytest.mark.parametrize(
    'logits, message',
    [
        ([[0, math.nan]], 'logits holds NaN'),
        # The logarithm of a probability of 0
        ([[0, -math.inf]], 'logits holds NaN or infinite'),
        ([0, 1], r'logits has shape \(2,\)'),
        (numpy.zeros((0, 10)), 'at least 1 rows'),
    ],
)
def test_what_are_no_logits(score, logits, message):
    with pytest.raises(ValueError, match=message):
        score(logits)


# The modified Inception Score


def score_by_pairs(probs, classes):
    scores = []
    for k in range(probs.shape[1]):
        members = probs[classes == k]
        pairs = [divergence(p, q) for p in members for q in members]
        scores.append(math.exp(numpy.mean(pairs)) if pairs else 1)
    return numpy.mean(scores)


def test_a_pair_by_hand():
    # Two images of class 0, none of class 1, which counts 1
    a = 0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4)
    b = 0.6 * math.log(0.6 / 0.9) + 0.4 * math.log(0.4 / 0.1)
    score = modified_inception_score(logits_of([[0.9, 0.1], [0.6, 0.4]]))
    assert isinstance(score, float)
    assert score == pytest.approx((math.exp((a + b) / 4) + 1) / 2, rel=1e-12)


@pytest.mark.parametrize('spread', [0.1, 1, 10])
def test_one_pass_is_all_pairs(spread):
    probs = numpy.random.RandomState(0).dirichlet([1 / spread] * 4, 60)
    probs = 0.999 * probs + 0.001 / 4
    logits, seen = logits_of(probs), probs.argmax(axis=1)
    asked = numpy.arange(60) % 3
    for classes, given in ((seen, None), (asked, asked)):
        assert modified_inception_score(logits, given) == pytest.approx(
            score_by_pairs(probs, classes), rel=1e-10
        )


def test_one_image_and_images_without_diversity():
    one = logits_of([[0.2, 0.5, 0.3]])
    assert modified_inception_score(one) == 1
    for classes in (None, [2] * 5):
        assert modified_inception_score(
            one.repeat(5, axis=0), classes
        ) == pytest.approx(1, abs=1e-12)


def test_probabilities_too_small_for_floats():
    # e**-200 is 0 in float32; its logarithm is -200. Half of the pairs have
    # a divergence of 200, and class 1 is empty.
    logits = numpy.array([[200, 0], [0, 200]], 'float32')
    score = modified_inception_score(logits, [0, 0])
    assert score == pytest.approx((math.exp(100) + 1) / 2, rel=1e-6)
    with pytest.raises(ValueError, match=r'class 0 .* is 5000, too much'):
        modified_inception_score(50 * logits, [0, 0])


@pytest.mark.parametrize(
    'classes, message',
    [
        ([0, 1], r'shape \(2,\).*shape \(3, 2\)'),
        ([[0], [1], [0]], r'classes has shape \(3, 1\)'),
        ([0, 1, 2], 'from 0 to 1'),
        ([0, -1, 1], 'from 0 to 1'),
        ([0, 0.5, 1], 'from 0 to 1'),
        ([0, math.nan, 1], 'classes holds NaN'),
    ],
)
def test_what_are_no_classes(classes, message):
    with pytest.raises(ValueError, match=message):
        modified_inception_score(numpy.zeros((3, 2)), classes)


# Precision and recall


def test_balls_on_a_line_by_hand():
    # With k = 1: radii 1 around the real ones, 3.4, 0.2, 0.2 and 5.9 around
    # the others
    real, fake = (
        numpy.array(X).reshape(-1, 1)
        for X in ([0, 1, 2, 3], [0.5, 3.9, 4.1, 10])
    )
    assert precision_recall(real, fake, k=1) == (0.5, 1.0)
    # Radii 2, 1, 1 and 2; and 3.6, 3.4, 3.6 and 6.1, with k = 2
    assert precision_recall(real, fake, k=2) == (0.75, 1.0)
    assert precision_recall(fake, real, k=1) == (1.0, 0.5)


@pytest.mark.parametrize('n, m', [(60, 40), (3200, 3300)])
def test_balls_against_all_distances(n, m):
    rng = numpy.random.RandomState(0)
    real, fake = rng.normal(0, 1, (n, 2)), rng.normal(0.7, 0.8, (m, 2))
    expected = []
    for centers, X in ((real, fake), (fake, real)):
        among = scipy.spatial.distance.cdist(centers, centers)
        radii = numpy.partition(among, 3, axis=1)[:, 3]
        distances = scipy.spatial.distance.cdist(X, centers)
        expected.append((distances <= radii).any(axis=1).mean())
    assert precision_recall(real, fake) == pytest.approx(expected)


def test_equal_and_distant_sets():
    X = numpy.random.RandomState(0).normal(100, 1, (50, 64))
    assert precision_recall(X, X) == (1, 1)
    assert precision_recall(X, np.array(X)) == pytest.approx((1, 1))
    assert precision_recall(X, X + 100) == (0, 0)
    # Balls of radius 0
    one = X[:1].repeat(10, axis=0)
    assert precision_recall(one, one) == (1, 1)
    assert precision_recall(X, one) == (1, 1 / 50)


@pytest.mark.parametrize(
    'real, fake, k, message',
    [
        (numpy.zeros((9, 2)), numpy.zeros((9, 3)), 3, r'real has .*\(9, 3\)'),
        (numpy.zeros((3, 2)), numpy.zeros((9, 2)), 3, 'real .* least 4 rows'),
        (numpy.zeros((9, 2)), numpy.zeros((1, 2)), 1, 'fake .* least 2 rows'),
        (numpy.zeros((9, 2)), numpy.zeros((9, 2)), 0, 'k is 0'),
        (numpy.zeros(9), numpy.zeros((9, 2)), 3, r'real has shape \(9,\)'),
        (numpy.zeros((9, 2)), numpy.full((9, 2), math.nan), 3, 'fake holds'),
    ],
)
def test_what_has_no_precision(real, fake, k, message):
    with pytest.raises(ValueError, match=message):
        precision_recall(real, fake, k)


# Copies


def test_copying_by_hand():
    # The real ones are 1, 1 and 2 from others; the fakes 0 and 1.5.
    real = [[0], [1], [3]]
    assert copying([[0], [4.5]], real) == pytest.approx(4 / 6)
    assert copying([[4.5]], real) == pytest.approx(1 / 3)
    # A tie with two, nearer than the third
    assert copying([[-1]], real) == pytest.approx((0.5 + 0.5 + 1) / 3)


def test_copies_and_honest_draws():
    rng = numpy.random.RandomState(0)
    X, new = rng.normal(size=(2, 600, 1, 3, 3)).astype('float32')
    assert copying(X[:100], X) == 1
    assert copying(X, X) == 1
    assert 0.45 < copying(new, X) < 0.55
    assert copying(new + 100, X) == 0
    # Half and half
    half = numpy.concatenate((new[:300], X[:300]))
    assert 0.7 < copying(half, X) < 0.8
    # Nothing but ties
    assert copying(numpy.zeros((5, 2)), numpy.zeros((7, 2))) == 0.5


@pytest.mark.parametrize(
    'fake, real, message',
    [
        ([[0, 0]], [[0, 0]], 'at least 2 examples'),
        ([[0, 0]], [[0], [1]], 'equal shapes'),
        ([[math.nan]], [[0], [1]], 'X holds NaN'),
    ],
)
def test_what_copies_nothing(fake, real, message):
    with pytest.raises(ValueError, match=message):
        copying(fake, real)


# Shadows, patches, and a fresh discriminator


def test_points_on_a_line_by_hand():
    # In order: 0 to 1, 2 to 2, 5 to 8; one direction there is, and its mirror
    X, Y = (numpy.array(Z).reshape(-1, 1) for Z in ([5, 0, 2], [2, 8, 1]))
    distance = sliced_distance(X, np.array(Y))
    assert isinstance(distance, float)
    assert distance == pytest.approx((1 + 0 + 9) / 3)
    # Half of the weight of a point goes to one, and half to the next.
    distance = sliced_distance([[1], [0]], [[-1], [0], [2], [3]])
    assert distance == pytest.approx((1 + 0 + 1 + 4) / 4)
    # 0 to -1 and a half of 1; 6 to the other half, and to 5
    distance = sliced_distance([[0], [6]], [[-1], [1], [5]])
    assert distance == pytest.approx((2 * 1 + 1 + 25 + 2 * 1) / 6)


def test_shadows_on_a_line_are_carried_at_the_least_cost():
    X, Y = numpy.random.RandomState(0).normal(0, [[[1]], [[3]]], (2, 30, 1))
    cost = scipy.spatial.distance.cdist(X, Y, 'sqeuclidean')
    pairs = scipy.optimize.linear_sum_assignment(cost)
    assert sliced_distance(X, Y) == pytest.approx(cost[pairs].mean())
    # The distance to its first power, from SciPy: that of Y and Y + 2 is 2.
    first = scipy.stats.wasserstein_distance(Y[:, 0], Y[:, 0] + 2)
    assert sliced_distance(Y, Y + 2) == pytest.approx(first**2)


@pytest.mark.parametrize('d', [1, 3, 20])
def test_the_sliced_distance_of_a_shift_and_of_a_scale(d):
    X = numpy.random.RandomState(0).normal(size=(1000, d))
    assert sliced_distance(X, X) == sliced_distance(X, X[::-1]) == 0
    # A random direction has 1 / d of the square of a vector, in the mean.
    shift = numpy.full(d, 2 / math.sqrt(d))
    distance = sliced_distance(X, X + shift, num_directions=1000)
    assert distance == pytest.approx(4 / d, rel=0.1)
    # Each shadow has spread 1, and then 3.
    assert sliced_distance(X, 3 * X) == pytest.approx(4, rel=0.1)
    other = sliced_distance(X, 3 * X, seed=1)
    assert d == 1 or other != sliced_distance(X, 3 * X)


@pytest.mark.parametrize(
    'X, Y, settings, message',
    [
        ([[0]], [[0, 1]], {}, r'X has shape \(1, 1\) and Y \(1, 2\)'),
        ([0], [[0]], {}, r'X has shape \(1,\)'),
        (numpy.zeros((0, 2)), [[0, 1]], {}, 'at least 1 rows'),
        ([[0]], [[math.nan]], {}, 'Y holds NaN'),
        ([[0]], [[0]], {'num_directions': 0}, '0 directions'),
    ],
)
def test_what_casts_no_shadow(X, Y, settings, message):
    with pytest.raises(ValueError, match=message):
        sliced_distance(X, Y, **settings)


@pytest.mark.parametrize('height, width', [(8, 8), (9, 33), (32, 37), (7, 7)])
def test_a_pyramid_sums_up_to_the_image(height, width):
    X = numpy.random.RandomState(0).uniform(-1, 1, (3, 2, height, width))
    levels = laplacian_pyramid(X)
    assert len(levels) == (3 if min(height, width) >= 32 else 2)
    total = levels[-1]
    for level in levels[-2::-1]:
        h, w = level.shape[2:]
        total = total.repeat(2, axis=2).repeat(2, axis=3)[:, :, :h, :w] + level
    numpy.testing.assert_allclose(total, X, atol=1e-12)


def test_a_pyramid_by_hand():
    X = numpy.zeros((1, 1, 8, 8))
    X[0, 0, 0, 0], X[0, 0, 6:, 6:] = 4, 1
    details, rest = laplacian_pyramid(X)
    assert details[0, 0, :2, :2].tolist() == [[3, -1], [-1, -1]]
    assert abs(details).sum() == 6
    assert rest[0, 0, 0, 0] == rest[0, 0, 3, 3] == 1 and rest.sum() == 2


def test_the_distance_of_patches_sees_what_it_is_made_for(digits):
    images = digits[0]
    order = numpy.random.RandomState(2).permutation(len(images))
    real, new = images[order[:1200]], images[order[1200:]]
    honest = patch_distance(real, new)
    assert patch_distance(new, np.array(new)) == 0 < honest
    blurred = gaussian_filter(new, (0, 0, 0.7, 0.7))
    noise = numpy.random.RandomState(0).normal(0, 0.2, new.shape)
    for fake in (blurred, 0.8 * new, new + noise, new[:, :, :, ::-1]):
        assert patch_distance(real, fake) > 3 * honest
    # In units of the spread of the real patches, so contrast cancels out
    assert patch_distance(5 * real, 5 * new) == pytest.approx(honest)
    blank = numpy.zeros((4, 3, 8, 8))
    assert patch_distance(blank, blank) == 0


@pytest.mark.parametrize(
    'real, fake, message',
    [
        (blank_of(1, 8, 8), blank_of(3, 8, 8), r'fake \(4, 3, 8, 8\)'),
        (blank_of(1, 7, 8), blank_of(1, 7, 8), 'at least 8 pixels'),
        (blank_of(8, 8), blank_of(8, 8), 'must have 4 axes'),
        (blank_of(1, 8, 8), blank_of(1, 8, 8) * math.nan, 'fake holds NaN'),
    ],
)
def test_what_has_no_patches(real, fake, message):
    with pytest.raises(ValueError, match=message):
        patch_distance(real, fake)


def test_a_fresh_discriminator_is_a_coin_for_honest_images(digits):
    images = digits[0][:, :, ::2, ::2]
    errors = []
    for seed in range(6):
        order = numpy.random.RandomState(seed).permutation(len(images))
        share, error = two_sample_test(
            images[order[:900]], images[order[900:1300]], seed
        )
        # Of 400 real and 400 generated images, 200 each are left to be asked.
        assert error == 0.5 / math.sqrt(400)
        errors.append((share - 0.5) / error)
    assert abs(numpy.mean(errors)) < 3 / math.sqrt(6)
    assert max(map(abs, errors)) < 4


def test_a_fresh_discriminator_knows_what_differs(digits):
    images = digits[0][:, :, ::2, ::2]
    real, new = images[:900], images[900:]
    noise = numpy.random.RandomState(0).normal(0, 0.4, new.shape)
    for fake in (
        numpy.clip(new + noise, -1, 1),
        gaussian_filter(new, (0, 0, 0.7, 0.7)),
        numpy.rint(127.5 - 127.5 * new).astype('uint8'),
    ):
        share, _ = two_sample_test(real, fake)
        assert share > 0.9
        assert two_sample_test(real, fake)[0] == share


def test_too_few_images_for_halves():
    share, error = two_sample_test(blank_of(1, 8, 8), blank_of(1, 8, 8))
    assert share == 0.5 and error == 0.25
    with pytest.raises(ValueError, match='4 real and 3 generated'):
        two_sample_test(blank_of(1, 8, 8), blank_of(1, 8, 8)[:3])
    with pytest.raises(ValueError, match='real ones have'):
        two_sample_test(blank_of(1, 8, 8), blank_of(3, 8, 8))


# The judge


def test_the_classifier_knows_digits(judge):
    assert 0.97 <= judge.accuracy <= 1
    assert judge.num_classes == 10


@pytest.mark.parametrize('shape', [(3, 8, 8), (3, 64, 10), (1, 9, 33)])
def test_images_of_other_sizes_and_in_colour(tmp_path, shape):
    # The classes differ in the last channel's last corner only.
    labels = numpy.arange(40) % 2
    images = numpy.random.RandomState(0).uniform(-0.5, 0.5, (40, *shape))
    images[:, -1, -4:, -4:] = labels.reshape(-1, 1, 1) * 1.6 - 0.8
    judge = Judge(images, labels, cache=tmp_path, num_epochs=20)
    assert judge.accuracy == 1
    assert judge.class_shares(images).tolist() == [0.5, 0.5]


def test_a_generator_of_some_classes(judge, digits):
    images, labels = digits
    shares = judge.class_shares(images[(labels == 3) | (labels == 7)])
    assert shares.shape == (10,) and shares.sum() == pytest.approx(1)
    share = (labels == 3).sum() / ((labels == 3) | (labels == 7)).sum()
    assert shares[3] == pytest.approx(share, abs=0.02)
    assert shares[7] == pytest.approx(1 - share, abs=0.02)


def test_a_generator_in_proportion(judge, digits):
    images, labels = digits
    kept = (labels != 0) | (numpy.arange(len(labels)) % 4 == 0)
    expected = numpy.bincount(labels[kept]) / kept.sum()
    numpy.testing.assert_allclose(
        judge.class_shares(images[kept]), expected, atol=0.01
    )


def test_the_distance_sees_classes_missing(judge, digits):
    images, labels = digits
    missing = [
        judge.distance(images[labels < k][:500]) for k in (10, 9, 7, 5, 3)
    ]
    assert missing == sorted(missing)
    # The first is a draw of all classes.
    assert missing[0] < 1.5 * judge.floor(500)
    assert missing[1] > 2 * judge.floor(500)
    assert missing[3] > 10 * judge.floor(500)


def test_the_distance_sees_noise(judge, digits):
    images = digits[0][:500]
    noise = numpy.random.RandomState(0).normal(size=images.shape)
    noisy = [
        judge.distance(numpy.clip(images + scale * noise, -1, 1))
        for scale in (0, 0.3, 0.6, 1.2)
    ]
    assert noisy == sorted(noisy)
    assert noisy[2] > 2 * judge.floor(500)


def test_the_distance_sees_a_generator_stuck_at_one_image(judge, digits):
    one = digits[0][:1].repeat(500, axis=0)
    assert judge.distance(one) > 20 * judge.floor(500)
    assert judge.class_shares(one).tolist() == [1] + 9 * [0]


def test_the_real_images_are_at_no_distance(judge, digits):
    assert judge.distance(digits[0]) < 1e-8


def test_the_floor_is_what_new_real_images_get(digits, cache):
    images, labels = digits
    order = numpy.random.RandomState(1).permutation(len(labels))
    seen, new = order[:1200], order[1200:]
    half = Judge(images[seen], labels[seen], cache=cache)
    ratio = half.distance(images[new]) / half.floor(len(new))
    assert 0.5 < ratio < 2


def test_the_floor_falls_with_the_number_of_images(judge):
    floors = [judge.floor(n) for n in (50, 200, 800)]
    assert floors == sorted(floors, reverse=True)
    assert floors[-1] > 0
    assert judge.floor() == judge.floor(1797 // 2)
    assert judge.floor(seed=1) != judge.floor()


@pytest.mark.parametrize('n', [-1, 0, 1, 1796])
def test_a_floor_without_images(judge, n):
    for floor in (judge.floor, judge.patch_floor):
        with pytest.raises(ValueError, match=rf'n is {n}.*2 of the 1797'):
            floor(n)


def test_images_of_mxnet_and_of_bytes(judge, digits):
    # Multiples of 1/127.5, which bytes can say exactly
    small = numpy.round((digits[0][:300] + 1) * 127.5)
    images = (small / 127.5 - 1).astype('float32')
    shares, distance = judge.class_shares(images), judge.distance(images)
    for other in (np.array(images), small.astype('uint8')):
        assert judge.class_shares(other).tolist() == shares.tolist()
        assert judge.distance(other) == pytest.approx(distance, rel=1e-4)


# All measures of the judge


@pytest.fixture(scope='module')
def half(digits, cache):
    """A judge of two thirds of the digits, these, and the others."""
    images, labels = digits
    order = numpy.random.RandomState(1).permutation(len(labels))
    seen, new = order[:1200], order[1200:]
    judge = Judge(images[seen], labels[seen], cache=cache)
    return judge, images[seen], images[new], labels[new]


def test_the_judge_measures_what_the_functions_do(half):
    judge, seen, new, labels = half
    features, logits = classify(judge._net, new)
    real_features, _ = classify(judge._net, seen)
    assert judge.inception_score(new) == inception_score(logits)
    for classes in (None, labels):
        assert judge.modified_inception_score(
            new, classes
        ) == modified_inception_score(logits, classes)
    assert judge.copying(new) == copying(features, real_features)
    # As many real ones, drawn at random
    n = len(new)
    measured = [judge.precision_recall(new, seed=seed) for seed in range(5)]
    assert measured[0] == judge.precision_recall(new) != measured[1]
    expected = [precision_recall(real_features[i : i + n], features)
                for i in (0, 1200 - n)]  # fmt: skip
    numpy.testing.assert_allclose(
        numpy.mean(measured, axis=0), numpy.mean(expected, axis=0), atol=0.04
    )
    # More generated than real ones
    precision, recall = judge.precision_recall(
        numpy.concatenate((seen, new)), k=5
    )
    assert 0.85 < precision <= 1 and 0.85 < recall <= 1


def test_the_summary_is_all_measures(half):
    judge, _, new, labels = half
    summary = judge.summary(new, labels)
    precision, recall = judge.precision_recall(new)
    assert summary == {
        'distance': judge.distance(new),
        'inception_score': judge.inception_score(new),
        'modified_inception_score': judge.modified_inception_score(
            new, labels
        ),
        'precision': precision,
        'recall': recall,
        'copying': judge.copying(new),
        'rarest_class': judge.class_shares(new).min(),
        'patch_distance': judge.patch_distance(new),
        'discriminator': judge.discriminator(new)[0],
        'discriminator_error': 0.5 / math.sqrt(2 * math.ceil(len(new) / 2)),
    }
    assert all(type(value) is float for value in summary.values())
    assert judge.summary(new) != summary


def test_each_fault_is_noticed_by_the_measure_made_for_it(half):
    judge, seen, new, labels = half
    perfect, n = judge.summary(new[:500]), 500
    rng = numpy.random.RandomState(0)
    few = judge.summary(new[labels < 5].repeat(2, axis=0)[:n])
    assert few['recall'] < 0.7 * perfect['recall']
    assert few['inception_score'] < 6 < 8 < perfect['inception_score']
    thief = judge.summary(seen[:n])
    assert thief['copying'] == 1 and 0.4 < perfect['copying'] < 0.6
    assert thief['distance'] < perfect['distance']
    same = judge.summary(seen[:20].repeat(n // 20, axis=0))
    assert same['modified_inception_score'] < 1.1
    assert perfect['modified_inception_score'] > 1.1
    noise = rng.normal(0, 0.7, (n, *new.shape[1:]))
    noisy = judge.summary(numpy.clip(new[:n] + noise, -1, 1))
    assert noisy['precision'] < 0.8 * perfect['precision']
    # The wrong way
    assert (
        noisy['modified_inception_score'] > perfect['modified_inception_score']
    )


def test_all_measures_without_labels(half, cache):
    _, seen, new, _ = half
    judge = Judge(seen[:600], cache=cache, num_epochs=15)
    summary = judge.summary(new)
    assert all(map(math.isfinite, summary.values()))
    assert 5 < summary['inception_score'] <= 10
    assert summary['recall'] > 0.7
    assert judge.summary(seen[:300])['copying'] == 1
    # The features are not the clusters': they know noise and blur.
    noise = numpy.random.RandomState(0).normal(0, 0.3, new.shape)
    honest = judge.distance(new)
    for fake in (
        numpy.clip(new + noise, -1, 1),
        gaussian_filter(new, (0, 0, 0.7, 0.7)),
    ):
        assert judge.distance(fake) > 5 * honest
        assert judge.precision_recall(fake)[0] < 0.9 * summary['precision']


def test_the_judge_compares_patches_and_asks_a_discriminator(half):
    judge, seen, new, _ = half
    assert 0.2 < judge.patch_distance(new) / judge.patch_floor(len(new)) < 5
    assert judge.discriminator(new) == two_sample_test(seen, new)
    assert judge.patch_distance(seen) == 0
    small = numpy.rint((new[:200] + 1) * 127.5).astype('uint8')
    assert judge.patch_distance(small) == pytest.approx(
        judge.patch_distance(new[:200]), rel=0.01
    )


# Images without labels


def test_clusters_stand_in_for_labels(tmp_path):
    # Ten colours, ten or more images of each
    rng = numpy.random.RandomState(0)
    colours = numpy.array(
        [[r, g, b] for r in (-0.8, 0, 0.8) for g in (-0.8, 0.8) for b in
         (-0.8, 0.8)][:10]
    )  # fmt: skip
    sizes = 10 + numpy.arange(10)
    groups = rng.permutation(numpy.repeat(numpy.arange(10), sizes))
    noise = rng.uniform(-0.2, 0.2, (len(groups), 3, 17, 9))
    images = colours[groups][:, :, None, None] + noise
    judge = Judge(images, cache=tmp_path, num_epochs=100)
    assert judge.num_classes == 10 and judge.accuracy > 0.9
    # The largest first: the last colour has the most images.
    for group in range(10):
        shares = judge.class_shares(images[groups == group])
        assert shares[9 - group] == 1
    again = Judge(images, cache=tmp_path, num_epochs=100)
    assert numpy.array_equal(again._features, judge._features)
    # The cache knows the clusters, too.
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize('num_images', [2, 9, 500])
def test_too_few_images_for_clusters(tmp_path, num_images):
    images = numpy.zeros((num_images, 1, 8, 8))
    # Nine that differ at most
    images[:9] += numpy.linspace(-1, 0, len(images[:9])).reshape(-1, 1, 1, 1)
    with pytest.raises(
        ValueError, match=rf'only {min(num_images, 9)} of the {num_images} '
    ):
        Judge(images, cache=tmp_path)


# Cache and repeatability


def test_from_the_cache_the_same_comes_without_training(
    judge, digits, cache, fits
):
    again = Judge(*digits, cache=cache)
    assert not fits
    assert numpy.array_equal(again._features, judge._features)
    assert again.accuracy == judge.accuracy
    fake = digits[0][:99, :, ::-1]
    assert again.distance(fake) == judge.distance(fake)


def test_judging_changes_no_random_numbers(few, tmp_path):
    def draws():
        return [
            np.random.normal(size=(5,)).asnumpy(),
            numpy.random.normal(size=5),
            [random.random()],
        ]

    results = []
    for judging in (None, 'trained', 'from the cache'):
        mx.random.seed(3), numpy.random.seed(3), random.seed(3)
        if judging:
            judge = Judge(*few, cache=tmp_path, num_epochs=1)
            judge.distance(few[0])
            judge.class_shares(few[0])
            judge.floor()
            judge.patch_floor()
            judge.summary(few[0])
        results.append(draws())
    assert same(results[0], results[1])
    assert same(results[0], results[2])


# Bad input


blank = numpy.zeros((4, 1, 16, 16), 'float32')


def with_one(value):
    images = blank.copy()
    images[2, 0, 3, 4] = value
    return images


@pytest.mark.parametrize(
    'images, message',
    [
        (blank[:1], r'shape \(1, 1, 16, 16\).*at least 2'),
        (blank[:, 0], r'shape \(4, 16, 16\)'),
        (with_one(numpy.nan), 'NaN'),
        (with_one(1.01), r'to 1\.01, but'),
        (with_one(-numpy.inf), 'from -inf to'),
        (blank.astype('int64'), 'type int64'),
    ],
)
def test_what_are_no_images(judge, images, message):
    for call in (
        judge.distance,
        judge.class_shares,
        judge.inception_score,
        judge.modified_inception_score,
        judge.precision_recall,
        judge.copying,
        judge.patch_distance,
        judge.discriminator,
        judge.summary,
    ):
        with pytest.raises(ValueError, match=message):
            call(images)
    with pytest.raises(ValueError, match=message):
        Judge(images, numpy.arange(len(images)) % 2)


def test_rounding_beyond_the_range(judge):
    images = with_one(numpy.float32(1 + 1e-6))
    assert judge.distance(images) == pytest.approx(
        judge.distance(with_one(1)), rel=1e-3
    )


@pytest.mark.parametrize('shape', [(1, 8, 8), (3, 16, 16), (1, 16, 17)])
def test_images_unlike_the_real_ones(judge, shape):
    for call in (judge.distance, judge.class_shares):
        with pytest.raises(ValueError, match=r'real ones have \(1, 16, 16\)'):
            call(numpy.zeros((4, *shape)))
