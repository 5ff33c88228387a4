import math

import mxnet as mx
import numpy
import pytest
from d2l import mxnet as d2l
from mxnet import autograd, gluon, init, np, npx
from mxnet.gluon import nn
from small import weights

from d2l_gan.dcgan import (
    AveragedStep,
    D_block,
    G_block,
    ToPixels,
    dcgan_discriminator,
    dcgan_generator,
    num_doublings,
    tanh_discriminator,
    tanh_generator,
)
from d2l_gan.train import adversarial_step, set_seed, train, update_G

npx.set_np()


def shapes(net):
    return [p.shape for p in net.collect_params().values()]


def size(net):
    return sum(map(math.prod, shapes(net)))


def sequential(*layers):
    net = nn.HybridSequential()
    net.add(*layers)
    return net


def published():
    """The networks of Dive into Deep Learning for 64 x 64 pixels in colour."""

    def norm_G():
        return nn.BatchNorm(), nn.Activation('relu')

    def norm_D():
        return nn.BatchNorm(), nn.LeakyReLU(0.2)

    grow, shrink = nn.Conv2DTranspose, nn.Conv2D
    net_G = sequential(
        grow(512, 4, 1, 0, use_bias=False),
        *norm_G(),
        grow(256, 4, 2, 1, use_bias=False),
        *norm_G(),
        grow(128, 4, 2, 1, use_bias=False),
        *norm_G(),
        grow(64, 4, 2, 1, use_bias=False),
        *norm_G(),
        grow(3, 4, 2, 1, use_bias=False, activation='tanh'),
    )
    net_D = sequential(
        shrink(64, 4, 2, 1, use_bias=False),
        *norm_D(),
        shrink(128, 4, 2, 1, use_bias=False),
        *norm_D(),
        shrink(256, 4, 2, 1, use_bias=False),
        *norm_D(),
        shrink(512, 4, 2, 1, use_bias=False),
        *norm_D(),
        shrink(1, 4, use_bias=False),
    )
    return net_D, net_G


def copy_weights(source, target):
    pairs = list(
        zip(
            source.collect_params().values(),
            target.collect_params().values(),
        )
    )
    for a, b in pairs:
        a = a.data()
        if a.ndim != len(b.shape):  # A convolution that is a dense layer
            units = b.shape[0]
            a = a.reshape(1, -1) if units == 1 else a.reshape(-1, units).T
        b.set_data(a)


def test_at_64_pixels_the_networks_are_those_of_d2l():
    set_seed(0)
    oracle_D, oracle_G = published()
    net_D = dcgan_discriminator((3, 64, 64), first_batch_norm=True)
    net_G = dcgan_generator((3, 64, 64))
    Z = np.random.normal(0, 1, (2, 100))
    for net in (oracle_D, oracle_G, net_D, net_G):
        net.initialize(init.Normal(0.02))
    X = oracle_G(Z.reshape(2, 100, 1, 1))
    net_G(Z), oracle_D(X), net_D(X)
    # The convolutions at both ends are written as the dense layers they are.
    assert shapes(net_G) == [(512 * 4 * 4, 100), *shapes(oracle_G)[1:]]
    assert shapes(net_D) == [*shapes(oracle_D)[:-1], (1, 512 * 4 * 4)]
    copy_weights(oracle_G, net_G)
    copy_weights(oracle_D, net_D)
    numpy.testing.assert_allclose(net_G(Z).asnumpy(), X.asnumpy(), atol=1e-6)
    numpy.testing.assert_allclose(
        net_D(X).asnumpy(), oracle_D(X).asnumpy().reshape(2, 1), atol=1e-6
    )
    # gamma, beta, and the running mean and variance of 64 channels
    without = dcgan_discriminator((3, 64, 64))
    without.initialize()
    without(X)
    assert size(net_D) - size(without) == 4 * 64


