import mxnet as mx
import numpy
import PIL.Image
import pytest
from mxnet import np, npx
from mxnet.gluon import nn

from d2l_gan.conditional import draw_classes
from d2l_gan.data import read_images
from d2l_gan.evaluate import frechet_distance
from d2l_gan.fused import Game
from d2l_gan.mlp import FreshGame
from d2l_gan.resting import RestingGame
from d2l_gan.systems import (
    IMAGE_SYSTEMS,
    POINT_SYSTEMS,
    System,
    count_work,
    judge_points,
    read_examples,
    step_work,
    train_system,
)
from d2l_gan.train import GAUSSIAN, normal_latent, set_seed

npx.set_np()


@pytest.fixture(scope='module')
def digits():
    return read_images('digits', 16)


@pytest.mark.parametrize('name', IMAGE_SYSTEMS)
def test_every_system_makes_varied_images(name, digits):
    system, num_minibatches = train_system(name, 1e8, *digits)
    images, asked = system.sample(40)
    assert images.shape == (40, 1, 16, 16)
    assert abs(images).max() <= 1
    assert images.std(axis=0).max() > 1e-4
    assert num_minibatches >= 1
    assert (asked is not None) == (name == 'conditional-dcgan')
    if asked is not None:
        assert set(asked) <= set(range(10)) and len(set(asked)) > 5


def test_parameters_by_hand(digits):
    counts = {
        # 256 pixels; 200 and 100 latent dimensions
        'mlp-small': (257 * 256 + 257) + (201 * 256 + 257 * 256),
        'mlp-logits': (257 * 128 + 129) + (101 * 128 + 129 * 256),
        # Two blocks on either side; a batch norm of c channels has 4 c
        # numbers, and a grey image is the first of two channels.
        'dcgan': 16 * (16 + 16 * 32 + 32)
        + 4 * 32
        + 16 * (100 * 32 + 32 * 16 + 16 * 2)
        + 4 * (32 + 16),
    }
    for name, expected in counts.items():
        system, _ = train_system(name, 1, *digits)
        assert system.num_parameters == expected, name


@pytest.mark.parametrize('name', ['dcgan', 'deligan'])
def test_the_same_seed_and_work_give_the_same_system(name):
    images, _ = read_images('digits', 8)
    first, again, other = (
        train_system(name, 3e7, images, seed=seed)[0].sample(5)[0]
        for seed in (1, 1, 2)
    )
    numpy.testing.assert_array_equal(first, again)
    assert abs(first - other).max() > 1e-4


# A minibatch of 4; two operations, a multiplication and an addition, for each
# product. A convolution makes 3 channels of 2, with kernels of 2 x 3 for
# 4 x 4 places, and the transposed one stands at its 5 x 6 inputs.
@pytest.mark.parametrize('use_bias', [True, False])
@pytest.mark.parametrize(
    ('layer', 'shape', 'products'),
    [
        (nn.Dense, (4, 3), 4 * 3 * 5),
        (nn.Conv2D, (4, 2, 5, 6), 4 * 3 * 16 * (2 * 2 * 3)),
        (nn.Conv2DTranspose, (4, 2, 5, 6), 4 * 2 * 30 * (3 * 2 * 3)),
    ],
)
def test_work_by_hand(layer, shape, products, use_bias):
    if layer is nn.Dense:
        net = nn.Dense(5, use_bias=use_bias)
    else:
        net = layer(3, (2, 3), use_bias=use_bias)
    assert count_work(net, shape) == 2 * products
    assert count_work(net, shape, weights=True) == 4 * products
    assert count_work(net, shape, inputs=True) == 4 * products
    assert count_work(net, shape, weights=True, inputs=True) == 6 * products
    doubled = (2 * shape[0], *shape[1:])
    assert count_work(net, doubled) == 4 * products
    # Nobody computes the gradient of a weight that does not learn.
    net.collect_params().setattr('grad_req', 'null')
    assert count_work(net, shape, weights=True) == 2 * products


