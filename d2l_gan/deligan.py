"""A Mixture for a Latent: DeLiGAN, as chapters/deligan.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 ab4cb6780571c3e6.

from d2l_gan.fused import Game
from mxnet import init
from mxnet.gluon import nn

__all__ = [
    'GroupedDense',
    'MixtureGame',
    'MixtureLatent',
    'ThresholdGame',
    'Widening',
]


class MixtureLatent(nn.HybridBlock):
    """Turn draws from N(0, I) into draws from a mixture that is learned.

    Row i becomes mu + sigma * row, with the mu and sigma of component
    i mod `num_components`, so that the components have equal weights. Any
    generator can begin with this block. After Gurumurthy, Sarvadevabhatla
    and Babu, "DeLiGAN: generative adversarial networks for diverse and
    limited data" (2017).

    Args:
        num_components: how many Gaussians there are, at least 1.
        latent_dim: the length of a latent vector, at least 1.
        sigma: every component's first standard deviation, above 0.

    Attributes:
        mu, sigma: parameters of shape (num_components, latent_dim). `mu`
            starts from U(-1, 1); both have their start whatever the
            initialiser of the network.

    Raises:
        ValueError: if an argument is out of range.

    Taught in chapters/deligan.md, "A Latent That Learns".
    """
    def __init__(self, num_components, latent_dim, sigma=0.2):
        super().__init__()
        for name, value in (('num_components', num_components),
                            ('latent_dim', latent_dim)):
            if value < 1:
                raise ValueError(f'{name} is {value}, but has to be at '
                                 'least 1')
        if not 0 < sigma < float('inf'):
            raise ValueError(f'sigma is {sigma}, but has to be above 0 and '
                             'finite')
        self.num_components, self.latent_dim = num_components, latent_dim
        shape = (num_components, latent_dim)
        with self.name_scope():
            self.mu = self.params.get('mu', shape=shape, init=init.Uniform(1))
            self.sigma = self.params.get('sigma', shape=shape,
                                         init=init.Constant(sigma))

    def hybrid_forward(self, F, Z, mu, sigma):
        """Map (batch_size, latent_dim) to the same shape."""
        i = F.np.mod(F.npx.arange_like(Z, axis=0), self.num_components)
        # Latents of length 1 would be broadcast; this makes them an error.
        Z = F.npx.reshape(Z, (-1, self.latent_dim))
        return F.np.take(mu, i, axis=0) + F.np.take(sigma, i, axis=0) * Z


class Widening(nn.HybridBlock):
    """A term that pulls deviations towards 1: a 0 with a gradient.

    Args:
        mixture: a `MixtureLatent`.
        strength: the weight of mean((1 - sigma)**2), whose gradient it has.

    Taught in chapters/deligan.md, "Why Deviations Shrink".
    """
    def __init__(self, mixture, strength):
        super().__init__()
        self.sigma, self.strength = mixture.sigma, strength

    def hybrid_forward(self, F, ones, sigma):
        """Give the term, of shape (), on the device of `ones`."""
        term = self.strength * ((1 - sigma) ** 2).mean()
        # MXNet 1.9.1 has the operator for the arrays of old alone.
        return term - F.BlockGrad(term.as_nd_ndarray()).as_np_ndarray()


class MixtureGame(Game):
    """The usual game, in which the generator pays for narrow components.

    To its loss comes strength * mean((1 - sigma)**2), over all elements of
    sigma, the regulariser of the DeLiGAN (Gurumurthy, Sarvadevabhatla and
    Babu, 2017). The losses that are given are those without it.

    Args:
        mixture: the `MixtureLatent` that the generator begins with.
        strength: the weight of the term, at least 0; the authors took 0.1 for
            points and 1/3 for digits.

    Raises:
        ValueError: if `strength` is negative.

    Taught in chapters/deligan.md, "Why Deviations Shrink".
    """
    def __init__(self, mixture, strength):
        if not strength >= 0:
            raise ValueError(f'strength is {strength}, but has to be at '
                             'least 0')
        self.widening = Widening(mixture, strength)

    def loss_G(self, net_D, loss, X, fake_X, ones, zeros):
        """Give what the generator minimises."""
        # Every example pays, so that the mean over examples does
        return loss(net_D(fake_X), ones) + self.widening(ones)


class GroupedDense(nn.HybridBlock):
    """Many dense layers side by side, each for its share of the rows.

    Of n rows the first n / num_groups go through the first layer, as many
    after them through the second, and so on.

    Args:
        num_groups: how many layers there are, at least 1.
        units: outputs of each layer.
        in_units: inputs of each layer.
        activation: as in `nn.Dense`.

    Raises:
        ValueError: if `num_groups` is below 1.

    Taught in chapters/deligan.md, "Points, and Five Rivals".
    """
    def __init__(self, num_groups, units, in_units, activation=None):
        super().__init__()
        if num_groups < 1:
            raise ValueError(f'num_groups is {num_groups}, but has to be at '
                             'least 1')
        self.shape = num_groups, units, in_units
        self.activation = activation
        with self.name_scope():
            # Two axes, since initialisers take the second for the inputs
            self.weight = self.params.get(
                'weight', shape=(num_groups * units, in_units))
            self.bias = self.params.get('bias', shape=(num_groups, 1, units),
                                        init='zeros')

    def hybrid_forward(self, F, X, weight, bias):
        """Map (n, in_units) to (n, units), n a multiple of num_groups."""
        num_groups, units, in_units = self.shape
        X = F.npx.reshape(X, (num_groups, -1, in_units))
        W = F.npx.reshape(weight, self.shape)
        Y = F.npx.batch_dot(X, W, transpose_b=True) + bias
        if self.activation:
            Y = F.npx.activation(Y, act_type=self.activation)
        return F.npx.reshape(Y, (-1, units))


class ThresholdGame(Game):
    """A game in which the generator's loss decides which network trains.

    Five times with each minibatch: if the generator's mean loss is above
    the threshold, the generator learns, else the discriminator. The threshold
    moves so that neither is left behind. It is the schedule of the code of the
    DeLiGAN (Gurumurthy, Sarvadevabhatla and Babu, 2017) for points. The losses
    are the last ones of the minibatch.

    Args:
        minibatches_per_epoch: at least 1.
        game: whose losses the players have; the usual ones if `None`.

    Attributes:
        threshold: of the generator's loss; 1 at first.
        floor: the threshold does not fall below it; 0.73 at first.
        balance: the generator's steps minus the discriminator's, since the
            threshold last moved.

    Raises:
        ValueError: if `minibatches_per_epoch` is below 1.

    Taught in chapters/deligan.md, "A Loss That Decides Who Learns".
    """
    def __init__(self, minibatches_per_epoch, game=None):
        if minibatches_per_epoch < 1:
            raise ValueError('minibatches_per_epoch is '
                             f'{minibatches_per_epoch}, but has to be at '
                             'least 1')
        self.minibatches_per_epoch = minibatches_per_epoch
        game = game or Game()
        self.loss_D, self.loss_G = game.loss_D, game.loss_G
        self.threshold, self.floor, self.balance = 1.0, 0.73, 0
        self.num_minibatches = 0

    def play(self, step):
        """Let the players look and learn, as `Game.play` does."""
        self.adjust()
        loss_D = None
        for _ in range(5):
            loss_G = step.look_G()
            if float(loss_G) > self.threshold * len(step.Z):
                step.learn_G()
                self.balance += 1
            else:
                loss_D = step.look_D()
                step.learn_D()
                self.balance -= 1
        if loss_D is None:  # wanted all the same
            loss_D = step.look_D()
        return loss_D, loss_G

    def state_dict(self):
        """Give what a checkpoint has to keep, as numbers by name."""
        return {name: getattr(self, name) for name in (
            'threshold', 'floor', 'balance', 'num_minibatches')}

    def load_state_dict(self, state):
        """Go on from what `state_dict` gave."""
        for name, value in self.state_dict().items():
            setattr(self, name, type(value)(state[name]))

    def adjust(self):
        """Move floor and threshold, before each minibatch."""
        new_epoch = self.num_minibatches % self.minibatches_per_epoch == 0
        if new_epoch and self.balance < -1000:
            self.floor = max(self.floor - 0.005, 0.70)
        self.num_minibatches += 1
        if self.balance > 10:
            self.threshold = min(self.threshold + 0.01, 1.0)
            self.balance = 0
        elif self.balance < -150 and self.threshold > self.floor:
            self.threshold = max(self.threshold - 0.001, self.floor)
            self.balance = 0
