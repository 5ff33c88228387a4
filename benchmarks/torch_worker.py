"""PyTorch's rows of `speed.py`: networks and loops that do what d2l's do."""

import contextlib
import functools
import json
import math
import sys

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from turns import Minibatches, Turns


def mlp(shape, n):
    return (
        nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(shape), n), nn.ReLU(),
            nn.Linear(n, 1),
        ),
        nn.Sequential(
            nn.Linear(100, n), nn.ReLU(), nn.Linear(n, math.prod(shape)),
            nn.Tanh(), nn.Unflatten(1, shape),
        ),
    )  # fmt: skip


def gaussian():
    return (
        nn.Sequential(
            nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh(),
            nn.Linear(3, 1),
        ),
        nn.Sequential(nn.Linear(2, 2)),
    )  # fmt: skip


def halve(inputs, outputs, batch_norm=True):
    """Convolve to half the height and width."""
    layers = [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers, nn.LeakyReLU(0.2, inplace=True))


def double(inputs, outputs, strides=2, padding=1):
    """Convolve, transposed, to twice the height and width."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, strides, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def widths(shape, n):
    """Give the channels of a discriminator's blocks, first to last."""
    return [n * 2**i for i in range(int(math.log2(shape[-1] // 4)))]


def dcgan_discriminator(shape, n):
    channels = widths(shape, n)
    return nn.Sequential(
        *map(halve, [shape[0], *channels], channels),
        nn.Conv2d(channels[-1], 1, 4, bias=False),
        nn.Flatten(),
    )


def dcgan_generator(shape, n, latent_dim=100):
    channels = widths(shape, n)[::-1]
    return nn.Sequential(
        nn.Unflatten(1, (latent_dim, 1, 1)),
        double(latent_dim, channels[0], 1, 0),
        *map(double, channels, channels[1:]),
        nn.ConvTranspose2d(channels[-1], shape[0], 4, 2, 1, bias=False),
        nn.Tanh(),
    )


def join(X, labels):
    """Add labels, shape (batch_size, 10), as channels that are constant."""
    maps = labels[:, :, None, None].expand(-1, -1, *X.shape[2:])
    return torch.cat([X, maps], 1)


class ConditionalDiscriminator(nn.Module):
    """Gives the log-probabilities of the label's class and of 'fake'."""

    def __init__(self, shape, n):
        super().__init__()
        channels = widths(shape, n)
        self.blocks = nn.ModuleList(
            halve(before + 10, after, batch_norm=after > n)
            for before, after in zip([shape[0], *channels], channels)
        )
        self.head = nn.Conv2d(channels[-1] + 10, 11, 4)

    def forward(self, X):
        labels, X = X[:, -10:, 0, 0], X[:, :-10]
        for block in self.blocks:
            X = block(join(X, labels))
        log_p = self.head(join(X, labels)).flatten(1).log_softmax(1)
        return torch.stack([(log_p[:, :-1] * labels).sum(1), log_p[:, -1]], 1)


class ConditionalGenerator(nn.Module):
    def __init__(self, shape, n):
        super().__init__()
        self.net_G = dcgan_generator(shape, n, 110)

    def forward(self, Z):
        return join(self.net_G(Z), Z[:, -10:])


def networks(kind, shape, n):
    """Give the discriminator and the generator of a workload."""
    if kind == 'gaussian':
        return gaussian()
    if kind == 'mlp':
        return mlp(shape, n)
    if kind == 'conditional':
        return ConditionalDiscriminator(shape, n), ConditionalGenerator(
            shape, n
        )
    return dcgan_discriminator(shape, n), dcgan_generator(shape, n)


def fake_class_loss(log_p, is_real):
    return -(is_real * log_p[:, 0] + (1 - is_real) * log_p[:, 1]).sum()


def binary_loss(logits, is_real):
    return functional.binary_cross_entropy_with_logits(
        logits, is_real[:, None], reduction='sum'
    )


def update_D(X, Z, net_D, net_G, loss, trainer_D, precision):
    ones = torch.ones(len(X))
    trainer_D.zero_grad()
    with precision():
        real_Y = net_D(X)
        fake_Y = net_D(net_G(Z).detach())
        loss_D = (loss(real_Y, ones) + loss(fake_Y, ones - 1)) / 2
    loss_D.backward()
    trainer_D.step()
    return loss_D


def update_G(Z, net_D, net_G, loss, trainer_G, precision):
    ones = torch.ones(len(Z))
    trainer_G.zero_grad()
    with precision():
        loss_G = loss(net_D(net_G(Z)), ones)
    loss_G.backward()
    trainer_G.step()
    return loss_G


def main(contestant, kind, shape, n, batch_size, num_examples, per_turn):
    net_D, net_G = networks(kind, shape, n)
    layout, precision = torch.contiguous_format, contextlib.nullcontext
    if contestant != 'torch':
        layout = torch.channels_last
    if contestant == 'torch-bfloat16':
        precision = functools.partial(torch.autocast, 'cpu', torch.bfloat16)
    trainers = []
    for net, lr in ((net_D, 0.05), (net_G, 0.005)):
        for weights in net.parameters():
            nn.init.normal_(weights, 0, 0.02)
        net.to(memory_format=layout)
        trainers.append(
            torch.optim.Adam(net.parameters(), lr)
            if kind == 'gaussian'
            else torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999))
        )
    trainer_D, trainer_G = trainers
    if kind == 'gaussian':
        data = TensorDataset(torch.randn(num_examples, *shape))
    else:
        data = TensorDataset(
            torch.rand(num_examples, *shape) * 2 - 1,
            torch.arange(num_examples) % 10,
        )
    data_iter = DataLoader(data, batch_size, shuffle=True)
    latent_dim = 2 if kind == 'gaussian' else 100
    loss = fake_class_loss if kind == 'conditional' else binary_loss
    turns = Turns()
    data_iter = Minibatches(turns, data_iter, per_turn)
    while True:
        sums = [0.0, 0.0]
        for X, *y in data_iter:
            Z = torch.randn(len(X), latent_dim)
            if kind == 'conditional':
                X = join(X, functional.one_hot(y[0], 10).float())
                asked = torch.randint(10, (len(X),))
                Z = torch.cat([Z, functional.one_hot(asked, 10)], 1)
            if X.ndim == 4:
                X = X.contiguous(memory_format=layout)
            losses = (
                update_D(X, Z, net_D, net_G, loss, trainer_D, precision),
                update_G(Z, net_D, net_G, loss, trainer_G, precision),
            )
            sums = [a + b.item() for a, b in zip(sums, losses)]


if __name__ == '__main__':
    main(**json.loads(sys.argv[1]))