def test_the_rows_of_a_layer_may_have_several_axes():
    net = nn.Dense(5, flatten=False)
    assert count_work(net, (4, 7, 3)) == 2 * 4 * 7 * 3 * 5


def test_a_layer_that_is_used_twice_counts_twice():
    net = nn.HybridSequential()
    layer = nn.Dense(3)
    net.add(layer, layer)
    assert count_work(net, (4, 3)) == 2 * 2 * 4 * 9
    # The first time nobody wants the gradient of what goes in.
    assert count_work(net, (4, 3), weights=True) == 2 * 5 * 4 * 9


def test_the_work_of_a_step_by_hand():
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    net_D.add(nn.Conv2D(2, kernel_size=3), nn.BatchNorm(), nn.Dense(1))
    net_G.add(
        nn.HybridLambda(lambda F, Z: F.npx.reshape(Z, (-2, -2, 1, 1))),
        nn.Conv2DTranspose(1, kernel_size=5),
    )
    # 2 x 9 weights at 3 x 3 places, 18 weights, and 3 x 25 weights at one
    conv, dense, transposed = 2 * 18 * 9, 2 * 18, 2 * 75
    for n in (1, 4):
        X, Z = np.zeros((n, 1, 5, 5)), np.zeros((n, 3))
        # D: outputs, slopes and weights for two examples, but no slopes of
        # the examples; then outputs and slopes. G: outputs and weights.
        assert step_work(net_D, net_G, X, Z, Game()) == n * (
            4 * conv + 6 * dense + 2 * (conv + dense) + 2 * transposed
        )
        # And D's weights once more, and G's outputs
        assert step_work(net_D, net_G, X, Z, None) == n * (
            4 * conv + 6 * dense + 3 * (conv + dense) + 3 * transposed
        )
        # In the resting game, D: four times; then outputs for the real ones
        assert step_work(net_D, net_G, X, Z, RestingGame()) == n * (
            8 * conv + 12 * dense + 3 * (conv + dense) + 2 * transposed
        )
        # With fresh latents, G's outputs twice
        assert step_work(net_D, net_G, X, Z, FreshGame()) == n * (
            4 * conv + 6 * dense + 2 * (conv + dense) + 3 * transposed
        )
    with pytest.raises(ValueError, match=r'no minibatch of shape \(1, 5\)'):
        step_work(net_D, net_G, np.zeros((1, 5)), Z, Game())


def test_an_average_is_no_work(digits):
    X = np.zeros((64, 1, 16, 16))
    alone, averaged = (
        System('dcgan', X.shape[1:], average=average).work(X)
        for average in (None, 0.9)
    )
    assert alone == averaged == 2 * System('dcgan', X.shape[1:]).work(X[:32])


def test_work_buys_minibatches():
    images, _ = read_images('digits', 8)
    images = images[:100]
    # An epoch of two minibatches, 64 examples and 36
    epoch = System('dcgan', images.shape[1:]).work(np.zeros((100, 1, 8, 8)))
    for budget, expected in ((1, 1), (epoch, 2), (2.5 * epoch, 5)):
        assert train_system('dcgan', budget, images)[1] == expected


def test_an_unknown_system_is_refused():
    with pytest.raises(ValueError, match="no system 'GAN', only gaussian"):
        System('GAN', (1, 8, 8))


@pytest.mark.parametrize('work', [0, -1, float('nan'), float('inf')])
def test_a_budget_has_to_be_positive_and_finite(work, digits):
    with pytest.raises(ValueError, match='has to be above 0 and finite'):
        train_system('dcgan', work, *digits)


