import pytest

from d2l_gan.support.files import replacing, write_text


def test_the_new_file_replaces_the_old_one(tmp_path):
    path = tmp_path / 'deep' / 'a.txt'
    write_text(path, 'one')
    write_text(path, 'zwölf')
    assert path.read_bytes() == 'zwölf'.encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_after_an_error_the_old_file_is_whole(tmp_path, error):
    path = tmp_path / 'a.txt'
    write_text(path, 'old')
    with pytest.raises(error), replacing(path) as draft:
        draft.write_text('ha')
        raise error
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]
