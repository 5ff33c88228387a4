"""Deep Convolutional GANs, as chapters/dcgan.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 68f9ee292067565b.

import math
import mxnet as mx
from d2l_gan.checkpoint import inner_state, load_inner_state
from d2l_gan.fused import FusedStep
from mxnet import init, np
from mxnet.gluon import nn

__all__ = [
    'AveragedStep',
    'D_block',
    'G_block',
    'ToPixels',
    'dcgan_discriminator',
    'dcgan_generator',
    'num_doublings',
    'tanh_discriminator',
    'tanh_generator',
]


class G_block(nn.HybridSequential):
    """Double the height and width of feature maps.

    A transposed convolution, batch normalisation and a ReLU, after Radford,
    Metz and Chintala, "Unsupervised representation learning with deep
    convolutional generative adversarial networks" (2015).

    Args:
        channels: of the output.
        kernel_size, strides, padding: of the transposed convolution; those
            given double the size, (batch_size, c, h, w) becomes
            (batch_size, channels, 2 h, 2 w).

    Taught in chapters/dcgan.md, "The Generator".
    """
    def __init__(self, channels, kernel_size=4, strides=2, padding=1):
        super().__init__()
        self.add(nn.Conv2DTranspose(channels, kernel_size, strides, padding,
                                    use_bias=False),
                 nn.BatchNorm(), nn.Activation('relu'))


class ToPixels(nn.HybridSequential):
    """Turn feature maps into images twice as high and wide, in [-1, 1].

    A transposed convolution and a tanh. MXNet 1.9.1 cannot differentiate
    transposed convolutions from 16 or more channels to a single one on CPUs,
    so a grey image is the first of two channels.

    Args:
        channels: of the images.
        kernel_size, strides, padding, output_padding: of the transposed
            convolution.

    Taught in chapters/dcgan.md, "The Generator".
    """
    def __init__(self, channels, kernel_size=4, strides=2, padding=1,
                 output_padding=0):
        super().__init__()
        self.add(nn.Conv2DTranspose(max(channels, 2), kernel_size, strides,
                                    padding, output_padding, use_bias=False))
        if channels == 1:
            self.add(nn.HybridLambda(lambda F, X: X[:, :1]))
        self.add(nn.Activation('tanh'))


def num_doublings(image_shape):
    """Tell how often 4 x 4 pixels have to double to make an image.

    Args:
        image_shape: (channels, size, size).

    Returns:
        int: 1 for a size of 8, and so on to 5 for 128.

    Raises:
        ValueError: for another size.

    Taught in chapters/dcgan.md, "The Generator".
    """
    _, height, width = image_shape
    if height != width or width not in (8, 16, 32, 64, 128):
        raise ValueError(
            f'images of shape {tuple(image_shape)} cannot be made by '
            'doubling 4 x 4 pixels: they have to be square, of 8, 16, 32, 64 '
            'or 128 pixels; `load_images(..., size=32)` scales them')
    return (width // 4).bit_length() - 1


def dcgan_generator(image_shape, n=64):
    """Build the generator of a DCGAN.

    Args:
        image_shape: (channels, size, size), with a size of 8, 16, 32, 64 or
            128.
        n: the channels before the last layer; each layer before has twice as
            many as the one that follows.

    Returns:
        nn.HybridSequential: maps latent vectors (batch_size, latent_dim) to
        images (batch_size, *image_shape) in [-1, 1].

    Raises:
        ValueError: for another size.

    Taught in chapters/dcgan.md, "The Generator".
    """
    doublings = num_doublings(image_shape)
    maps = n * 2 ** (doublings - 1), 4, 4
    net_G = nn.HybridSequential()
    net_G.add(nn.Dense(math.prod(maps), use_bias=False),
              nn.HybridLambda(lambda F, X: F.npx.reshape(X, (-1, *maps))),
              nn.BatchNorm(), nn.Activation('relu'))
    for i in reversed(range(doublings - 1)):
        net_G.add(G_block(n * 2 ** i))
    net_G.add(ToPixels(image_shape[0]))
    return net_G


class D_block(nn.HybridSequential):
    """Halve the height and width of images or feature maps.

    A convolution with strides, batch normalisation and a leaky ReLU; the
    counterpart of `G_block`.

    Args:
        channels: of the output.
        kernel_size, strides, padding: of the convolution; those given halve
            the size, (batch_size, c, h, w) becomes
            (batch_size, channels, h / 2, w / 2).
        alpha: the slope of the leaky ReLU below 0.
        batch_norm: whether to normalise.

    Taught in chapters/dcgan.md, "The Discriminator".
    """
    def __init__(self, channels, kernel_size=4, strides=2, padding=1,
                 alpha=0.2, batch_norm=True):
        super().__init__()
        self.add(nn.Conv2D(channels, kernel_size, strides, padding,
                           use_bias=False))
        if batch_norm:
            self.add(nn.BatchNorm())
        self.add(nn.LeakyReLU(alpha))


def dcgan_discriminator(image_shape, n=64, first_batch_norm=False,
                        batch_norm=True):
    """Build the discriminator of a DCGAN.

    Args:
        image_shape: (channels, size, size), with a size of 8, 16, 32, 64 or
            128.
        n: the channels after the first layer; each layer that follows has
            twice as many as the one before.
        first_batch_norm: whether the first layer normalises too. The paper
            forbids it; *Dive into Deep Learning* does it.
        batch_norm: whether any layer does.

    Returns:
        nn.HybridSequential: maps images (batch_size, *image_shape) to logits
        (batch_size, 1).

    Raises:
        ValueError: for another size.

    Taught in chapters/dcgan.md, "The Discriminator".
    """
    net_D = nn.HybridSequential()
    for i in range(num_doublings(image_shape)):
        net_D.add(D_block(n * 2 ** i, batch_norm=batch_norm and (
            i > 0 or first_batch_norm)))
    net_D.add(nn.Dense(1, use_bias=False))
    return net_D


class AveragedStep:
    """A step that also keeps a moving average of the generator.

    The average is exponential, and over all parameters, with the running
    statistics of batch normalisation among them. After Yazıcı, Foo, Winkler
    et al., "The unusual effectiveness of averaging in GAN training" (2019).
    Called and returning as `adversarial_step`. Each object serves one
    training.

    Args:
        net_avg: gets the average: a network built as `net_G` is. What
            parameters it has are lost.
        decay: how much of the average is kept in each minibatch, in [0, 1).
            In the t-th it is at most (1 + t) / (10 + t).
        step: what trains the networks, called as `adversarial_step` is; a
            `FusedStep` in its place if `None`.

    Attributes:
        num_steps: the number of minibatches so far.

    Raises:
        ValueError: if `decay` is out of range, or `net_avg` is not built as
            `net_G` is.

    Taught in chapters/dcgan.md, "An Average of Generators".
    """
    def __init__(self, net_avg, decay=0.999, step=None):
        if not 0 <= decay < 1:
            raise ValueError(f'decay is {decay}, but has to be in [0, 1)')
        self.net_avg, self.decay, self.num_steps = net_avg, decay, 0
        self.params = self.means = None  # of net_G, and of net_avg
        self.step = step or FusedStep()

    def __call__(self, X, Z, net_D, net_G, loss, trainer_D, trainer_G):
        losses = self.step(X, Z, net_D, net_G, loss, trainer_D, trainer_G)
        if self.params is None:
            self.params = list(net_G.collect_params().values())
        values = [parameter.data(Z.ctx) for parameter in self.params]
        if self.means is None:
            self._set(values)
        self.num_steps += 1
        decay = min(self.decay, (1 + self.num_steps) / (10 + self.num_steps))
        # Rounded so that the operator's 1 - rate has no rounding error, which
        # would make the average a little too small or too large.
        rate = round((1 - decay) * 2 ** 24) / 2 ** 24
        for mean, value in zip(self.means, values):
            value = value.as_in_ctx(mean.ctx).as_nd_ndarray()
            mx.nd.sgd_update(mean, value, out=mean, lr=rate, wd=1,
                             rescale_grad=-1)
        return losses

    def state_dict(self):
        """Give all that is needed to go on, for `load_state_dict`.

        Returns:
            dict: `num_steps`, by their numbers the parameters of the average,
            numpy.ndarrays, and what the inner step gives, if it has a state.
        """
        return {'num_steps': self.num_steps,
                **{str(i): mean.asnumpy()
                   for i, mean in enumerate(self.means or [])},
                **inner_state(self.step)}

    def load_state_dict(self, state):
        """Go on from what `state_dict` gave.

        Raises:
            ValueError: if `net_avg` is not built as that one was.
        """
        own = load_inner_state(self.step, state)
        self.num_steps = int(own.pop('num_steps'))
        if self.num_steps:
            self._set([np.array(own[str(i)]) for i in range(len(own))])

    def _set(self, values):
        params = self.net_avg.collect_params().values()
        shapes = [parameter.shape for parameter in params]
        if len(shapes) != len(values) or any(
                shape and (len(shape) != value.ndim or any(
                    n > 0 and n != m for n, m in zip(shape, value.shape)))
                for shape, value in zip(shapes, values)):
            raise ValueError(
                'net_avg is not built as net_G is: its parameters have shapes '
                f'{shapes}, not {[value.shape for value in values]}')
        for parameter, value in zip(params, values):
            parameter.shape = value.shape
            parameter.initialize(init.Zero(), ctx=value.ctx,
                                 force_reinit=True)
            parameter.set_data(value)
        self.means = [parameter.data().as_nd_ndarray() for parameter in params]


def tanh_generator(image_shape, n=64):
    """Build a generator that breaks the rules of the DCGAN.

    Dense units, dropout and tanh come before two transposed convolutions.

    Args:
        image_shape: (channels, height, width), both multiples of 4.
        n: a measure of the width; the layers have 4 n and 2 n channels.

    Returns:
        nn.HybridSequential: as of `dcgan_generator`.

    Raises:
        ValueError: for a height or width that is no multiple of 4.

    Taught in chapters/dcgan.md, "Breaking the Rules".
    """
    channels, height, width = image_shape
    if height % 4 or width % 4:
        raise ValueError(f'images of shape {tuple(image_shape)} cannot be '
                         'made by doubling twice: height and width have to '
                         'be multiples of 4')
    maps = (4 * n, height // 4, width // 4)
    double = {'kernel_size': 5, 'strides': 2, 'padding': 2,
              'output_padding': 1}
    net_G = nn.HybridSequential()
    net_G.add(nn.Dense(math.prod(maps), activation='tanh'), nn.Dropout(0.5),
              nn.HybridLambda(lambda F, X: F.npx.reshape(X, (-1, *maps))),
              nn.Conv2DTranspose(2 * n, **double), nn.BatchNorm(),
              nn.Activation('tanh'),
              ToPixels(channels, **double))
    return net_G


def tanh_discriminator(n=64):
    """Build a discriminator that breaks the rules of the DCGAN.

    Args:
        n: the channels of the first convolution; the second has 2 n, and the
            dense layer 16 n units.

    Returns:
        nn.HybridSequential: maps images (batch_size, channels, height, width)
        to logits (batch_size, 1).

    Taught in chapters/dcgan.md, "Breaking the Rules".
    """
    net_D = nn.HybridSequential()
    for channels in (n, 2 * n):
        net_D.add(nn.Conv2D(channels, 5, padding=2, activation='tanh'),
                  nn.MaxPool2D(2))
    net_D.add(nn.Dropout(0.5), nn.Dense(16 * n, activation='relu'),
              nn.Dropout(0.5), nn.Dense(1))
    return net_D