def test_who_takes_orders_needs_labels(digits):
    images = digits[0][:4]
    train_system('dcgan', 1, images)
    with pytest.raises(ValueError, match='the data have no labels'):
        train_system('conditional-dcgan', 1, images)
    labels = numpy.array([0, 0, 1, 1])
    system, _ = train_system('conditional-dcgan', 1, images, labels)
    assert set(system.sample(50)[1]) == {0, 1}
    set_seed(0)
    images, asked = system.sample(3, [1, 0, 1])
    assert asked.tolist() == [1, 0, 1]
    set_seed(0)
    expected = draw_classes(
        system.net_G, normal_latent(3, 100, mx.cpu()), [1, 0, 1]
    )
    numpy.testing.assert_allclose(images, expected.asnumpy(), atol=1e-6)
    mx.nd.waitall()


def test_who_takes_no_orders_cannot_be_asked(digits):
    system, _ = train_system('mlp-small', 1, *digits)
    with pytest.raises(ValueError, match='cannot be asked for classes'):
        system.sample(1, [3])


def test_images_are_scaled_to_what_convolutions_take(tmp_path):
    assert read_examples('dcgan', 'digits')[0].shape == (1797, 1, 16, 16)
    assert read_examples('dcgan', 'digits', 8)[0].shape == (1797, 1, 8, 8)
    PIL.Image.new('L', (9, 9)).save(tmp_path / 'one.png')
    images, labels = read_examples('mlp-small', tmp_path)
    assert images.shape == (1, 1, 64, 64) and labels is None


@pytest.mark.parametrize('name', POINT_SYSTEMS)
def test_a_linear_generator_comes_close_to_its_gaussian(name):
    set_seed(1)
    points, labels = read_examples(name)
    assert points.shape == (1000, 2) and labels is None
    system = System(name, points.shape[1:])
    data_iter = system.minibatches(points)
    assert system.num_minibatches == 20 * len(data_iter)  # of the chapter
    system.train(data_iter, 10, next(iter(data_iter)), animator=False)
    fakes, asked = system.sample(5000)
    assert fakes.shape == (5000, 2) and asked is None
    A, b = numpy.array(GAUSSIAN['A']), numpy.array(GAUSSIAN['b'])
    truth = b, A.T @ A
    start = frechet_distance([0, 0], numpy.zeros((2, 2)), *truth)
    end = frechet_distance(fakes.mean(axis=0), numpy.cov(fakes.T), *truth)
    assert end < 0.1 * start


def test_the_distance_of_a_linear_generator_by_hand():
    A, b = numpy.array(GAUSSIAN['A']), numpy.array(GAUSSIAN['b'])
    net_G = nn.Dense(2, in_units=2)
    net_G.initialize()
    net_G.weight.set_data(3 * A.T)
    net_G.bias.set_data(b + numpy.array([0, 2]))
    # Four points with the covariance I, which become some with that of the
    # Gaussian, all moved by 1
    points = numpy.sqrt(1.5) * numpy.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    verdict = judge_points(net_G, points @ A + b + numpy.array([1, 0]))
    # Three times as wide: (3 - 1)^2 times the trace of the covariance
    assert verdict['distance'] == pytest.approx(4 * (A**2).sum() + 4)
    assert verdict['floor'] == pytest.approx(1)


@pytest.mark.parametrize('average', [None, 0.5])
def test_a_generator_comes_out_of_a_checkpoint(average):
    system = System('gaussian', (2,), average=average)
    W, b = numpy.array([[1, 2], [3, 4]]), numpy.array([5, 6])
    arrays = {'net_G/0.weight': W, 'net_G/0.bias': b}
    if average is not None:
        # The average is another one than the generator.
        arrays.update({'net_G/0.weight': 0 * W, 'step/num_steps': 1})
        arrays.update({'step/0': W, 'step/1': b})
    arrays = {name: numpy.float32(array) for name, array in arrays.items()}
    system.load_generator(arrays)
    set_seed(0)
    points, _ = system.sample(7)
    set_seed(0)
    Z = normal_latent(7, 2, mx.cpu()).asnumpy()
    numpy.testing.assert_allclose(points, Z @ W.T + b, rtol=1e-5)
    del arrays['net_G/0.weight' if average is None else 'step/1']
    with pytest.raises((KeyError, ValueError)):
        System('gaussian', (2,), average=average).load_generator(arrays)
