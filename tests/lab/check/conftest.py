"""What the tests of the checks share is in answers.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
