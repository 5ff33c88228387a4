import math

import mxnet as mx
import numpy
import pytest
from mxnet import autograd, gluon, init, np, npx
from mxnet.gluon import nn

from d2l_gan.dcgan import (
    D_block,
    G_block,
    ToPixels,
    dcgan_discriminator,
    dcgan_generator,
    num_doublings,
    tanh_discriminator,
    tanh_generator,
)
from d2l_gan.train import set_seed, train, update_G

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
        b.set_data(a.data())


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
    assert shapes(net_G) == shapes(oracle_G)
    assert shapes(net_D) == shapes(oracle_D)
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
    assert shapes(net_G)[0] == (5, 2 * 2 ** (k - 1), 4, 4)
    assert shapes(net_D)[-1] == (1, 2 * 2 ** (k - 1), 4, 4)


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
