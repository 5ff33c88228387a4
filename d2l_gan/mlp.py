"""Fully Connected GANs, as chapters/mlp-gan.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 8cf31c38b2e61cb0.

import math
import pathlib
from d2l_gan.animator import save_images
from d2l_gan.checkpoint import inner_state, load_inner_state
from d2l_gan.fused import FusedStep, Game
from mxnet import init, np
from mxnet.gluon import nn

__all__ = [
    'RECIPES',
    'FreshGame',
    'SavingStep',
    'ToImages',
    'mlp_discriminator',
    'mlp_generator',
    'uniform_latent',
]


class ToImages(nn.HybridBlock):
    """Squash numbers into [-1, 1], and fold them into images.

    Args:
        shape: of an image: (channels, height, width).
        output: 'tanh', or 'sigmoid', whose [0, 1] is stretched to [-1, 1].

    Raises:
        ValueError: for another `output`.

    Taught in chapters/mlp-gan.md, "Two Builders".
    """
    def __init__(self, shape, output='tanh'):
        super().__init__()
        if output not in ('tanh', 'sigmoid'):
            raise ValueError(f"output is {output!r}, but has to be 'tanh' or "
                             "'sigmoid'")
        self.shape, self.output = tuple(shape), output

    def hybrid_forward(self, F, X):
        """Map (batch_size, pixels) to (batch_size, *shape)."""
        X = F.npx.activation(X, act_type=self.output)
        if self.output == 'sigmoid':
            X = 2 * X - 1
        return F.npx.reshape(X, (-1, *self.shape))


def mlp_generator(image_shape, widths, leak=0, output='tanh'):
    """Build a fully connected generator of images.

    Args:
        image_shape: (channels, height, width).
        widths: of the hidden layers.
        leak: the slope of their leaky ReLU below 0; 0 is the plain ReLU.
        output: 'tanh' or 'sigmoid', as in `ToImages`.

    Returns:
        nn.HybridSequential: maps latent vectors (batch_size, latent_dim) to
        images (batch_size, *image_shape) in [-1, 1].

    Raises:
        ValueError: for another `output`.

    Taught in chapters/mlp-gan.md, "Two Builders".
    """
    net_G = nn.HybridSequential()
    for width in widths:
        net_G.add(nn.Dense(width), nn.LeakyReLU(leak))
    net_G.add(nn.Dense(math.prod(image_shape)),
              ToImages(image_shape, output))
    return net_G


def mlp_discriminator(widths, leak=0, dropout=0):
    """Build a fully connected discriminator.

    Args:
        widths: of the hidden layers.
        leak: the slope of their leaky ReLU below 0; 0 is the plain ReLU.
        dropout: the share of hidden units that is set to 0 in training.

    Returns:
        nn.HybridSequential: maps examples of any shape (batch_size, ...) to
        logits (batch_size, 1).

    Taught in chapters/mlp-gan.md, "Two Builders".
    """
    net_D = nn.HybridSequential()
    for width in widths:
        net_D.add(nn.Dense(width), nn.LeakyReLU(leak))
        if dropout:
            net_D.add(nn.Dropout(dropout))
    net_D.add(nn.Dense(1))
    return net_D


def uniform_latent(batch_size, latent_dim, ctx):
    """Draw latent vectors from U(-1, 1); see `normal_latent`.

    Taught in chapters/mlp-gan.md, "Two Builders".
    """
    return np.random.uniform(-1, 1, (batch_size, latent_dim), ctx=ctx)


class FreshGame(Game):
    """The usual game, with other latent vectors for the generator's loss.

    They are drawn from N(0, I).

    Taught in chapters/mlp-gan.md, "Two Builders".
    """
    makes = 2

    def play(self, step):
        """Let the players look and learn, as `Game.play` does."""
        fresh_Z = np.random.normal(0, 1, step.Z.shape, ctx=step.Z.ctx)
        loss_D = step.look_D()
        step.learn_D()
        step.draw(fresh_Z)
        loss_G = step.look_G()
        step.learn_G()
        return loss_D, loss_G


RECIPES = {
    'small': {
        'batch_size': 64,
        'net_D': {'widths': (256,)},
        'net_G': {'widths': (256,), 'output': 'sigmoid'},
        'train': {'lr_D': 1e-3, 'lr_G': 1e-3, 'latent_dim': 200,
                  'latent': uniform_latent}},
    'logits': {
        'batch_size': 128,
        'net_D': {'widths': (128,)},
        'net_G': {'widths': (128,), 'output': 'sigmoid'},
        'train': {'lr_D': 1e-3, 'lr_G': 1e-3, 'latent_dim': 100,
                  'latent': uniform_latent,
                  'initializer': init.Xavier('gaussian', 'in', 2)}},
    'deep': {
        'batch_size': 64, 'game': FreshGame(),
        'net_D': {'widths': (1024, 512, 256), 'leak': 0.2, 'dropout': 0.3},
        'net_G': {'widths': (256, 512, 1024), 'leak': 0.2},
        'train': {'lr_D': 3e-4, 'lr_G': 3e-4, 'latent_dim': 100,
                  'beta1': 0.5,
                  'initializer': init.Xavier('uniform', 'in', 1 / 3)}}}


class SavingStep:
    """A training step that also saves a grid of samples now and then.

    The files are `000.png`, `001.png` and so on.

    Args:
        folder: where to save to; made if need be.
        every: so many minibatches lie between two grids, at least 1.
        Z: the latent vectors of the samples, shape (n, latent_dim).
        step: what to do with a minibatch; as fast an `adversarial_step` as
            there is if `None`.

    Raises:
        ValueError: if `every` is below 1.

    Taught in chapters/mlp-gan.md, "Less Momentum, and a Film".
    """
    def __init__(self, folder, every, Z, step=None):
        if every < 1:
            raise ValueError(f'every is {every}, but has to be at least 1')
        self.folder, self.every = pathlib.Path(folder), every
        self.Z, self.step = Z, step or FusedStep()
        self.num_minibatches = 0

    def __call__(self, X, Z, net_D, net_G, loss, trainer_D, trainer_G):
        if self.num_minibatches % self.every == 0:
            number = self.num_minibatches // self.every
            save_images(self.folder / f'{number:03d}.png', net_G(self.Z))
        self.num_minibatches += 1
        return self.step(X, Z, net_D, net_G, loss, trainer_D, trainer_G)

    def state_dict(self):
        """Give what a checkpoint has to keep, as numbers by name."""
        return {'num_minibatches': self.num_minibatches,
                **inner_state(self.step)}

    def load_state_dict(self, state):
        """Go on from what `state_dict` gave."""
        own = load_inner_state(self.step, state)
        self.num_minibatches = int(own['num_minibatches'])
