"""The measure: against closed forms, and generators whose fault is known."""

import random

import mxnet as mx
import numpy
import pytest
import scipy.linalg
from mxnet import np, npx
from sklearn.datasets import load_digits

from d2l_gan import evaluate
from d2l_gan.evaluate import (
    Judge,
    frechet_distance,
    moments,
    train_classifier,
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


@pytest.fixture
def fits(monkeypatch):
    """A list that grows by one item with every training."""
    calls, fit = [], evaluate._fit

    def counting(*args):
        calls.append(args)
        fit(*args)

    monkeypatch.setattr(evaluate, '_fit', counting)
    return calls


def weights(net):
    return [p.data().asnumpy() for p in net.collect_params().values()]


def same(arrays, others):
    return all(map(numpy.array_equal, arrays, others))


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


# The judge


def test_the_classifier_knows_digits(judge):
    assert 0.97 <= judge.accuracy <= 1
    assert judge.num_classes == 10


def test_the_accuracy_is_that_on_images_never_seen(few, tmp_path):
    # Nobody can learn labels drawn by a coin.
    images, labels = few
    coins = numpy.random.RandomState(0).randint(0, 2, len(labels))
    net, accuracy = train_classifier(
        images, coins, cache=tmp_path, num_epochs=100
    )
    _, classes = evaluate._read(net, images)
    assert (classes == coins).mean() > 0.85
    assert accuracy < 0.75


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
    with pytest.raises(ValueError, match=rf'n is {n}.*at least 2 of the 1797'):
        judge.floor(n)


def test_images_of_mxnet_and_of_bytes(judge, digits):
    # Multiples of 1/127.5, which bytes can say exactly
    small = numpy.round((digits[0][:300] + 1) * 127.5)
    images = (small / 127.5 - 1).astype('float32')
    shares, distance = judge.class_shares(images), judge.distance(images)
    for other in (np.array(images), small.astype('uint8')):
        assert judge.class_shares(other).tolist() == shares.tolist()
        assert judge.distance(other) == pytest.approx(distance, rel=1e-4)


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


def test_clusters_of_bytes_and_of_many_images(few, monkeypatch):
    images = few[0]
    clusters = evaluate._clusters(images, 0)
    # Multiples of 1/8, so that the bytes have other roundings
    small = numpy.round((images + 1) * 127.5).astype('uint8')
    assert (evaluate._clusters(small, 0) == clusters).mean() > 0.95
    counts = numpy.bincount(clusters)
    assert len(counts) == 10 and (numpy.diff(counts) <= 0).all()
    # Clusters of a part of the images, given to all of them
    monkeypatch.setattr(evaluate, 'MAX_CLUSTERED', 100)
    clusters = evaluate._clusters(images, 0)
    assert clusters.shape == (len(images),) and clusters.max() == 9


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


def test_other_data_or_settings_are_trained_anew(few, tmp_path, fits):
    images, labels = few
    other = images.copy()
    other[-1, 0, 0, 0] += 0.5
    for arguments, settings in (
        ((images, labels), {}),
        ((other, labels), {}),
        ((images, 1 - labels), {}),
        ((images[:, :, ::-1], labels), {}),
        ((images, labels), {'seed': 1}),
        ((images, labels), {'num_epochs': 2}),
    ):
        before = len(fits)
        for _ in range(2):
            train_classifier(
                *arguments, cache=tmp_path, **{'num_epochs': 1, **settings}
            )
        assert len(fits) == before + 1
    assert len(list(tmp_path.iterdir())) == len(fits)


def damage(content):
    """Yield damaged versions of a file."""
    yield b''
    yield content[:20]
    yield content[:-1]
    yield content + b'\0'
    for i in (0, 40, len(content) // 2, len(content) - 1):
        yield content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :]


def test_a_damaged_file_is_not_trusted(few, tmp_path, fits):
    settings = {'cache': tmp_path, 'num_epochs': 1}
    net, accuracy = train_classifier(*few, **settings)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for i, damaged in enumerate(damage(content)):
        path.write_bytes(damaged)
        for _ in range(2):
            again, its_accuracy = train_classifier(*few, **settings)
            assert same(weights(again), weights(net))
            assert its_accuracy == accuracy
        assert len(fits) == i + 2
        assert path.read_bytes() == content


def test_the_seed_alone_decides(few, tmp_path):
    nets = []
    for i, seed in enumerate((0, 0, 1)):
        # What came before makes no difference.
        mx.random.seed(i)
        numpy.random.seed(i)
        nets.append(
            train_classifier(
                *few, cache=tmp_path / str(i), seed=seed, num_epochs=2
            )[0]
        )
    assert same(weights(nets[0]), weights(nets[1]))
    assert not same(weights(nets[0]), weights(nets[2]))


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
        results.append(draws())
    assert same(results[0], results[1])
    assert same(results[0], results[2])


@pytest.mark.parametrize(
    'variable, folder',
    [('XDG_CACHE_HOME', 'd2l_gan'), ('HOME', '.cache/d2l_gan')],
)
def test_the_usual_place_of_the_cache(
    few, tmp_path, monkeypatch, variable, folder
):
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    train_classifier(*few, num_epochs=1)
    (path,) = (tmp_path / folder).iterdir()
    assert path.name.startswith('classifier-')


def test_a_cache_that_cannot_be_written(few, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.warns(UserWarning, match='classifier is not kept'):
        net, _ = train_classifier(*few, cache=tmp_path / 'file', num_epochs=1)
    expected, _ = train_classifier(*few, cache=tmp_path, num_epochs=1)
    assert same(weights(net), weights(expected))


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
    for call in (judge.distance, judge.class_shares):
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


@pytest.mark.parametrize('shape', [(2, 16, 16), (1, 7, 16), (1, 16, 65)])
def test_real_images_out_of_range(shape):
    with pytest.raises(ValueError, match=r'1 or 3 channels.*8 to 64'):
        Judge(numpy.zeros((4, *shape)), [0, 1, 0, 1])


@pytest.mark.parametrize(
    'labels, message',
    [
        ([0, 1, 0], r'shape \(3,\), but there are 4 images'),
        ([[0], [1], [0], [1]], r'shape \(4, 1\)'),
        ([0, 2, 0, 2], r'found \[0 2\]'),
        ([1, 2, 1, 2], 'from 0 to k - 1'),
        ([-1, 0, 1, 0], 'from 0 to k - 1'),
        ([0, 0.5, 1, 0], 'from 0 to k - 1'),
        ([0, numpy.nan, 1, 0], 'from 0 to k - 1'),
        ([0, 0, 0, 0], 'k >= 2'),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        Judge(blank, labels)


def test_no_epoch():
    with pytest.raises(ValueError, match='num_epochs is 0'):
        train_classifier(blank, [0, 1, 0, 1], num_epochs=0)


def test_the_legacy_mode_of_mxnet():
    npx.reset_np()
    try:
        with pytest.raises(ValueError, match=r'npx\.set_np\(\)'):
            Judge(blank, [0, 1, 0, 1])
    finally:
        npx.set_np()
