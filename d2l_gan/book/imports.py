"""Finds what outputs depend on: they are made anew when it changes."""

import hashlib
import importlib.metadata
import importlib.util
import json
import re

__all__ = ['digest', 'imported_files']


def digest(*facts):
    """A digest of facts, and of the versions of all installed packages."""
    packages = importlib.metadata.distributions()
    versions = sorted(f'{dist.name}=={dist.version}' for dist in packages)
    return hashlib.sha256(json.dumps([facts, versions]).encode()).hexdigest()


def imported_files(library, code):
    """The files of a library that code imports, directly or through others.

    Whatever looks like an import or a module's name counts, in strings too,
    for they may be programs that other processes run, and even in comments:
    better too many files than one too few.

    Args:
        library: the folder of a package.
        code: Python, or what IPython takes for it.

    Returns:
        list: paths, sorted.
    """
    pattern = re.compile(
        rf'from\s+(\.[\w.]*|{library.name}[\w.]*)\s+import\s+'
        rf'(?=\(?([\w\s,]+))|\b({library.name}(?:\.\w+)*)'
    )
    files, waiting = set(), [('', code)]
    while waiting:
        package, code = waiting.pop()
        for module, members, mentioned in pattern.findall(code):
            names = [mentioned]
            if module:
                module = importlib.util.resolve_name(module, package)
                names = [f'{module}.{m}' for m in re.findall(r'\w+', members)]
            for file in {f for name in names for f in _files(library, name)}:
                if file not in files:
                    files.add(file)
                    folder = file.parent.relative_to(library.parent)
                    text = file.read_text(encoding='utf-8')
                    waiting.append(('.'.join(folder.parts), text))
    return sorted(files)


def _files(library, name):
    """Those of the packages and the module that a dotted name stands for.

    What a package has for pages lies beside its `__init__.py`.
    """
    path = library.parent
    for part in name.split('.'):
        path = path / part
        for pattern in ('*.css', '*.html', '*.js'):
            yield from path.glob(pattern)
        for file in (path / '__init__.py', path.with_suffix('.py')):
            if file.is_file():
                yield file