@pytest.mark.parametrize('pixels', [8, 16, 32, 64, 128])
@pytest.mark.parametrize('channels', [1, 3])
def test_every_size_and_colour(pixels, channels):
    shape = (channels, pixels, pixels)
    net_D, net_G = dcgan_discriminator(shape, 2), dcgan_generator(shape, 2)
    for net in (net_D, net_G):
        net.initialize(init.Normal(0.5))
        net.hybridize()
    X = net_G(np.random.normal(0, 1, (3, 5)))
    assert X.shape == (3, *shape)
    assert 0.1 < float(abs(X).max()) <= 1
    assert net_D(X).shape == (3, 1)
    # From 4 x 4 pixels with n 2^(k - 1) channels, by k doublings
    k = round(math.log2(pixels / 4))
    assert num_doublings(shape) == k
    assert shapes(net_G)[0] == (2 * 2 ** (k - 1) * 16, 5)
    assert shapes(net_D)[-1] == (1, 2 * 2 ** (k - 1) * 16)


@pytest.mark.parametrize(
    'shape', [(1, 28, 28), (3, 4, 4), (1, 256, 256), (1, 16, 32), (3, 0, 0)]
)
def test_other_sizes_are_refused(shape):
    for build in (dcgan_generator, dcgan_discriminator):
        with pytest.raises(ValueError, match='square, of 8, 16, 32, 64 or'):
            build(shape)


def test_rule_breakers_take_multiples_of_4_only():
    with pytest.raises(ValueError, match=r'\(1, 30, 28\).* multiples of 4'):
        tanh_generator((1, 30, 28))


def test_blocks_halve_and_double():
    X = np.random.normal(0, 1, (2, 5, 8, 12))
    for block, expected in (
        (G_block(3), (2, 3, 16, 24)),
        (D_block(3), (2, 3, 4, 6)),
        (G_block(3, strides=1, padding=0), (2, 3, 11, 15)),
    ):
        block.initialize()
        assert block(X).shape == expected
    block = D_block(3, alpha=0.5, batch_norm=False)
    block.initialize()
    conv = block[0](X).asnumpy()
    numpy.testing.assert_allclose(
        block(X).asnumpy(), numpy.where(conv > 0, conv, conv / 2), rtol=1e-6
    )


def gradients(layer, X, take):
    """Of the sum of squares of `take(layer(X))`, for the input and weight."""
    X = X.copy()
    X.attach_grad()
    with autograd.record():
        L = (take(layer(X)) ** 2).sum()
    L.backward()
    (weight,) = layer.collect_params().values()
    return X.grad.asnumpy(), weight.grad().asnumpy()


@pytest.mark.parametrize('hybrid', [False, True])
def test_grey_pixels_learn_as_a_channel_of_colour_ones_does(hybrid):
    set_seed(0)
    X = np.random.normal(0, 1, (2, 32, 4, 4))
    grey, colour = ToPixels(1), ToPixels(3)
    for layer in (grey, colour):
        layer.initialize()
        layer(X)
    assert grey(X).shape == (2, 1, 8, 8)
    if hybrid:
        grey.hybridize()
    weight = colour[0].weight.data()
    grey[0].weight.set_data(weight[:, :2])
    numpy.testing.assert_allclose(
        grey(X).asnumpy(), colour(X)[:, :1].asnumpy(), atol=1e-6
    )
    grey_X, grey_W = gradients(grey, X, lambda Y: Y)
    colour_X, colour_W = gradients(colour, X, lambda Y: Y[:, :1])
    assert abs(colour_X).max() > 0.01
    numpy.testing.assert_allclose(grey_X, colour_X, atol=1e-5)
    numpy.testing.assert_allclose(grey_W, colour_W[:, :2], atol=1e-4)


def test_the_engine_still_needs_the_second_channel():
    # Where this fails, the work-around in `ToPixels` can go.
    net = sequential(
        nn.Conv2DTranspose(32, 4, use_bias=False),
        nn.Conv2DTranspose(1, 4, 2, 1, use_bias=False),
    )
    net.initialize()
    with pytest.raises(mx.MXNetError, match='primitive descriptor'):
        with autograd.record():
            L = net(np.random.normal(0, 1, (2, 10, 1, 1))).sum()
        L.backward()
        net[0].weight.grad().wait_to_read()


