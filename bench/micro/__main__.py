"""python -m bench.micro [pytest options]"""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.exit(pytest.main(["-c", str(HERE / "pytest.ini"), str(HERE), *sys.argv[1:]]))
