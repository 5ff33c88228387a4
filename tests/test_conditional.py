import math

import mxnet as mx
import numpy
import pytest
from mxnet import autograd, gluon, init, np, npx
from mxnet.gluon import nn

from d2l_gan.conditional import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    FakeClassLoss,
    JoinLabels,
    LabelledConv2D,
    LabelledImages,
    draw_classes,
    labelled_latent,
    one_hot,
)
from d2l_gan.data import load_images
from d2l_gan.dcgan import dcgan_discriminator, dcgan_generator, tanh_generator
from d2l_gan.mlp import mlp_generator
from d2l_gan.train import set_seed, train

npx.set_np()


def test_one_hot_by_hand():
    for y in ([2, 0], numpy.array([2, 0]), np.array([2.0, 0.0])):
        assert one_hot(y, 3).asnumpy().tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    'y, found',
    [
        ([0, 3], 'include 3; .* from 0 to 2'),
        ([-1], 'include -1'),
        ([0.5], 'include 0.5'),
        ([float('nan')], 'include nan'),
        ([[0, 1]], r'have shape \(1, 2\)'),
    ],
)
def test_wrong_labels_are_refused(y, found):
    with pytest.raises(ValueError, match=found):
        one_hot(y, 3)


@pytest.mark.parametrize('hybrid', [False, True])
def test_label_maps_are_constant_pictures(hybrid):
    X = np.random.normal(0, 1, (2, 3, 4, 6))
    join = JoinLabels()
    if hybrid:
        join.hybridize()
    joined = join(X, one_hot([1, 4], 5)).asnumpy()
    assert joined.shape == (2, 8, 4, 6)
    numpy.testing.assert_array_equal(joined[:, :3], X.asnumpy())
    for maps, label in zip(joined[:, 3:], (1, 4)):
        for k, picture in enumerate(maps):
            assert (picture == (k == label)).all()


def test_fakes_are_asked_for_all_classes_evenly():
    set_seed(0)
    Z = labelled_latent(10)(5000, 3, mx.cpu()).asnumpy()
    assert Z.shape == (5000, 13)
    counts = Z[:, 3:].sum(axis=0)
    # Five standard deviations of a binomial distribution
    assert abs(counts - 500).max() < 5 * math.sqrt(5000 * 0.1 * 0.9)
    assert (Z[:, 3:].sum(axis=1) == 1).all()
    assert abs(Z[:, :3].mean()) < 0.05 and abs(Z[:, :3].std() - 1) < 0.05


def test_the_loss_picks_by_hand():
    log_p = np.log(np.array([[0.5, 0.25], [0.1, 0.8]]))
    loss = FakeClassLoss()
    for is_real, expected in (((1, 1), (0.5, 0.1)), ((0, 0), (0.25, 0.8))):
        numpy.testing.assert_allclose(
            loss(log_p, np.array(is_real)).asnumpy(),
            -numpy.log(expected),
            rtol=1e-5,
        )


def by_class(kernels, num_classes):
    """Bring the kernels of a `LabelledConv2D`'s maps into the usual order."""
    _, _, *size = kernels.shape
    return kernels.reshape(num_classes, -1, *size).swapaxes(0, 1)


def joined(conv):
    """The convolution of joined channels that a `LabelledConv2D` is."""
    kernels = conv.pictures.weight.data()
    channels, in_channels, size, _ = kernels.shape
    strides = 2 if conv.size > 4 else 1
    whole = nn.Conv2D(
        channels, size, strides, padding=strides - 1, use_bias=False,
        in_channels=in_channels + conv.num_classes,
    )  # fmt: skip
    whole.initialize()
    of_maps = by_class(conv.maps.weight.data(), conv.num_classes)
    whole.weight.set_data(np.concatenate([kernels, of_maps], axis=1))
    return whole


