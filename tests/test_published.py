"""Published data sets, from files made here or a server on this machine."""

import contextlib
import gzip
import hashlib
import http.server
import io
import re
import threading
import zipfile

import numpy
import pytest
from d2l import mxnet as d2l
from mxnet import gluon
from samples import (
    IMAGES,
    LABELS,
    PIXELS,
    RED,
    files_in,
    idx,
    picture,
    put,
    put_mnist,
    the_colors,
)

from d2l_gan.data import published, read_images

# Data sets come from an empty folder, and none can be fetched.
pytestmark = pytest.mark.usefixtures('root')

# As d2l has it, before the tests put something else there
POKEMON = d2l.DATA_HUB['pokemon']
NORMAL = {
    'train-images-idx3-ubyte.gz': gzip.compress(IMAGES, mtime=0),
    'train-labels-idx1-ubyte.gz': gzip.compress(LABELS, mtime=0),
}


# ----- files that are there


@pytest.mark.parametrize('name', ['mnist', 'fashion_mnist'])
def test_idx_files(root, name):
    put_mnist(root, name=name)
    images, labels = read_images(name)
    assert (images.dtype, labels.dtype) == ('uint8', 'int32')
    numpy.testing.assert_array_equal(images[:, 0], PIXELS)
    assert images.shape == (3, 1, 2, 2)
    assert labels.tolist() == [7, 0, 9]
    images[0] = 1  # not locked


def test_packed_idx_files_and_the_test_set(root):
    put(root / 'mnist', t10k_images_idx3_ubyte__gz=gzip.compress(IMAGES))
    put(root / 'mnist', t10k_labels_idx1_ubyte=LABELS)
    images, labels = read_images('mnist', train=False)
    numpy.testing.assert_array_equal(images[:, 0], PIXELS)
    assert labels.tolist() == [7, 0, 9]


def test_idx_files_at_another_size(root):
    put_mnist(root)
    assert read_images('mnist', 1)[0][2].tolist() == [[[255]]]
    # The mean of 0, 255, 51 and 204 is 127.5.
    assert abs(int(read_images('mnist', 1)[0][0, 0, 0, 0]) - 127.5) <= 1
    larger = read_images('mnist', 6)[0]
    assert larger.shape == (3, 1, 6, 6)
    assert the_colors(larger[2:]) == [[255]]
    # The corners are those of the small image: 0 255 above 51 204, and
    # bicubic curves overshoot a little.
    corners = larger[0, 0, ::5, ::5].astype(int)
    assert numpy.abs(corners - PIXELS[0]).max() < 32


def test_without_a_variable_the_cache_is_below_home(monkeypatch, tmp_path):
    monkeypatch.delenv('D2L_GAN_DATA')
    monkeypatch.setenv('HOME', str(tmp_path))
    put_mnist(tmp_path / '.cache/d2l_gan')
    assert len(read_images('mnist')[0]) == 3
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
    put_mnist(tmp_path / 'xdg/d2l_gan', idx(PIXELS[:1]), idx([1]))
    assert len(read_images('mnist')[0]) == 1


def test_pokemon_is_a_tree_of_images(root):
    picture(root / 'pokemon/pokemon/Pikachu/1.png', (255, 255, 0))
    images, labels = read_images('pokemon')
    assert labels is None
    assert images.shape == (1, 3, 64, 64)
    assert the_colors(images) == [[255, 255, 0]]


# ----- files that are damaged


def flipped(content, at):
    """The bytes with one of them changed."""
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


PACKED = gzip.compress(IMAGES, mtime=0)


@pytest.mark.parametrize(
    'content',
    [
        PACKED[:25],
        PACKED[:-3],
        flipped(PACKED, 0),
        flipped(PACKED, 10),
        flipped(PACKED, len(PACKED) - 6),  # in the checksum
        b'<html>Not found</html>',
    ],
    ids=range(6),
)
def test_a_broken_gzip_file(root, content):
    folder = put(root / 'mnist', train_images_idx3_ubyte__gz=content)
    put(folder, train_labels_idx1_ubyte=LABELS)
    with pytest.raises(
        ValueError,
        match=f'{folder}/train-images-idx3-ubyte.gz is damaged .*: remove it',
    ):
        read_images('mnist')


