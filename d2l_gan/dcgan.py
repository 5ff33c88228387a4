"""Deep Convolutional GANs, as chapters/dcgan.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 db9f4b10483af081.

import math
from mxnet.gluon import nn

__all__ = [
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
    net_G = nn.HybridSequential()
    # A latent vector is a picture of one pixel with many channels
    net_G.add(nn.HybridLambda(lambda F, Z: F.npx.reshape(Z, (-2, -2, 1, 1))),
              G_block(n * 2 ** (doublings - 1), strides=1, padding=0))
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


def dcgan_discriminator(image_shape, n=64, first_batch_norm=False):
    """Build the discriminator of a DCGAN.

    Args:
        image_shape: (channels, size, size), with a size of 8, 16, 32, 64 or
            128.
        n: the channels after the first layer; each layer that follows has
            twice as many as the one before.
        first_batch_norm: whether the first layer normalises too. The paper
            forbids it; *Dive into Deep Learning* does it.

    Returns:
        nn.HybridSequential: maps images (batch_size, *image_shape) to logits
        (batch_size, 1).

    Raises:
        ValueError: for another size.

    Taught in chapters/dcgan.md, "The Discriminator".
    """
    net_D = nn.HybridSequential()
    for i in range(num_doublings(image_shape)):
        net_D.add(D_block(n * 2 ** i, batch_norm=i > 0 or first_batch_norm))
    net_D.add(nn.Conv2D(1, kernel_size=4, use_bias=False), nn.Flatten())
    return net_D


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
