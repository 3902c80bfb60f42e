"""Writes the model repository that Triton is started on: one model for every slot, all of them the same code.

python -m harden.triton.repository DIRECTORY        the slots are those of HARDEN_TRITON__SLOTS
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from string import Template

from harden.domain.errors import SetupError
from harden.triton.config import TritonConfig

TEMPLATE = Path(__file__).with_name("config.pbtxt.template")
MODEL_VERSION = "1"
EXIT_SETUP = 2
# Triton's Python backend looks for this class in this file.
MODEL_FILE = "from harden.triton.model import TritonPythonModel\n\n__all__ = ['TritonPythonModel']\n"


def write_repository(directory: Path, slots: Sequence[str]) -> None:
    """Leaves alone what is there under other names."""
    template = Template(TEMPLATE.read_text())
    for slot in slots:
        model = directory / slot
        (model / MODEL_VERSION).mkdir(parents=True, exist_ok=True)
        (model / "config.pbtxt").write_text(template.substitute(slot=slot))
        (model / MODEL_VERSION / "model.py").write_text(MODEL_FILE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    try:
        slots = TritonConfig().triton.slots
    except SetupError as error:
        parser.exit(EXIT_SETUP, f"{error}\n")
    write_repository(arguments.directory, slots)


if __name__ == "__main__":
    main()