@pytest.mark.parametrize(
    'images, labels, message',
    [
        (LABELS, LABELS, 'images-.* begins with .*"00000801".*"00000803"'),
        (IMAGES, IMAGES, 'labels-.* begins with .*"00000803".*"00000801"'),
        (idx(PIXELS, (0, 0, 9, 3)), LABELS, 'images-.*"00000903"'),
        (b'', LABELS, 'images-.* begins with the bytes ""'),
        # After the header there must be 3 * 2 * 2 = 12 bytes.
        (IMAGES[:-1], LABELS, r'images-.* size 11 into shape \(3,2,2\)'),
        (IMAGES[:9], LABELS, 'images-.*buffer is smaller than requested'),
        (IMAGES + b'!', LABELS, r'images-.* size 13 into shape \(3,2,2\)'),
        (IMAGES, LABELS[:-2], r'labels-.* size 1 into shape \(3,\)'),
        (IMAGES, idx([1, 2]), 'images-.* 3 images, .*labels-.* 2 labels'),
    ],
    ids=range(9),
)
def test_a_wrong_idx_file(root, images, labels, message):
    put_mnist(root, images, labels)
    with pytest.raises(
        ValueError, match=f'{root}/mnist/train-{message}.*: remove '
    ):
        read_images('mnist')


# ----- downloads


