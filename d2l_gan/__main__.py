"""`python -m d2l_gan`: the same as `d2l-gan`."""

import sys

from d2l_gan.app.cli import main

if __name__ == '__main__':
    sys.exit(main())
