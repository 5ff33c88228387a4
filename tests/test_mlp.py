import math

import mxnet as mx
import numpy
import PIL.Image
import pytest
from matches import Match, OnlyFused, assert_close
from mxnet import autograd, gluon, init, np, npx

from d2l_gan.animator import tile
from d2l_gan.mlp import (
    RECIPES,
    FreshGame,
    SavingStep,
    ToImages,
    mlp_discriminator,
    mlp_generator,
    uniform_latent,
)
from d2l_gan.train import normal_latent, train, update_D, update_G

npx.set_np()


def parameters(net):
    return sum(
        math.prod(parameter.shape)
        for parameter in net.collect_params().values()
    )


@pytest.mark.parametrize(
    'output, curve',
    [
        ('tanh', math.tanh),
        ('sigmoid', lambda x: 2 / (1 + math.exp(-x)) - 1),
    ],
)
def test_outputs_by_hand(output, curve):
    X = np.array([[-30, -1, 0, 0.5], [2, 3, 4, 30]])
    images = ToImages((1, 2, 2), output)(X)
    assert images.shape == (2, 1, 2, 2)
    numpy.testing.assert_allclose(
        images.asnumpy().ravel(),
        [curve(float(x)) for x in X.asnumpy().ravel()],
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_two_outputs_are_one_curve():
    X = np.linspace(-5, 5, 24).reshape(2, 12)
    numpy.testing.assert_allclose(
        ToImages((3, 2, 2), 'sigmoid')(X).asnumpy(),
        ToImages((3, 2, 2), 'tanh')(X / 2).asnumpy(),
        atol=1e-6,
    )


def test_another_output_is_refused():
    with pytest.raises(ValueError, match="output is 'relu'"):
        mlp_generator((1, 8, 8), (4,), output='relu')


def test_the_recipes_have_the_sources_sizes_on_mnist():
    # Weights and biases of 784-256-1 and 200-256-784, and so on, by hand.
    sizes = {
        'small': (784 * 256 + 256 + 257, 200 * 256 + 256 + 257 * 784),
        'logits': (784 * 128 + 128 + 129, 100 * 128 + 128 + 129 * 784),
        'deep': (
            785 * 1024 + 1025 * 512 + 513 * 256 + 257,
            101 * 256 + 257 * 512 + 513 * 1024 + 1025 * 784,
        ),
    }
    assert set(sizes) == set(RECIPES)
    for name, (size_D, size_G) in sizes.items():
        recipe = RECIPES[name]
        net_D = mlp_discriminator(**recipe['net_D'])
        net_G = mlp_generator((1, 28, 28), **recipe['net_G'])
        settings = recipe['train']
        for net in (net_D, net_G):
            net.initialize(settings.get('initializer', init.Normal(0.02)))
        latent = settings.get('latent', normal_latent)
        Z = latent(3, settings['latent_dim'], mx.cpu())
        assert net_D(net_G(Z)).shape == (3, 1)
        assert (parameters(net_D), parameters(net_G)) == (size_D, size_G)


def test_the_initialiser_of_logits_is_that_of_the_post():
    # Standard deviation 1 / sqrt(fan_in / 2), biases 0
    net = gluon.nn.Dense(400, in_units=300)
    net.initialize(RECIPES['logits']['train']['initializer'])
    weight = net.weight.data().asnumpy()
    assert weight.std() == pytest.approx(1 / math.sqrt(150), rel=0.02)
    assert (net.bias.data().asnumpy() == 0).all()


def test_leak_and_dropout_reach_the_layers():
    net_D = mlp_discriminator((1,), leak=0.2, dropout=0.5)
    net_D.initialize(init.One())
    # All weights are 1, so the logit is the activation of the sum.
    logits = net_D(np.array([[1.0, 2.0], [-1.0, -2.0]]))
    numpy.testing.assert_allclose(
        logits.asnumpy().ravel(), [3, -0.6], rtol=1e-6
    )
    with autograd.train_mode():
        kept = net_D(np.ones((1000, 2))).asnumpy().ravel()
    assert sorted({round(float(value), 5) for value in kept}) == [0, 4]
    assert 0.4 < (kept == 0).mean() < 0.6


def test_uniform_latents():
    Z = uniform_latent(5000, 2, mx.cpu()).asnumpy()
    assert Z.shape == (5000, 2) and abs(Z).max() <= 1
    # The mean of U(-1, 1) is 0, its variance 1 / 3.
    assert abs(Z.mean()) < 0.03 and abs((Z**2).mean() - 1 / 3) < 0.02


def test_the_generator_learns_from_latents_of_its_own():
    ours, oracle = Match('DCGAN, RGB'), Match('DCGAN, RGB')
    net_D, net_G = oracle.nets
    for _ in range(2):
        mx.random.seed(3)
        Z = np.random.normal(0, 1, oracle.Z.shape)
        losses = [
            float(update_D(oracle.X, oracle.Z, net_D, net_G, oracle.loss,
                           oracle.trainers[0])),
            float(update_G(Z, net_D, net_G, oracle.loss, oracle.trainers[1])),
        ]  # fmt: skip
        mx.random.seed(3)
        assert ours.play(OnlyFused(FreshGame())) == pytest.approx(
            losses, rel=1e-4
        )
    for trained in (True, False):
        assert_close(ours.weights(trained), oracle.weights(trained), 1e-3)


def test_grids_are_saved_and_the_step_is_taken(tmp_path):
    shape, taken = (1, 2, 2), []
    net_G = mlp_generator(shape, ())
    net_G.initialize(init.Normal(1))
    Z = np.random.normal(0, 1, (3, 5))

    def step(*arguments):
        taken.append(arguments)
        return 'losses'

    saver = SavingStep(tmp_path / 'new', 2, Z, step)
    for i in range(5):
        assert saver(i, 'Z', 'D', net_G, 'loss', 'tD', 'tG') == 'losses'
    assert [t[0] for t in taken] == list(range(5))
    assert taken[0][1:] == ('Z', 'D', net_G, 'loss', 'tD', 'tG')
    # Before the minibatches 0, 2 and 4
    files = sorted((tmp_path / 'new').iterdir())
    assert [f.name for f in files] == ['000.png', '001.png', '002.png']
    with PIL.Image.open(files[0]) as picture:
        pixels = numpy.asarray(picture)
    grid = tile(net_G(Z).asnumpy())
    numpy.testing.assert_allclose(pixels / 255, grid, atol=0.5 / 255 + 1e-6)


def test_the_step_below_a_grid_is_the_fast_one(tmp_path, monkeypatch):
    monkeypatch.setattr('d2l_gan.train.update_D', None)
    net_D, net_G = mlp_discriminator((8,)), mlp_generator((1, 2, 2), ())
    saver = SavingStep(tmp_path, 1, np.ones((1, 3)))
    X = np.ones((4, 1, 2, 2))
    history = train(net_D, net_G, [X], 1, 0.1, 0.1, 3, X, step=saver,
                    animator=False)  # fmt: skip
    assert numpy.isfinite(history['loss_D']).all()


def test_grids_between_minibatches_are_refused(tmp_path):
    with pytest.raises(ValueError, match='every is 0'):
        SavingStep(tmp_path, 0, None)


def test_a_fully_connected_gan_learns_the_brightness_of_images():
    """Images of one random grey each: fakes must have their mean and spread.

    Over three seeds; before training the fakes' mean brightness is 0.
    """
    for seed in (1, 2, 3):
        mx.random.seed(seed)
        rng = numpy.random.RandomState(seed)
        grey = rng.uniform(0.2, 0.6, (256, 1, 1, 1))
        X = np.array(numpy.broadcast_to(grey, (256, 1, 4, 4)), 'float32')
        batches = [X[i : i + 32] for i in range(0, 256, 32)]
        net_D, net_G = (
            mlp_discriminator((32,)),
            mlp_generator((1, 4, 4), (32,)),
        )
        net_D.hybridize(), net_G.hybridize()
        train(
            net_D, net_G, batches, 60, 2e-3, 2e-3, 4, X[:8], beta1=0.5,
            latent=uniform_latent, animator=False,
        )  # fmt: skip
        fakes = net_G(uniform_latent(500, 4, mx.cpu())).asnumpy()
        assert abs(fakes.mean() - 0.4) < 0.1
        # Every pixel of an image has its brightness, about.
        assert fakes.std(axis=(1, 2, 3)).mean() < 0.15