class Server(http.server.ThreadingHTTPServer):
    """Gives `files` by path, but of `broken` only the first half."""

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server_port}/'
        self.files, self.asked, self.broken = {}, [], False


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        half = len(content) // 2 if self.server.broken else len(content)
        self.wfile.write(content[:half])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    with Server() as it:
        thread = threading.Thread(target=it.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv('MXNET_GLUON_REPO', it.url)
        yield it
        it.shutdown()
        thread.join()


def sha1(content):
    return hashlib.sha1(content).hexdigest()


class Terminal(io.StringIO):
    """Where progress bars are shown."""

    def isatty(self):
        return True


def test_mnist_is_fetched_once(server, root, monkeypatch):
    checksums = {
        name.partition('-idx')[0]: sha1(content)
        for name, content in NORMAL.items()
    }
    monkeypatch.setitem(published.MNIST, 'mnist', checksums)
    for name, content in NORMAL.items():
        server.files[f'/gluon/dataset/mnist/{name}'] = content
    with contextlib.redirect_stderr(Terminal()) as terminal:
        for _ in range(2):
            images, labels = read_images('mnist')
            numpy.testing.assert_array_equal(images[:, 0], PIXELS)
            assert labels.tolist() == [7, 0, 9]
    assert server.asked == [f'/gluon/dataset/mnist/{name}' for name in NORMAL]
    assert {path.name: path.read_bytes() for path in files_in(root)} == NORMAL
    shown = terminal.getvalue()
    for content in NORMAL.values():
        assert f'| {len(content)}.0/{len(content)}.0 [' in shown
    # Others may read it, if they may read what else is written here.
    made = put(root, made=b'') / 'made'
    (fetched,) = root.rglob('train-images*')
    assert fetched.stat().st_mode == made.stat().st_mode


def test_without_a_terminal_no_bar_is_shown(server, root, capsys):
    server.files['/a.zip'] = b'content'
    published._fetch(
        f'{server.url}a.zip', root / 'a.zip', sha1(b'content'), root
    )
    assert capsys.readouterr() == ('', '')


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize(
    'name, oracle',
    [
        ('mnist', gluon.data.vision.MNIST),
        ('fashion_mnist', gluon.data.vision.FashionMNIST),
    ],
)
def test_the_files_are_those_of_gluon(
    name, oracle, train, monkeypatch, tmp_path
):
    monkeypatch.delenv('MXNET_GLUON_REPO')
    theirs, ours = [], []
    monkeypatch.setattr(
        'mxnet.gluon.data.vision.datasets.download',
        lambda url, path, sha1_hash: theirs.append((url, sha1_hash)),
    )
    with pytest.raises(TypeError):  # Nothing is there to be opened.
        oracle(tmp_path / 'theirs', train)
    monkeypatch.setattr(
        published,
        '_fetch',
        lambda url, path, sha1, folder: ours.append((url, sha1)),
    )
    with pytest.raises(FileNotFoundError):
        read_images(name, train=train)
    assert len(ours) == 2 and ours == theirs


@pytest.mark.parametrize(
    'name, train, address, checksum',
    [
        ('mnist', True, 'mnist/train', '6c95f4b05d2bf285e1bfb0e7960c31bd3b3f'),
        ('mnist', False, 'mnist/t10k', 'c3a25af1f52dad7f726cce8cacb138654b76'),
        ('fashion_mnist', True, 'fashion-mnist/train', '0cf37b0d40ed5169c6b3'),
    ],
)
def test_a_file_with_another_checksum_is_not_kept(
    server, root, name, train, address, checksum
):
    address = f'/gluon/dataset/{address}-images-idx3-ubyte.gz'
    server.files[address] = PACKED
    with pytest.raises(
        OSError,
        match=f'{address} could not be fetched .*SHA-1 is {sha1(PACKED)}, '
        f'but must be {checksum}.*: try again, .* into {root}/{name} '
        r'\(.D2L_GAN_DATA\)$',
    ):
        read_images(name, train=train)
    assert server.asked == [address]
    assert files_in(root) == []


def test_a_download_that_breaks_off_leaves_nothing(server, root):
    server.files['/a.zip'] = content = bytes(range(256)) * 1000
    server.broken = True
    path = root / 'a.zip'
    with pytest.raises(OSError, match=r'/a\.zip could not be fetched'):
        published._fetch(f'{server.url}a.zip', path, sha1(content), root)
    assert list(root.iterdir()) == []
    # Nor does it harm what is there.
    path.write_bytes(b'old')
    with pytest.raises(OSError, match=r'/a\.zip could not be fetched'):
        published._fetch(f'{server.url}a.zip', path, sha1(content), root)
    assert path.read_bytes() == b'old'
    server.broken = False
    published._fetch(f'{server.url}a.zip', path, sha1(content), root)
    assert path.read_bytes() == content


def test_a_file_that_the_server_does_not_have(server, root):
    with pytest.raises(OSError, match=r'images-.*gz could not .*404'):
        read_images('fashion_mnist')
    assert files_in(root) == []


def test_a_server_that_is_not_there(root):
    with pytest.raises(
        OSError, match=r'127\.0\.0\.1:9/.* could not be fetched .*refused'
    ):
        read_images('mnist')
    assert files_in(root) == []


def test_a_folder_that_cannot_be_made(server, root):
    root.write_text('a file')
    with pytest.raises(
        OSError, match=f'could not be .*{re.escape(str(root))}'
    ):
        read_images('mnist')


def test_pokemon_is_fetched_and_unpacked(server, root, tmp_path, monkeypatch):
    made = picture(tmp_path / 'made.png', RED)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w') as archive:
        archive.write(made, 'pokemon/Bulbasaur/1.png')
        # Without its dots it is an image like another.
        archive.write(made, '../../../outside/2.png')
    content = packed.getvalue()
    server.files['/pokemon.zip'] = content
    monkeypatch.setitem(
        d2l.DATA_HUB, 'pokemon', (f'{server.url}pokemon.zip', sha1(content))
    )
    with contextlib.redirect_stderr(Terminal()) as terminal:
        for _ in range(2):
            images, _ = read_images('pokemon', 4)
            assert the_colors(images) == [[255, 0, 0]] * 2
    assert server.asked == ['/pokemon.zip']
    # Neither the archive nor a draft is left, and nothing lies elsewhere.
    assert sorted(files_in(tmp_path)) == [
        made,
        root / 'pokemon/outside/2.png',
        root / 'pokemon/pokemon/Bulbasaur/1.png',
    ]
    assert list(root.iterdir()) == [root / 'pokemon']
    shown = terminal.getvalue()
    assert f'| {len(content)}/{len(content)} [' in shown
    for task in ('Unpacking', 'Reading pokemon'):
        assert re.search(rf'{task}: 100%\|.*\| 2/2 \[', shown)


def test_a_half_fetched_pokemon_leaves_nothing(server, root, monkeypatch):
    server.files['/pokemon.zip'] = b'PK' * 1000
    server.broken = True
    monkeypatch.setitem(
        d2l.DATA_HUB, 'pokemon', (f'{server.url}pokemon.zip', '0' * 40)
    )
    with pytest.raises(
        OSError, match=f'pokemon.zip could not .* into {root}/pokemon \\('
    ):
        read_images('pokemon')
    assert list(root.iterdir()) == []


def test_d2l_knows_pokemon():
    url, checksum = POKEMON
    assert url.endswith('/pokemon.zip')
    assert checksum == 'c065c0e2593b8b161a2d7873e42418bf6a21106c'
