"""Run the commands in the console blocks of a page, and write down what they print.

    python docs/record.py docs/first_minute.md

Every ``$ mine-lightning ...`` is run in a folder that has ``examples`` and ``configs``.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def recorded(command: str, folder: Path) -> str:
    """Run a command and return it with what it printed."""
    print(command, flush=True)
    _, *arguments = shlex.split(command)
    quiet = ["--quiet"] if arguments[0] == "estimate" else []
    line = [sys.executable, "-m", "mine_lightning", *arguments, *quiet]
    run = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if "Traceback" in run.stderr:
        raise RuntimeError(run.stderr)
    return f"$ {command}\n{run.stdout or run.stderr}"


def main() -> None:
    for name in sys.argv[1:]:
        page = Path(name)
        with tempfile.TemporaryDirectory() as folder:
            for part in ("examples", "configs"):
                (Path(folder) / part).symlink_to(ROOT / part)

            def run_again(block: re.Match[str], folder: str = folder) -> str:
                commands = re.findall(r"^\$ (.*)$", block[1], re.M)
                screens = "".join(recorded(command, Path(folder)) for command in commands)
                return f"```console\n{screens}```"

            page.write_text(BLOCK.sub(run_again, page.read_text()))


if __name__ == "__main__":
    main()