def test_only_running_statistics_of_D_move_in_the_step_of_G():
    set_seed(0)
    net_D = dcgan_discriminator((1, 16, 16), 4)
    net_G = dcgan_generator((1, 16, 16), 4)
    for net in (net_D, net_G):
        net.initialize(init.Normal(0.1))
    X = np.random.uniform(-1, 1, (8, 1, 16, 16))
    Z = np.random.normal(0, 1, (8, 10))
    net_G(Z)
    opinion = net_D(X).asnumpy()
    params = net_D.collect_params()
    before = {name: p.data().asnumpy() for name, p in params.items()}
    trainer_G = gluon.Trainer(net_G.collect_params(), 'adam')
    update_G(Z, net_D, net_G, gluon.loss.SigmoidBCELoss(), trainer_G)
    for name, p in params.items():
        same = numpy.array_equal(before[name], p.data().asnumpy())
        assert same != ('running' in name), name
    assert abs(net_D(X).asnumpy() - opinion).max() > 1e-4


def test_rule_breakers_have_the_published_sizes():
    net_D, net_G = tanh_discriminator(), tanh_generator((1, 32, 32))
    for net in (net_D, net_G):
        net.initialize()
    X = net_G(np.random.normal(0, 1, (2, 100)))
    assert X.shape == (2, 1, 32, 32)
    assert net_D(X).shape == (2, 1)
    # By hand; a batch norm of 128 channels has 4 * 128 numbers, and the last
    # layer makes two channels, of which one is shown.
    assert size(net_G) == (
        101 * 16384 + (25 * 256 + 1) * 128 + 4 * 128 + 25 * 128 * 2
    )
    assert size(net_D) == (
        26 * 64 + (25 * 64 + 1) * 128 + (8192 + 1) * 1024 + 1025
    )


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_a_dcgan_learns_two_pictures(seed):
    set_seed(seed)
    # White on the left, or white on the right
    pictures = -numpy.ones((2, 1, 8, 8), 'float32')
    pictures[0, :, :, :4] = pictures[1, :, :, 4:] = 1
    X = np.array(numpy.tile(pictures, (128, 1, 1, 1)))
    net_D, net_G = (
        dcgan_discriminator((1, 8, 8), 8),
        dcgan_generator((1, 8, 8), 16),
    )
    net_D.hybridize(), net_G.hybridize()
    data_iter = gluon.data.DataLoader(X, 32, shuffle=True)
    train(
        net_D, net_G, data_iter, 40, 2e-4, 1e-3, 16, X[:2], beta1=0.5,
        animator=False,
    )  # fmt: skip
    fakes = net_G(np.random.normal(0, 1, (200, 16))).asnumpy()
    errors = numpy.sqrt(((fakes[:, None] - pictures) ** 2).mean((2, 3, 4)))
    # Near one of the two, and each of them often; noise is at least 1 away.
    assert errors.min(axis=1).mean() < 0.5
    assert 0.1 < errors.argmin(axis=1).mean() < 0.9


def scalar(value=None):
    """G(z) = w z + b, with w to be set and b 0."""
    net = nn.Dense(1, in_units=1)
    if value is not None:
        net.initialize(init.Constant(value))
    return net


def steps_to(values):
    """A step that sets the generator's weight to one value after another."""
    values = iter(values)

    def step(X, Z, net_D, net_G, *_):
        net_G.weight.set_data(np.array([[next(values)]]))
        return 'losses'

    return step


def average(step, num_steps, net_G=None, Z=None):
    """Take steps; gives the average's weight after each of them."""
    net_G = scalar(0) if net_G is None else net_G
    Z = np.zeros((1, 1)) if Z is None else Z
    weights = []
    for _ in range(num_steps):
        assert step(None, Z, None, net_G, None, None, None) == 'losses'
        weights.append(float(step.net_avg.weight.data()))
    return weights


def test_an_average_by_hand():
    step = AveragedStep(scalar(), step=steps_to([1, 2, 4]))
    # Decays of 3 / 12 and 4 / 13 after the first state, which is copied
    second = 0.25 * 1 + 0.75 * 2
    third = 4 / 13 * second + 9 / 13 * 4
    assert average(step, 3) == pytest.approx([1, second, third], rel=1e-6)
    # A decay that is below those two
    step = AveragedStep(scalar(5), 0.1, step=steps_to([1, 2, 4]))
    second = 0.1 * 1 + 0.9 * 2
    third = 0.1 * second + 0.9 * 4
    assert average(step, 3) == pytest.approx([1, second, third], rel=1e-6)


