"""The package as others install and import it."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from processes import ROOT, python

from d2l_gan.book.read import read_book


def test_the_import_of_the_readme_works_in_a_new_process(tmp_path):
    status, out, err = python(
        '-c',
        'from d2l_gan.train import update_D, update_G, train\n'
        'print(train.__module__)',
        cwd=tmp_path,
        PYTHONPATH='',  # as installed
    )
    assert (status, out) == (0, 'd2l_gan.train\n'), err


@pytest.mark.parametrize(
    'version, cured', [('1.26.4', True), ('1.23.5', False)]
)
def test_numpy_bool_comes_back_where_it_is_gone(tmp_path, version, cured):
    # A NumPy that says it is new and has no `bool`, as 1.24 to 1.26 do.
    (tmp_path / 'numpy.py').write_text(f'__version__ = {version!r}\n')
    _, out, err = python(
        '-c',
        "import d2l_gan, numpy\nprint(getattr(numpy, 'bool', None) is bool)",
        PYTHONPATH=f'{tmp_path}:{ROOT}',
    )
    assert out == f'{cured}\n', err


def test_the_top_is_made_from_chapters_and_folders_by_hand():
    package, book = ROOT / 'd2l_gan', read_book(ROOT / 'chapters')
    made = {f'{module}.py' for module in book.modules.values()}
    assert {path.name for path in package.glob('*.py')} == {
        '__init__.py', '__main__.py', *made
    }  # fmt: skip
    for path in package.rglob('*.py'):
        says_so = 'Made from that chapter by `make lib`' in path.read_text()
        is_made = path.parent == package and path.name in made
        assert says_so == (is_made or path.name == 'export.py'), path


def test_the_readme_s_table_of_chapters_is_true():
    book = read_book(ROOT / 'chapters')
    rows = re.findall(
        r'^\| ([^|]+) \| [^|]+ \| `d2l_gan\.(\w+)` \|$',
        (ROOT / 'README.md').read_text(),
        re.MULTILINE,
    )
    assert rows == [
        (chapter.title, book.modules[chapter.name])
        for chapter in book.chapters
        if chapter.name in book.modules  # not the page for teachers
    ]


def test_the_links_of_the_readme_and_the_docs_lead_to_files():
    for page in (ROOT / 'README.md', *(ROOT / 'docs').iterdir()):
        links = re.findall(r'\]\((?!https?:)([^)#\s]+)', page.read_text())
        assert links or page.name != 'README.md'
        for link in links:
            assert (page.parent / link).is_file(), f'{page.name}: {link}'


def test_the_wheel_holds_what_it_needs(tmp_path):
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / 'd2l_gan', tmp_path / 'd2l_gan')
    status, _, err = python('setup.py', '--quiet', 'bdist_wheel', cwd=tmp_path)
    assert status == 0, err
    (wheel,) = (tmp_path / 'dist').glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (scripts,) = (name for name in names if 'entry_points' in name)
        assert b'd2l-gan = d2l_gan.app.cli:main\n' in archive.read(scripts)
    for path in (ROOT / 'd2l_gan').rglob('*'):
        if path.is_file() and '__pycache__' not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names
    assert not any(name.startswith('tests') for name in names)


def test_another_build_of_mxnet_can_be_asked_for(tmp_path):
    for name in ('setup.py', 'pyproject.toml', 'README.md'):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / 'd2l_gan').mkdir()
    for build, wanted in (('', 'mxnet'), ('mxnet-cu117', 'mxnet-cu117')):
        status, _, err = python(
            'setup.py', '--quiet', 'egg_info', cwd=tmp_path,
            D2L_GAN_MXNET=build,
        )  # fmt: skip
        assert status == 0, err
        needs = (tmp_path / 'd2l_gan.egg-info/requires.txt').read_text()
        assert re.findall('^mxnet.*', needs, re.M) == [f'{wanted}==1.9.1']


UV = """#!/bin/sh
case $1 in
    venv) rm -rf .venv; mkdir -p .venv/bin
          printf '#!/bin/sh\\n' > .venv/bin/python
          chmod +x .venv/bin/python ;;
    pip) echo "$*" >> log ;;
esac
"""


def test_the_build_of_mxnet_that_is_there_stays(tmp_path):
    version = f'python{sys.version_info[0]}.{sys.version_info[1]}'
    script, lock, log = (
        tmp_path / name
        for name in (
            'requirements/install.sh', f'requirements/{version}.txt', 'log'
        )
    )  # fmt: skip
    script.parent.mkdir()
    for path in (script, lock):
        shutil.copy(ROOT / path.relative_to(tmp_path), path)
    (tmp_path / 'uv').write_text(UV)
    (tmp_path / 'uv').chmod(0o755)
    (tmp_path / 'python3.11').symlink_to(sys.executable)

    def installs(build):
        """Ask for a build; gives whether anything was installed."""
        log.write_text('')
        told = subprocess.run(
            ['sh', script],
            check=True,
            env={
                'PATH': f'{tmp_path}:{os.environ["PATH"]}',
                'D2L_GAN_MXNET': build,
            },
            stderr=subprocess.PIPE,
            text=True,
        ).stderr
        installed = log.read_text() != ''
        assert re.match('Installing .*' if installed else '$', told)
        assert told.count('\n') == installed
        return installed

    def found():
        stamp = tmp_path / f'.venv/{version}.txt'
        return re.findall('^mxnet.*==', stamp.read_text(), re.M)

    assert installs('') and found() == ['mxnet==']
    assert not installs('') and not installs('mxnet')
    assert installs('mxnet-cu117') and found() == ['mxnet-cu117==']
    assert not installs('') and not installs('mxnet-cu117')
    with lock.open('a') as file:
        file.write('# Another one')
    assert installs('') and found() == ['mxnet-cu117==']
    assert installs('mxnet') and found() == ['mxnet==']


def test_code_and_layout_are_as_ruff_wants_them():
    for command in (['check'], ['format', '--check']):
        status, out, err = python('-m', 'ruff', *command, ROOT)
        assert status == 0, out + err
