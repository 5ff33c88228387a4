"""A Game That Comes to Rest, as chapters/resting.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 cd2362beb0217a1c.

import math
from d2l_gan.checkpoint import inner_state, load_inner_state
from d2l_gan.fused import FusedStep, Game
from mxnet.gluon import nn

__all__ = [
    'FallingStep',
    'RestingGame',
    'Signs',
    'resting_step',
]


class Signs(nn.HybridBlock):
    """Toss a coin for every number of an array: +1 or -1 (in training).

    Args:
        num_zeros: in so many channels at the end, 0 in their place.

    Taught in chapters/resting.md, "A Penalty without Second Derivatives".
    """
    def __init__(self, num_zeros=0):
        super().__init__()
        self.num_zeros = num_zeros

    def hybrid_forward(self, F, X):
        """Give signs, of the shape of `X`, (batch_size, channels, ...)."""
        signs = F.npx.dropout(F.np.ones_like(X), p=0.5) - 1
        if self.num_zeros == 0:
            return signs
        still = F.np.zeros_like(X[:, -self.num_zeros:])
        return F.np.concatenate([signs[:, :-self.num_zeros], still], axis=1)


class RestingGame(Game):
    """A game of pairs in which the discriminator pays for its slope.

    It is asked which of a real example and a fake is real, and pays
    `gamma` / 2 times its squared slope at both. The losses are those of Huang,
    Gokaslan, Kuleshov and Tompkin, "The GAN is dead; long live the GAN! A
    modern baseline GAN" (2024), but for the slope, which is estimated by
    differences: its square in a random direction, and right in the mean.

    Args:
        gamma: the strength of the penalty, at least 0, for examples as they
            are, such as images in [-1, 1].
        epsilon: how far to go from an example along each coordinate, above 0.
        num_labels: so many channels at the end are label maps
            (`LabelledImages`), which stay as they are.

    Raises:
        ValueError: if an argument is out of range.

    Taught in chapters/resting.md, "Another Game, the Same Loop".
    """
    looks = 4, 2

    def __init__(self, gamma=0.1, epsilon=0.01, num_labels=0):
        for name, value, fits, range_ in (
                ('gamma', gamma, 0 <= gamma < math.inf, 'at least 0'),
                ('epsilon', epsilon, 0 < epsilon < math.inf, 'above 0'),
                ('num_labels', num_labels, num_labels >= 0, 'at least 0')):
            if not fits:
                raise ValueError(f'{name} is {value}, but has to be {range_} '
                                 'and finite')
        self.gamma, self.epsilon = gamma, epsilon
        self.signs = Signs(num_labels)
        self.softplus = nn.Activation('softrelu')

    def logit(self, X, net_D, loss, ones, zeros):
        """Give the logit of each example, as the loss understands it."""
        Y = net_D(X)
        return loss(Y, zeros) - loss(Y, ones)

    def look(self, X, *players):
        """Give the logit and the squared slope of each example."""
        V = self.epsilon * self.signs(X)
        ahead, back = self.logit(X + V, *players), self.logit(X - V, *players)
        return (ahead + back) / 2, ((ahead - back) / (2 * self.epsilon)) ** 2

    def loss_D(self, net_D, loss, X, fake_X, ones, zeros):
        """Give what the discriminator minimises."""
        real, slope = self.look(X, net_D, loss, ones, zeros)
        fake, fake_slope = self.look(fake_X, net_D, loss, ones, zeros)
        penalty = self.gamma / 2 * (slope + fake_slope)
        return self.softplus(fake - real) + penalty

    def loss_G(self, net_D, loss, X, fake_X, ones, zeros):
        """Give what the generator minimises."""
        players = net_D, loss, ones, zeros
        return self.softplus(self.logit(X, *players)
                             - self.logit(fake_X, *players))


def resting_step(gamma=0.1, dtype='float32', **settings):
    """Make a step that plays a `RestingGame`, to be handed to `train`.

    Args:
        gamma, settings: of the game.
        dtype: as of `FusedStep`.

    Returns:
        FusedStep

    Raises:
        ValueError: as `RestingGame` and `FusedStep` do.

    Taught in chapters/resting.md, "Another Game, the Same Loop".
    """
    return FusedStep(RestingGame(gamma, **settings), dtype)


class FallingStep:
    """A step whose learning rates fall to 0 towards the end of a training.

    At first they are those of the trainers, and in the end they fall in a
    straight line. Called and returning as `adversarial_step`. Each object
    serves one training.

    Args:
        step: what trains the networks, called as `adversarial_step` is.
        num_minibatches: of the whole training, at least 1.
        fall: for which share of them the rates fall, above 0 and at most 1.

    Raises:
        ValueError: if an argument is out of range.

    Taught in chapters/resting.md, "A Rate That Falls".
    """
    def __init__(self, step, num_minibatches, fall=0.5):
        if num_minibatches < 1 or not 0 < fall <= 1:
            raise ValueError(
                f'num_minibatches is {num_minibatches} and fall {fall}, but '
                'there must be at least 1, and fall in (0, 1]')
        self.step, self.num_steps, self.rates = step, 0, None
        self.num_minibatches, self.fall = num_minibatches, fall

    def __call__(self, X, Z, net_D, net_G, loss, *trainers):
        if self.rates is None:
            self.rates = [trainer.learning_rate for trainer in trainers]
        left = 1 - self.num_steps / self.num_minibatches
        for trainer, rate in zip(trainers, self.rates):
            trainer.set_learning_rate(rate * min(max(left, 0) / self.fall, 1))
        self.num_steps += 1
        return self.step(X, Z, net_D, net_G, loss, *trainers)

    def state_dict(self):
        """Give all that is needed to go on, for `load_state_dict`."""
        rates = dict(zip(('lr_D', 'lr_G'), self.rates or ()))
        return {'num_steps': self.num_steps, **rates,
                **inner_state(self.step)}

    def load_state_dict(self, state):
        """Go on from what `state_dict` gave."""
        own = load_inner_state(self.step, state)
        self.num_steps = own['num_steps']
        if self.num_steps:
            self.rates = [own['lr_D'], own['lr_G']]