@pytest.mark.parametrize('hybrid', [False, True])
@pytest.mark.parametrize('size, settings', [(8, (4, 2, 1)), (4, (4, 1, 0))])
def test_a_label_is_a_bias_that_depends_on_the_place(size, settings, hybrid):
    set_seed(1)
    conv = LabelledConv2D(3, size, 5, *settings)
    conv.initialize(init.Normal(0.3))
    if hybrid:
        conv.hybridize()
    X = np.random.normal(0, 1, (4, 2, size, size))
    labels = one_hot([2, 0, 2, 1], 3)
    X.attach_grad()
    slopes = []
    with autograd.record():
        found = conv(X, labels)
    found.backward(np.arange(found.size).reshape(found.shape))
    slopes.append(X.grad.copy())
    whole = joined(conv)
    with autograd.record():
        expected = whole(JoinLabels()(X, labels))
    expected.backward(np.arange(found.size).reshape(found.shape))
    slopes.append(X.grad)
    for a, b in ((found, expected), slopes):
        numpy.testing.assert_allclose(a.asnumpy(), b.asnumpy(), 1e-4, 1e-5)
    of_maps = by_class(conv.maps.weight.grad(), 3)
    gradients = [conv.pictures.weight.grad(), of_maps]
    numpy.testing.assert_allclose(
        np.concatenate(gradients, axis=1).asnumpy(),
        whole.weight.grad().asnumpy(),
        rtol=1e-4,
        atol=1e-3,
    )


@pytest.mark.parametrize('hybrid', [False, True])
def test_the_losses_are_the_cross_entropies_of_eleven_logits(hybrid):
    set_seed(1)
    net_D = ConditionalDiscriminator((1, 16, 16), 10, n=4)
    net_D.initialize(init.Normal(0.2))
    if hybrid:
        net_D.hybridize()
    y = numpy.array([3, 0, 9])
    X = JoinLabels()(np.random.normal(0, 1, (3, 1, 16, 16)), one_hot(y, 10))
    log_p = net_D(X)
    # The same body by hand, label maps at every convolution
    H = X[:, :1]
    for conv, tail in zip(net_D.convs, net_D.tails):
        maps = np.broadcast_to(X[:, 1:, :1, :1], (3, 10, *H.shape[2:]))
        H = tail(joined(conv)(np.concatenate([H, maps], axis=1)))
    maps = np.broadcast_to(X[:, 1:, :1, :1], (3, 10, 4, 4))
    last = nn.Conv2D(11, 4, in_channels=H.shape[1] + 10)
    last.initialize()
    dense = net_D.last
    last.weight.set_data(dense.weight.data().reshape(last.weight.shape))
    last.bias.set_data(dense.bias.data())
    logits = last(np.concatenate([H, maps], axis=1)).reshape(3, -1)
    assert logits.shape == (3, 11)
    oracle = gluon.loss.SoftmaxCELoss()
    for is_real, targets in ((1, y), (0, [10, 10, 10])):
        numpy.testing.assert_allclose(
            FakeClassLoss()(log_p, np.full((3,), is_real)).asnumpy(),
            oracle(logits, np.array(targets)).asnumpy(),
            rtol=1e-5,
        )


def test_every_layer_of_D_reads_the_label():
    set_seed(2)
    net_D = ConditionalDiscriminator((1, 16, 16), 10, n=4)
    net_D.initialize(init.Normal(0.2))
    X = JoinLabels()(
        np.random.normal(0, 1, (2, 1, 16, 16)), one_hot([3, 5], 10)
    )
    net_D(X)
    sizes = [
        p.data().size
        for name, p in net_D.collect_params().items()
        if name.endswith('weight')
    ]
    # Kernels of 4 x 4 that read channels, and ten labels
    assert sizes == [
        16 * 4 * 1, 16 * 4 * 10, 16 * 8 * 4, 16 * 8 * 10, 16 * 11 * (8 + 10)
    ]  # fmt: skip


@pytest.mark.parametrize('hybrid', [False, True])
def test_any_generator_can_be_asked(hybrid):
    shape = (1, 16, 16)
    for net in (
        dcgan_generator(shape, 4),
        tanh_generator(shape, 4),
        mlp_generator(shape, (8,)),
    ):
        net_G = ConditionalGenerator(net, 10)
        net_G.initialize(init.Normal(0.5))
        if hybrid:
            net_G.hybridize()
        Z = labelled_latent(10)(3, 5, mx.cpu())
        X = net_G(Z)
        assert X.shape == (3, 11, 16, 16)
        numpy.testing.assert_array_equal(
            X[:, 1:, 7, 2].asnumpy(), Z[:, 5:].asnumpy()
        )
        images = draw_classes(net_G, Z[:, :5], [2, 4, 2])
        expected = net(np.concatenate([Z[:, :5], one_hot([2, 4, 2], 10)], 1))
        numpy.testing.assert_allclose(
            images.asnumpy(), expected.asnumpy(), atol=1e-6
        )
        with pytest.raises(ValueError, match='include 10'):
            draw_classes(net_G, Z[:, :5], [2, 10, 2])
        with pytest.raises(ValueError, match='2 labels for 3'):
            draw_classes(net_G, Z[:, :5], [2, 1])


