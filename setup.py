"""Installs `d2l_gan`; the book's and the tests' tools are extras."""

import os
import pathlib

from setuptools import find_packages, setup

setup(
    name='d2l_gan',
    version='0.1.0',
    description='Generative adversarial networks on Apache MXNet: '
    'a textbook chapter as working software',
    long_description=pathlib.Path(__file__)
    .with_name('README.md')
    .read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='MIT',
    packages=find_packages(include=['d2l_gan', 'd2l_gan.*']),
    package_data={
        'd2l_gan.animator': ['*.css', '*.js'],
        'd2l_gan.book': ['matplotlibrc', 'static/*'],
        'd2l_gan.demo': ['*.css', '*.html', '*.js'],
    },
    # MXNet 1.9.1 is the last release there will ever be; it has wheels
    # for these versions and runs on NumPy 1 only.
    python_requires='>=3.9,<3.13',
    install_requires=[
        # Its builds for GPUs have other names, and lie in the same folder.
        f'{os.environ.get("D2L_GAN_MXNET") or "mxnet"}==1.9.1',
        'numpy<2',
        # Later ones pin a NumPy of 2022, and this one leaves it open.
        'd2l==0.17.0',
        # d2l 0.17.0 imports a name that IPython 9 dropped.
        'ipython<9',
        'joblib',
        'matplotlib',
        'pillow>=10.1',
        'pooch',
        'scikit-learn',
        'scipy',
        'tqdm',
        # MXNet imports distutils, which Python 3.12 took out.
        'setuptools; python_version >= "3.12"',
    ],
    entry_points={'console_scripts': ['d2l-gan = d2l_gan.app.cli:main']},
    extras_require={
        'book': [
            'ipykernel',
            'markdown-it-py>=3',
            'myst-nb',
            'nbclient',
            'nbformat',
            'pybtex',
            'sphinx',
            'sphinx-book-theme',
            'sphinx-copybutton',
            # A wheel with MathJax inside: the pages need no network.
            'sphinx-mathjax-offline==0.0.2',
        ],
        'test': [
            'pytest',
            # Pinned here too, since another release may format otherwise.
            'ruff==0.17.5',
            # Without it pip cannot install from this folder offline.
            'setuptools',
        ],
    },
    classifiers=[
        'Intended Audience :: Education',
        'License :: OSI Approved :: MIT License',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
