"""``python -m pgharness.cli``, where the command is not on PATH."""

import sys

from pgharness.cli.main import main

sys.exit(main())
