"""Images by name: the digits, files made here, and folders of them."""

import numpy
import PIL.Image
import pytest
from samples import RED, WHITE, picture, put, put_mnist, the_colors

from d2l_gan.data import load_images, read_images

# Data sets come from an empty folder, and none can be fetched.
pytestmark = pytest.mark.usefixtures('root')


# ----- the data sets


def test_digits_are_the_scans_of_scikit_learn():
    images, labels = read_images()
    assert (images.shape, images.dtype) == ((1797, 1, 8, 8), 'uint8')
    assert (labels.shape, labels.dtype) == ((1797,), 'int32')
    # The first row of its first image is 0 0 5 13 9 1 0 0, of 16; times
    # 15.9375 that is 0 0 79.7 207.2 143.4 15.9 0 0.
    assert images[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert (images.min(), images.max()) == (0, 255)
    assert len(numpy.unique(images)) == 17
    assert labels[:10].tolist() == list(range(10))


@pytest.mark.parametrize('size', [5, 16, 28, 64])
def test_digits_at_another_size(size):
    images, labels = read_images('digits', size)
    assert (images.shape, images.dtype) == ((1797, 1, size, size), 'uint8')
    assert labels.shape == (1797,)
    scan = PIL.Image.fromarray(read_images('digits')[0][1000, 0])
    scan = scan.resize((size, size), PIL.Image.Resampling.BICUBIC)
    numpy.testing.assert_array_equal(images[1000, 0], numpy.asarray(scan))
    # The curves of bicubic scaling leave 0..255, the pixels must not.
    X = numpy.concatenate(
        [X.asnumpy() for X, _ in load_images(500, 'digits', size)]
    )
    assert (X.min(), X.max()) == (-1, 1)


def test_the_environment_names_the_data_set(monkeypatch, root):
    monkeypatch.setenv('DATA', '')
    assert len(read_images()[0]) == 1797
    put_mnist(root)
    monkeypatch.setenv('DATA', 'mnist')
    assert len(read_images()[0]) == 3
    assert len(read_images('digits')[0]) == 1797


# ----- folders


def test_a_folder_is_searched_and_sorted(tmp_path):
    folder = tmp_path / 'art'
    picture(folder / 'b/1.PNG', RED)
    picture(folder / 'a/2.png', (0, 255, 0))
    picture(folder / 'c.jpeg', WHITE)
    picture(folder / 'b/.1.png', RED)
    picture(folder / '.trash/1.png', RED)
    put(folder, notes__txt=b'no image')
    images, labels = read_images(str(folder))
    assert labels is None
    assert (images.shape, images.dtype) == ((3, 3, 64, 64), 'uint8')
    assert the_colors(images) == [[0, 255, 0], [255, 0, 0], [255, 255, 255]]
    assert read_images(folder, 8)[0].shape == (3, 3, 8, 8)


def test_a_folder_of_grey_files_has_one_channel(tmp_path):
    picture(tmp_path / '1.png', 0, 'L')
    picture(tmp_path / '2.png', 1, '1')
    picture(tmp_path / '3.png', (100, 255), 'LA')
    picture(tmp_path / '4.jpg', 255, 'L')
    # 16 bits: 0x6450 is 100 * 256 + 80.
    picture(tmp_path / '5.png', 0x6450, 'I;16')
    images, _ = read_images(tmp_path, 4)
    assert the_colors(images) == [[0], [255], [100], [255], [100]]
    # One in colour gives all of them three.
    picture(tmp_path / '6.png', RED)
    images, _ = read_images(tmp_path, 4)
    assert the_colors(images) == [[0] * 3, [255] * 3, [100] * 3, [255] * 3,
                                  [100] * 3, [255, 0, 0]]  # fmt: skip


def test_what_is_transparent_is_white(tmp_path):
    picture(tmp_path / '1.png', (255, 0, 0, 0), 'RGBA')
    # 255 - 51 = 204 of 255 are white: 0.8 * 255 = 204.
    picture(tmp_path / '2.png', (255, 0, 0, 51), 'RGBA')
    picture(tmp_path / '3.png', (255, 0, 0, 255), 'RGBA')
    picture(tmp_path / '4.png', RED, transparency=RED)
    colors = the_colors(read_images(tmp_path, 2)[0])
    assert colors == [[255] * 3, [255, 204, 204], [255, 0, 0], [255] * 3]


def test_photographs_are_turned_upright(tmp_path):
    pixels = numpy.zeros((1, 2), 'uint8')
    pixels[0, 1] = 255
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned to the left
    PIL.Image.fromarray(pixels).save(tmp_path / '1.png', exif=exif)
    images, _ = read_images(tmp_path, 2)
    assert images[0, 0].tolist() == [[0, 0], [255, 255]]


# ----- bad input


@pytest.mark.parametrize('size', [0, -8])
@pytest.mark.parametrize('name', ['digits', '.'])
def test_a_size_below_one(size, name):
    with pytest.raises(ValueError, match=f'size is {size}, but must be'):
        read_images(name, size)


def test_a_batch_size_below_one():
    with pytest.raises(ValueError, match='batch_size is 0, but must be'):
        load_images(0)


def test_a_test_set_where_there_is_none():
    with pytest.raises(ValueError, match="'digits' has no test set, only mni"):
        read_images('digits', train=False)


@pytest.mark.parametrize(
    'name, meant',
    [
        ('minst', 'mnist'),
        ('MNIST', 'mnist'),
        ('Fashion-MNIST', 'fashion_mnist'),
        ('digit', 'digits'),
        ('pokémon', 'pokemon'),
    ],
)
def test_an_unknown_name(name, meant):
    with pytest.raises(
        FileNotFoundError,
        match=f"{name!r} is neither .*fashion_mnist.*mean '{meant}'",
    ):
        read_images(name)


def test_a_missing_folder(tmp_path):
    path = tmp_path / 'gone'
    with pytest.raises(
        FileNotFoundError, match=f'{path}.* is neither .*: check its path'
    ):
        read_images(path)


def test_a_folder_without_images(tmp_path):
    put(tmp_path / 'texts', a__txt=b'a')
    with pytest.raises(ValueError, match=f'{tmp_path} holds no images: .*png'):
        read_images(tmp_path)


def test_files_that_are_no_images(tmp_path):
    for i in range(20):
        picture(tmp_path / f'{i}.png', RED)
    broken = put(tmp_path, text__png=b'Dear reader,') / 'text.png'
    cannot = 'cannot be read as an image .*: remove it'
    with pytest.raises(ValueError, match=f'{broken} {cannot}'):
        read_images(tmp_path)
    broken.unlink()
    short = tmp_path / '7.png'
    short.write_bytes(short.read_bytes()[:50])
    with pytest.raises(ValueError, match=f'{short} {cannot}'):
        read_images(tmp_path)
