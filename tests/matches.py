"""Matches of a few minibatches between small networks of every kind."""

# Before MXNet, so that it finds the NumPy that it needs
import d2l_gan  # noqa: F401 isort: skip
import numpy
import small
from mxnet import gluon, init, np, npx
from mxnet.gluon import nn

from d2l_gan.conditional import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    FakeClassLoss,
    JoinLabels,
    one_hot,
)
from d2l_gan.dcgan import (
    dcgan_discriminator,
    dcgan_generator,
    tanh_discriminator,
    tanh_generator,
)
from d2l_gan.fused import FusedStep, PlainStep
from d2l_gan.mlp import RECIPES, mlp_discriminator, mlp_generator
from d2l_gan.train import set_seed

npx.set_np()


def gaussian():
    return small.point_networks(5, 3)


def mlp(recipe):
    settings = {**RECIPES[recipe]['net_D'], 'dropout': 0}
    return lambda: (
        mlp_discriminator(**settings),
        mlp_generator((1, 8, 8), **RECIPES[recipe]['net_G']),
    )


def without_dropout(net):
    for layer in net:
        if isinstance(layer, nn.Dropout):
            layer._rate = 0
    return net


SYSTEMS = {
    'gaussian': ((2,), gaussian),
    'MLP, small': ((1, 8, 8), mlp('small')),
    'MLP, logits': ((1, 8, 8), mlp('logits')),
    'MLP, deep': ((1, 8, 8), mlp('deep')),
    'DCGAN, grey': (
        (1, 32, 32),
        lambda: (
            dcgan_discriminator((1, 32, 32), 8),
            dcgan_generator((1, 32, 32), 8),
        ),
    ),
    'DCGAN, RGB': (
        (3, 16, 16),
        lambda: (
            dcgan_discriminator((3, 16, 16), 16, first_batch_norm=True),
            dcgan_generator((3, 16, 16), 16),
        ),
    ),
    'tanh': (
        (1, 8, 8),
        lambda: (
            without_dropout(tanh_discriminator(8)),
            without_dropout(tanh_generator((1, 8, 8), 8)),
        ),
    ),
    'conditional': (
        (1, 8, 8),
        lambda: (
            ConditionalDiscriminator((1, 8, 8), 4, 16),
            ConditionalGenerator(dcgan_generator((1, 8, 8), 16), 4),
        ),
    ),
}


class Match:
    """Two networks with weights from a seed, and all that a step takes."""

    def __init__(self, system='gaussian', sigma=0.2, optimizer='adam',
                 batch_size=8, **settings):  # fmt: skip
        set_seed(5)
        shape, make = SYSTEMS[system]
        self.nets = make()
        self.loss = gluon.loss.SigmoidBCELoss()
        self.X = np.random.uniform(-1, 1, (batch_size, *shape))
        self.Z = np.random.normal(0, 1, (batch_size, 6))
        if system == 'conditional':
            labels = one_hot(numpy.arange(batch_size) % 4, 4)
            self.loss = FakeClassLoss()
            self.X = JoinLabels()(self.X, labels)
            self.Z = np.concatenate([self.Z, labels], axis=1)
        for net, inputs in zip(self.nets, (self.X, self.Z)):
            net.initialize(init.Normal(sigma))
            net(inputs)
        self.trainers = [
            gluon.Trainer(
                net.collect_params(),
                optimizer,
                {'learning_rate': 0.01, **settings},
            )
            for net in self.nets
        ]

    def play(self, step, n=None):
        """Take a step on the first n examples; gives the losses."""
        losses = step(
            self.X[:n], self.Z[:n], *self.nets, self.loss, *self.trainers
        )
        return numpy.array([float(loss) for loss in losses])

    def weights(self, trained=True):
        return [
            parameter.data().asnumpy()
            for net in self.nets
            for parameter in net.collect_params().values()
            if (parameter.grad_req != 'null') == trained
        ]

    def gradients(self, net):
        return [
            parameter.grad().asnumpy()
            for parameter in self.nets[net].collect_params().values()
            if parameter.grad_req != 'null'
        ]


class OnlyFused(FusedStep):
    """A fused step that fails where it had to be plain."""

    def __call__(self, *arguments):
        losses = super().__call__(*arguments)
        assert self.symbols is not None, 'the plain step was taken'
        return losses


def plain_step(game):
    """Make a step out of a game, called as `adversarial_step`."""
    return lambda *arguments: game.play(PlainStep(game, *arguments))


def assert_close(ours, oracle, rtol=1e-5):
    """Compare arrays, relative to the largest number of each."""
    assert len(ours) == len(oracle) > 0
    for a, b in zip(ours, oracle):
        numpy.testing.assert_allclose(
            a, b, rtol=0, atol=rtol * max(abs(b).max(), 1e-6)
        )
