"""`python -m camtrap_tf …`: the same as `camtrap …`."""

import sys

from camtrap_tf.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
