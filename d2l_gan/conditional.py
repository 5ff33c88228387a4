"""Asking for a Digit: Conditional GANs, as chapters/cdcgan.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 5a8a9d678b8060f7.

import numpy
from d2l_gan.dcgan import dcgan_discriminator
from d2l_gan.support.checks import to_numpy
from d2l_gan.train import normal_latent
from mxnet import gluon, np
from mxnet.gluon import nn

__all__ = [
    'ConditionalDiscriminator',
    'ConditionalGenerator',
    'FakeClassLoss',
    'JoinLabels',
    'LabelledConv2D',
    'LabelledImages',
    'draw_classes',
    'labelled_latent',
    'one_hot',
]


def one_hot(y, num_classes):
    """Turn labels into rows that are 1 at the label and else 0.

    Args:
        y: labels, shape (n,); integers from 0 to num_classes - 1.
        num_classes: how many classes there are.

    Returns:
        np.ndarray: shape (n, num_classes), on the CPU.

    Raises:
        ValueError: for other labels.

    Taught in chapters/cdcgan.md, "Labels as Pictures".
    """
    y = to_numpy(y)
    wrong = (y < 0) | (y >= num_classes) | (y != numpy.floor(y))
    if y.ndim != 1 or wrong.any():
        found = (f'have shape {y.shape}' if y.ndim != 1 else
                 f'include {y[wrong][0]}')
        raise ValueError(f'the labels {found}; they have to be a list of '
                         f'integers from 0 to {num_classes - 1}')
    return np.array(numpy.eye(num_classes)[y.astype(int)], dtype='float32')


def labelled_latent(num_classes):
    """Make a function that draws latent vectors with labels at their ends.

    Args:
        num_classes: how many classes there are; all are equally likely.

    Returns:
        A function to be called as `normal_latent` is. What it draws has the
        shape (batch_size, latent_dim + num_classes).

    Taught in chapters/cdcgan.md, "Labels as Pictures".
    """
    def draw(batch_size, latent_dim, ctx):
        y = numpy.random.randint(num_classes, size=batch_size)
        return np.concatenate([normal_latent(batch_size, latent_dim, ctx),
                               one_hot(y, num_classes).as_in_ctx(ctx)], 1)
    return draw


class JoinLabels(nn.HybridBlock):
    """Join labels to pictures, as further channels that are constant.

    Taught in chapters/cdcgan.md, "Labels as Pictures".
    """

    def hybrid_forward(self, F, X, labels):
        """Join.

        Args:
            F: where the operators are; Gluon's own.
            X: pictures, shape (batch_size, channels, height, width).
            labels: one-hot, shape (batch_size, num_classes).

        Returns:
            Shape (batch_size, channels + num_classes, height, width).
        """
        # One channel of ones. A slice of X would do, but MXNet 1.9.1 may crash
        # when it slices the channels of what a convolution made.
        ones = F.np.ones_like(X.mean(axis=1, keepdims=True))
        maps = F.npx.reshape(labels, (-2, -2, 1, 1)) * ones
        return F.np.concatenate([X, maps], axis=1)


class ConditionalGenerator(nn.HybridBlock):
    """A generator that is asked for a class.

    Args:
        net_G: any generator of images; its latent vectors are those given,
            label included.
        num_classes: how many classes there are.

    Taught in chapters/cdcgan.md, "The Networks".
    """
    def __init__(self, net_G, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.net_G, self.join = net_G, JoinLabels()

    def hybrid_forward(self, F, Z):
        """Map latent vectors with labels to images with label maps.

        Args:
            F: where the operators are; Gluon's own.
            Z: shape (batch_size, latent_dim + num_classes).

        Returns:
            Shape (batch_size, channels + num_classes, height, width).
        """
        return self.join(self.net_G(Z), Z[:, -self.num_classes:])


class LabelledConv2D(nn.HybridBlock):
    """A convolution of pictures and label maps, which are never made.

    The same as a convolution behind `JoinLabels`, whose kernel is cut in two.

    Args:
        num_classes: how many classes there are.
        size: the height and width of the pictures.
        channels, kernel_size, strides, padding: as in `nn.Conv2D`.

    Taught in chapters/cdcgan.md, "The Networks".
    """
    def __init__(self, num_classes, size, channels, kernel_size, strides=1,
                 padding=0):
        super().__init__()
        self.num_classes, self.size = num_classes, size
        self.pictures = nn.Conv2D(channels, kernel_size, strides, padding,
                                  use_bias=False)
        # What each class adds to each channel, the classes one after another
        self.maps = nn.Conv2D(num_classes * channels, kernel_size, strides,
                              padding, use_bias=False)

    def hybrid_forward(self, F, X, labels):
        """Convolve, and add what the label is worth at each place.

        Args:
            F: where the operators are; Gluon's own.
            X: pictures, shape (batch_size, in_channels, size, size).
            labels: one-hot, shape (batch_size, num_classes).

        Returns:
            As `nn.Conv2D` does, without a bias.
        """
        table = self.maps(F.np.ones((1, 1, self.size, self.size)))
        table = F.npx.reshape(table, (self.num_classes, -1, -2, -2))
        added = F.np.tensordot(labels, table, 1)
        # `+` would first have the convolution's own layout undone.
        return F.elemwise_add(self.pictures(X).as_nd_ndarray(),
                              added.as_nd_ndarray()).as_np_ndarray()


class ConditionalDiscriminator(nn.HybridBlock):
    """A discriminator of images with label maps, with a class for fakes.

    The body is that of `dcgan_discriminator`.

    Args:
        image_shape: (channels, size, size), with a size of 8, 16, 32, 64 or
            128.
        num_classes: how many classes there are; it has one logit more.
        n: the channels after the first layer.

    Raises:
        ValueError: for another size, or if there are no classes.

    Taught in chapters/cdcgan.md, "The Networks".
    """
    def __init__(self, image_shape, num_classes, n=64):
        super().__init__()
        if num_classes < 1:
            raise ValueError('the data have no labels: a conditional GAN '
                             'needs at least one class')
        self.num_classes, size = num_classes, image_shape[-1]
        self.convs, self.tails = nn.HybridSequential(), nn.HybridSequential()
        # Of each block all but its convolution; the last one is no block.
        for _, *rest in dcgan_discriminator(image_shape, n)[:-1]:
            self.convs.add(LabelledConv2D(num_classes, size, n, 4, 2, 1))
            self.tails.add(nn.HybridSequential())
            self.tails[-1].add(*rest)
            size, n = size // 2, 2 * n
        self.join, self.last = JoinLabels(), nn.Dense(num_classes + 1)

    def hybrid_forward(self, F, X):
        """Give the log-probabilities of the label's class and of 'fake'.

        Args:
            F: where the operators are; Gluon's own.
            X: shape (batch_size, channels + num_classes, height, width).

        Returns:
            Shape (batch_size, 2).
        """
        K = self.num_classes
        labels = F.npx.reshape(X[:, -K:, :1, :1], (-2, -2))
        X = X[:, :-K]
        for conv, tail in zip(self.convs, self.tails):
            X = tail(conv(X, labels))
        log_p = F.npx.log_softmax(self.last(self.join(X, labels)), axis=-1)
        log_p_y = (log_p[:, :-1] * labels).sum(axis=1, keepdims=True)
        return F.np.concatenate([log_p_y, log_p[:, -1:]], axis=1)


class FakeClassLoss(gluon.loss.Loss):
    """The cross-entropy of a `ConditionalDiscriminator`.

    Taught in chapters/cdcgan.md, "The Networks".
    """

    def __init__(self):
        super().__init__(weight=None, batch_axis=0)

    def hybrid_forward(self, F, log_p, is_real):
        """Compute the loss of each example.

        Args:
            F: where the operators are; Gluon's own.
            log_p: shape (batch_size, 2), as the discriminator gives it.
            is_real: 1 where the answer should be the class of the label, 0
                where it should be 'fake'; shape (batch_size,).

        Returns:
            Shape (batch_size,).
        """
        return -(is_real * log_p[:, 0] + (1 - is_real) * log_p[:, 1])


class LabelledImages:
    """Minibatches of images that carry their labels as label maps.

    Args:
        data_iter: gives minibatches (X, y), as `load_images` does.
        num_classes: how many classes there are.

    Raises:
        ValueError: in the loop, if there are no labels, not one for each
            image, or one is out of range.

    Taught in chapters/cdcgan.md, "The Networks".
    """
    def __init__(self, data_iter, num_classes):
        self.data_iter, self.num_classes = data_iter, num_classes
        self.join = JoinLabels()

    def __len__(self):
        return len(self.data_iter)

    def __iter__(self):
        for minibatch in self.data_iter:
            if not isinstance(minibatch, (tuple, list)):
                raise ValueError('the data have no labels: a conditional GAN '
                                 'needs minibatches (X, y)')
            X, y = minibatch
            if len(X) != len(y):
                raise ValueError(f'there are {len(y)} labels for {len(X)} '
                                 'images')
            labels = one_hot(y, self.num_classes).as_in_ctx(X.ctx)
            yield self.join(X, labels)


def draw_classes(net_G, Z, y):
    """Let a conditional generator draw what it is asked for.

    Args:
        net_G: a `ConditionalGenerator`.
        Z: latent vectors without labels, shape (n, latent_dim).
        y: the classes asked for, shape (n,); integers from 0 to
            num_classes - 1.

    Returns:
        np.ndarray: images, shape (n, channels, height, width).

    Raises:
        ValueError: for other labels, or if there are not n.

    Taught in chapters/cdcgan.md, "Training".
    """
    if len(y) != len(Z):
        raise ValueError(f'there are {len(y)} labels for {len(Z)} latent '
                         'vectors')
    labels = one_hot(y, net_G.num_classes).as_in_ctx(Z.ctx)
    X = net_G(np.concatenate([Z, labels], axis=1))
    return X[:, :-net_G.num_classes]
