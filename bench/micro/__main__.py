"""python -m bench.micro [pytest options]"""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    options = ["-c", str(HERE / "pytest.ini"), "--rootdir", str(HERE.parent.parent), str(HERE)]
    sys.exit(pytest.main([*options, *sys.argv[1:]]))