def test_real_images_carry_their_labels():
    data_iter = load_images(50, size=8, shuffle=False)
    labelled = LabelledImages(data_iter, 10)
    assert len(labelled) == len(data_iter)
    for joined, (X, y) in zip(labelled, data_iter):
        numpy.testing.assert_array_equal(joined[:, :1].asnumpy(), X.asnumpy())
        numpy.testing.assert_array_equal(
            joined[:, 1:, 3, 4].asnumpy().argmax(axis=1), y.asnumpy()
        )


@pytest.mark.parametrize(
    'minibatch, reason',
    [
        (np.zeros((2, 1, 8, 8)), 'the data have no labels'),
        ((np.zeros((2, 1, 8, 8)), np.array([1])), '1 labels for 2 images'),
        ((np.zeros((2, 1, 8, 8)), np.array([1, 3])), 'include 3'),
    ],
)
def test_minibatches_without_proper_labels_are_refused(minibatch, reason):
    with pytest.raises(ValueError, match=reason):
        next(iter(LabelledImages([minibatch], 3)))


def test_the_optimum_is_the_one_derived():
    """On one label, the best eleven probabilities are p/(p+q) and q/(p+q)."""
    p, q = 0.3, 0.9
    logits = np.zeros((11,))
    logits.attach_grad()
    for _ in range(3000):
        with autograd.record():
            log_p = npx.log_softmax(logits)
            L = -(p * log_p[4] + q * log_p[10])
        L.backward()
        logits -= logits.grad
    best = npx.softmax(logits).asnumpy()
    expected = numpy.zeros(11)
    expected[[4, 10]] = p / (p + q), q / (p + q)
    numpy.testing.assert_allclose(best, expected, atol=2e-3)


@pytest.mark.parametrize('seed', [0, 1])
def test_it_draws_what_it_is_asked_for(seed):
    set_seed(seed)
    # Class 0 is white on the left, class 1 on the right.
    pictures = -numpy.ones((2, 1, 8, 8), 'float32')
    pictures[0, :, :, :4] = pictures[1, :, :, 4:] = 1
    y = numpy.tile([0, 1], 128)
    data = gluon.data.ArrayDataset(pictures[y], y.astype('int32'))
    data_iter = LabelledImages(
        gluon.data.DataLoader(data, 32, shuffle=True), 2
    )
    net_D = ConditionalDiscriminator((1, 8, 8), 2, n=8)
    net_G = ConditionalGenerator(dcgan_generator((1, 8, 8), 16), 2)
    net_D.hybridize(), net_G.hybridize()
    train(
        net_D, net_G, data_iter, 40, 2e-4, 1e-3, 16,
        next(iter(data_iter))[:2], beta1=0.5, loss=FakeClassLoss(),
        latent=labelled_latent(2), animator=False,
    )  # fmt: skip
    asked = numpy.arange(100) % 2
    fakes = draw_classes(net_G, np.random.normal(0, 1, (100, 16)), asked)
    errors = abs(fakes.asnumpy()[:, None] - pictures).mean((2, 3, 4))
    assert (errors.argmin(axis=1) == asked).mean() > 0.95


def test_without_labels_it_is_the_discriminator_of_the_dcgan():
    net_D = ConditionalDiscriminator((3, 32, 32), 10, n=4)
    plain = dcgan_discriminator((3, 32, 32), n=4)
    net_D.initialize(), plain.initialize()
    net_D(np.zeros((1, 13, 32, 32))), plain(np.zeros((1, 3, 32, 32)))
    *oracle, (_, units) = [
        parameter.shape for parameter in plain.collect_params().values()
    ]
    ours = [conv.pictures.weight.shape for conv in net_D.convs]
    ours += [p.shape for p in net_D.tails.collect_params().values()]
    assert sorted(ours) == sorted(oracle)
    assert net_D.last.weight.shape == (11, units + 10 * 4 * 4)
