"""``python -m dlcv`` is ``dlcv``."""

import sys

from dlcv.cli.main import main

sys.exit(main())
