"""Imports `d2l_gan` before any test imports MXNet, as every user must."""

import matplotlib
import pytest

import d2l_gan  # noqa: F401 isort: skip
from d2l import mxnet as d2l

from d2l_gan.classifier import network

matplotlib.use('agg')

BOOK = {
    'config.ini': '[project]\ntitle = A Book\nauthor = Nobody\n'
    'library = ../lib\n\n[modules]\none = first\n',
    'index.md': '# A Book\n\n```toc\n:numbered:\n\none\n```\n',
    'references.bib': '@article{Doe.1999,\n  title = {On nothing},\n'
    '  author = {Doe, Jane and Roe, Richard and Poe, Ann},\n'
    '  journal = {Journal of Nothing},\n  year = {1999}\n}\n',
    'img/a.svg': '<svg xmlns="http://www.w3.org/2000/svg" width="9" '
    'height="9"><rect width="9" height="9"/></svg>',
}


@pytest.fixture
def make_book(tmp_path):
    """A function that writes a small book, and gives its folder.

    Called with the text of the chapter `one`, and other files by name.
    """

    def make(chapter, **files):
        folder = tmp_path / 'chapters'
        for name, text in {**BOOK, 'one.md': chapter, **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding='utf-8')
        return folder

    return make


@pytest.fixture
def fits(monkeypatch):
    """A list that grows by one item with every training of a classifier."""
    calls, fit = [], network._fit

    def counting(*args):
        calls.append(args)
        fit(*args)

    monkeypatch.setattr(network, '_fit', counting)
    return calls


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty folder of data sets, and no way to fetch any."""
    for name in ('D2L_GAN_DATASET', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / 'root'
    monkeypatch.setenv('D2L_GAN_DATA', str(folder))
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    # Nobody listens there.
    monkeypatch.setenv('MXNET_GLUON_REPO', 'http://127.0.0.1:9/')
    monkeypatch.setitem(
        d2l.DATA_HUB, 'pokemon', ('http://127.0.0.1:9/pokemon.zip', '0' * 40)
    )
    return folder
