"""`python -m disttorch_launcher` is `disttorch-launch`."""

import sys

from disttorch_launcher.cli import main

sys.exit(main())
