"""Imports `d2l_gan` before any test imports MXNet, as every user must."""

import html
import json
import re
import shutil
import subprocess

import matplotlib
import pytest

import d2l_gan  # noqa: F401 isort: skip
from d2l import mxnet as d2l

from d2l_gan.classifier import network

matplotlib.use('agg')

CHROMIUM = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser'))), None
)
FLAGS = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--enable-logging=stderr',
    '--virtual-time-budget=30000',
]
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


@pytest.fixture
def browse(tmp_path):
    """A function that opens a page in a browser, with flags of it if need be.

    It gives the page's tree, what it logged, and whom it asked.
    """
    if CHROMIUM is None:
        pytest.skip('there is no Chromium here to open the pages with')

    def browse(page, *flags):
        log = tmp_path / 'net.json'
        run = subprocess.run(
            [CHROMIUM, *FLAGS, *flags, f'--log-net-log={log}',
             f'--user-data-dir={tmp_path / "profile"}',
             '--dump-dom', page.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        logged = re.findall(r'CONSOLE.*?\] "(.*?)", source', run.stderr)
        # What the browser itself asks for is of no page's origin.
        asked = [
            event['params']['url']
            for event in json.loads(log.read_text())['events']
            if 'file://'
            in str(event.get('params', {}).get('network_isolation_key'))
            and 'url' in event['params']
        ]
        return run.stdout, logged, asked

    return browse


@pytest.fixture
def perform(browse, tmp_path):
    """A function that lets a script act in a page, and gives what it returns.

    The page has the HTML that an output cell has. It must need no network and
    log nothing.
    """

    def perform(output, script, *flags):
        page = tmp_path / 'page.html'
        page.write_text(
            f'<!doctype html><meta charset="utf-8"><body>{output}<script>\n'
            f'const wait = (ms) => new Promise((on) => setTimeout(on, ms));\n'
            f'const act = async () => {{\n{script}\n}};\n'
            f'act().then((found) => document.body.append(Object.assign('
            f'document.createElement("output"), {{id: "found", '
            f'textContent: JSON.stringify(found)}})));\n</script>',
            encoding='utf-8',
        )
        tree, logged, asked = browse(page, *flags)
        assert logged == asked == []
        (found,) = re.findall('<output id="found">(.*?)</output>', tree, re.S)
        return json.loads(html.unescape(found))

    return perform