def test_an_average_in_the_long_run():
    rng = numpy.random.RandomState(0)
    values = rng.normal(3, 1, 400).astype('float32').tolist()
    step = AveragedStep(scalar(), 0.95, step=steps_to(values))
    expected = values[0]
    for t, value in enumerate(values[1:], 2):
        decay = min(0.95, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * value
    assert average(step, 400)[-1] == pytest.approx(expected, rel=1e-6)


def test_an_average_of_equal_weights_does_not_drift():
    value = 0.1234567
    step = AveragedStep(scalar(), step=steps_to([value] * 3000))
    step.load_state_dict(
        {'num_steps': 10**5, '0': numpy.full((1, 1), value, 'float32'),
         '1': numpy.zeros(1, 'float32')}
    )  # fmt: skip
    assert average(step, 3000)[-1] == pytest.approx(value, rel=5e-7)


def small_run(step=adversarial_step):
    """Train a small DCGAN; gives its generator and the next random number."""
    set_seed(3)
    net_D, net_G = dcgan_discriminator((1, 8, 8), 4), small_generator()
    data_iter = d2l.load_array((np.random.uniform(-1, 1, (24, 1, 8, 8)),), 8)
    train(
        net_D, net_G, data_iter, 2, 0.01, 0.01, 3, np.zeros((2, 1, 8, 8)),
        step=step, animator=False,
    )  # fmt: skip
    return net_G, float(np.random.normal(0, 1))


def small_generator():
    return dcgan_generator((1, 8, 8), 4)


def test_averaging_leaves_the_training_alone():
    net_G, number = small_run()
    averaged = AveragedStep(small_generator())
    same_G, same_number = small_run(averaged)
    assert number == same_number and averaged.num_steps == 6
    for a, b in zip(weights(net_G), weights(same_G)):
        numpy.testing.assert_array_equal(a, b)


def test_running_statistics_are_averaged_too():
    seen = []

    def watched(X, Z, net_D, net_G, *args):
        losses = averaged(X, Z, net_D, net_G, *args)
        # Not before, for reading is waiting, and the average has to wait.
        seen.append(weights(net_G))
        return losses

    net_avg = small_generator()
    averaged = AveragedStep(net_avg)
    net_G, _ = small_run(watched)
    for i, mean in enumerate(weights(net_avg)):
        expected = seen[0][i].astype('float64')
        for t, values in enumerate(seen[1:], 2):
            decay = (1 + t) / (10 + t)
            expected = decay * expected + (1 - decay) * values[i]
        numpy.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-7)
    means = net_avg.collect_params('.*running_mean').values()
    assert min(abs(mean.data()).max() for mean in means) > 0
    Z = np.random.normal(0, 1, (4, 3))
    assert abs(net_avg(Z) - net_G(Z)).max() > 1e-4


def test_an_average_goes_on_where_it_was():
    values = [1, 2, 4, -3, 5]
    whole = average(AveragedStep(scalar(), step=steps_to(values)), 5)
    first = AveragedStep(scalar(), step=steps_to(values[:2]))
    average(first, 2)
    state = first.state_dict()
    assert state['num_steps'] == 2
    assert all(isinstance(state[i], numpy.ndarray) for i in '01')
    second = AveragedStep(scalar(), step=steps_to(values[2:]))
    second.load_state_dict(state)
    assert float(second.net_avg.weight.data()) == whole[1]
    assert average(second, 3) == whole[2:]
    # One that has not begun
    state = AveragedStep(scalar()).state_dict()
    assert state == {'num_steps': 0}
    third = AveragedStep(scalar(), step=steps_to(values))
    third.load_state_dict(state)
    assert average(third, 5) == whole


@pytest.mark.parametrize(
    'net_avg', [nn.Dense(2, in_units=1), nn.Dense(1, use_bias=False)]
)
def test_an_average_of_another_network_is_refused(net_avg):
    step = AveragedStep(net_avg, step=steps_to([1]))
    with pytest.raises(ValueError, match='net_avg is not built as net_G is'):
        average(step, 1)


@pytest.mark.parametrize('decay', [-0.1, 1, math.nan])
def test_a_decay_out_of_range(decay):
    with pytest.raises(ValueError, match=r'decay is .*\[0, 1\)'):
        AveragedStep(scalar(), decay)
