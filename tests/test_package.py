"""The package as others install and import it."""

import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def python(code, **options):
    return subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_the_import_of_the_readme_works_in_a_new_process(tmp_path):
    run = python(
        'from d2l_gan.train import update_D, update_G, train\n'
        'print(train.__module__)',
        cwd=tmp_path,
    )
    assert (run.returncode, run.stdout) == (0, 'd2l_gan.train\n'), run.stderr


@pytest.mark.parametrize(
    'version, cured', [('1.26.4', True), ('1.23.5', False)]
)
def test_numpy_bool_comes_back_where_it_is_gone(tmp_path, version, cured):
    # A NumPy that says it is new and has no `bool`, as 1.24 to 1.26 do.
    (tmp_path / 'numpy.py').write_text(f'__version__ = {version!r}\n')
    run = python(
        'import sys\n'
        f'sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n'
        'import d2l_gan, numpy\n'
        "print(getattr(numpy, 'bool', None) is bool)",
    )
    assert run.stdout == f'{cured}\n', run.stderr


def test_the_wheel_holds_what_it_needs(tmp_path):
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / 'd2l_gan', tmp_path / 'd2l_gan')
    subprocess.run(
        [sys.executable, 'setup.py', '--quiet', 'bdist_wheel'],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    (wheel,) = (tmp_path / 'dist').glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (scripts,) = (name for name in names if 'entry_points' in name)
        assert b'd2l-gan = d2l_gan.cli:main\n' in archive.read(scripts)
    for path in (ROOT / 'd2l_gan').rglob('*'):
        if path.is_file() and '__pycache__' not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names
    assert not any(name.startswith('tests') for name in names)


def test_code_and_layout_are_as_ruff_wants_them():
    for command in (['check'], ['format', '--check']):
        run = subprocess.run(
            [sys.executable, '-m', 'ruff', *command, ROOT],
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
