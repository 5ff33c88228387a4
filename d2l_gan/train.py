"""Generative Adversarial Networks, as chapters/gan.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 9b6c363f1c451ab5.

from d2l_gan.fused import FusedStep
from d2l_gan.run import Run, set_seed
from mxnet import autograd, gluon, init, np, npx

__all__ = [
    'GAUSSIAN',
    'FieldRecorder',
    'Recorder',
    'adversarial_step',
    'draw_gaussian',
    'normal_latent',
    'set_seed',
    'train',
    'update_D',
    'update_G',
]


GAUSSIAN = {'A': [[1, 2], [-0.1, 0.5]], 'b': [1, 2]}


def draw_gaussian(n=1000):
    """Draw points A.T eps + b, with the A and b of `GAUSSIAN`.

    Args:
        n: how many.

    Returns:
        np.ndarray: shape (n, 2), from the Gaussian with the mean b and the
        covariance A.T A.

    Taught in chapters/gan.md, "The Data".
    """
    A, b = np.array(GAUSSIAN['A']), np.array(GAUSSIAN['b'])
    return np.dot(np.random.normal(0, 1, (n, 2)), A) + b


def update_D(X, Z, net_D, net_G, loss, trainer_D):
    """Let the discriminator take one step.

    Args:
        X: real examples, shape (batch_size, ...).
        Z: latent vectors, shape (batch_size, latent_dim).
        net_D: maps examples to logits, (batch_size,) or (batch_size, 1).
        net_G: maps latent vectors to examples.
        loss: maps logits and labels to one loss an example.
        trainer_D: the `gluon.Trainer` of `net_D`.

    Returns:
        np.ndarray: the minibatch's loss, half from the real examples and half
        from the fakes, summed over examples. Shape (); the engine may still
        be working on it until `float` waits for it.

    Raises:
        ValueError: if fakes and real examples differ in shape.

    Taught in chapters/gan.md, "Training".
    """
    batch_size = X.shape[0]
    ones = np.ones((batch_size,), ctx=X.ctx)
    with autograd.record():
        real_Y = net_D(X)
        fake_X = net_G(Z)
        if fake_X.shape != X.shape:
            raise ValueError(f'net_G made fakes of shape {fake_X.shape} '
                             f'for real examples of shape {X.shape}')
        fake_Y = net_D(fake_X.detach())
        loss_D = (loss(real_Y, ones) + loss(fake_Y, ones - 1)) / 2
    loss_D.backward()
    trainer_D.step(batch_size)
    return loss_D.sum()


def update_G(Z, net_D, net_G, loss, trainer_G):
    """Let the generator take one step, with the non-saturating loss.

    Args:
        Z: latent vectors, shape (batch_size, latent_dim).
        net_D: maps examples to logits, (batch_size,) or (batch_size, 1).
        net_G: maps latent vectors to examples.
        loss: maps logits and labels to one loss an example.
        trainer_G: the `gluon.Trainer` of `net_G`.

    Returns:
        np.ndarray: the minibatch's loss, summed over examples. Shape (); the
        engine may still be working on it until `float` waits for it.

    Taught in chapters/gan.md, "Training".
    """
    batch_size = Z.shape[0]
    ones = np.ones((batch_size,), ctx=Z.ctx)
    with autograd.record():
        loss_G = loss(net_D(net_G(Z)), ones)
    loss_G.backward()
    trainer_G.step(batch_size)
    return loss_G.sum()


def normal_latent(batch_size, latent_dim, ctx):
    """Draw latent vectors from N(0, I).

    Args:
        batch_size, latent_dim: the shape of the result.
        ctx: the device.

    Returns:
        np.ndarray: shape (batch_size, latent_dim).

    Taught in chapters/gan.md, "Training".
    """
    return np.random.normal(0, 1, (batch_size, latent_dim), ctx=ctx)


def adversarial_step(X, Z, net_D, net_G, loss, trainer_D, trainer_G):
    """Let the discriminator take a step, then the generator.

    Args:
        X, Z, net_D, net_G, loss, trainer_D: as in `update_D`.
        trainer_G: as in `update_G`.

    Returns:
        tuple: the losses of discriminator and generator, each summed over
        the examples, of shape ().

    Taught in chapters/gan.md, "Training".
    """
    return (update_D(X, Z, net_D, net_G, loss, trainer_D),
            update_G(Z, net_D, net_G, loss, trainer_G))


def train(net_D, net_G, data_iter, num_epochs, lr_D, lr_G, latent_dim, data,
          *, beta1=0.9, initializer=None, loss=None, latent=normal_latent,
          step=None, animator=None, **care):
    """Train a GAN by Adam, and show how it goes.

    Args:
        net_D, net_G: the discriminator and the generator.
        data_iter: gives minibatches, every epoch anew: arrays of shape
            (batch_size, ...), or tuples that begin with one.
        num_epochs: passes over the data, at least 1.
        lr_D, lr_G: the learning rates.
        latent_dim: the length of a latent vector.
        data: real examples to be shown, shape (n, ...), beside as many
            generated ones: points (n, 2) or images (n, channels, height,
            width) in [-1, 1].
        beta1: Adam's decay rate of the mean of the gradients, in [0, 1).
        initializer: of both networks' weights; N(0, 0.02**2) if `None`.
        loss: maps logits and labels, 1 for real examples and 0 for fakes, to
            one loss an example; the cross-entropy of their sigmoid if `None`.
        latent: draws latent vectors, called as `normal_latent` is.
        step: trains both networks on a minibatch, called as
            `adversarial_step` is; if `None`, a `FusedStep` that does the same
            faster.
        animator: an `Animator` with two panels; made if `None`. With `False`,
            nothing is shown or printed.
        care: any of `seed`, `checkpoint`, `device`, `kvstore`, `opinions`.
            What they ask for, what else is looked after, and all errors that
            are raised stand in `d2l_gan.run.Run`.

    Returns:
        dict: the history, lists with a number for every epoch; see `Run`.

    Taught in chapters/gan.md, "Training".
    """
    loss = loss or gluon.loss.SigmoidBCELoss()
    run = Run(net_D, net_G, loss, latent, data, animator, **care)
    run.check(num_epochs, lr_D=lr_D, lr_G=lr_G, latent_dim=latent_dim,
              beta1=beta1)
    run.initialize(initializer or init.Normal(0.02))
    trainer_D = run.adam(net_D, lr_D, beta1)
    trainer_G = run.adam(net_G, lr_G, beta1)
    step = run.around(step or FusedStep())
    for epoch in run.epochs(num_epochs):
        for X in run.minibatches(data_iter):
            Z = latent(len(X), latent_dim, X.ctx)
            run.add(step(X, Z, net_D, net_G, loss, trainer_D, trainer_G))
        run.show(epoch, net_G, latent(len(data), latent_dim, X.ctx))
    return run.history


class Recorder:
    """Stands in for an `Animator`, and keeps what it is shown.

    Attributes:
        fakes: what the generator made after each epoch, a list of
            numpy.ndarray.

    Taught in chapters/gan.md, "What Went Wrong".
    """
    def __init__(self):
        self.fakes = []

    def show(self, real, fake):
        """Keep the fakes."""
        self.fakes.append(fake.asnumpy())

    def add(self, x, y):
        """Leave losses alone."""

    def close(self):
        """Leave all as it is."""


class FieldRecorder(Recorder):
    """Keeps what a discriminator of points says, and what it tells the fakes.

    Args:
        net_D: maps points, shape (n, 2), to logits.
        box: the left, right, lower and upper end of where it is asked.
        num_arrows: how many fakes are told.

    Attributes:
        fakes: as in `Recorder`.
        fields: after each epoch the probabilities it gave to "real" on a grid,
            a list of numpy.ndarray of shape (40, 40); rows go upwards.
        arrows: minus the gradients of the (non-saturating) loss of the first
            fakes, with respect to them, a list of numpy.ndarray of shape
            (num_arrows, 2).

    Taught in chapters/gan.md, "What Went Wrong".
    """
    def __init__(self, net_D, box, num_arrows=30):
        super().__init__()
        self.net_D, self.box, self.num_arrows = net_D, box, num_arrows
        self.fields, self.arrows = [], []

    def show(self, real, fake):
        """Keep the fakes, and ask about them and the grid."""
        super().show(real, fake)
        left, right, low, high = self.box
        grid = np.stack(np.meshgrid(np.linspace(left, right, 40),
                                    np.linspace(low, high, 40)), axis=-1)
        X = np.concatenate((grid.reshape(-1, 2).as_in_ctx(fake.ctx),
                            fake[:self.num_arrows]))
        X.attach_grad()
        with autograd.record(train_mode=False):
            logits = self.net_D(X)
        slopes, = autograd.grad(logits, [X], train_mode=False)
        D_X = npx.sigmoid(logits).asnumpy().reshape(-1, 1)
        self.fields.append(D_X[:40 * 40].reshape(40, 40))
        self.arrows.append(((1 - D_X) * slopes.asnumpy())[40 * 40:])
