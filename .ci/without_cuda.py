"""Let PyTorch from PyPI be imported without CUDA's gigabytes, which no test on a CPU calls.

    python -m pip install --no-deps torch==2.6.0
    python .ci/without_cuda.py

Libraries that it is linked with and that are not there are replaced by ones of the same names whose
functions fail, and its requirements of them are struck out. It needs a C compiler and ``nm``.
"""

import re
import subprocess
from collections import defaultdict
from importlib.metadata import distribution
from pathlib import Path
from tempfile import NamedTemporaryFile

VENDOR = r"cu[A-Z]|cu(da|dnn|blas|sparse|fft|rand|solver|pti)|nccl|nvrtc|nvJit|nvtx|nvshmem"
"""How functions begin that have no version, from which their library could be told."""


def printed(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def missing(libraries: list[Path]) -> set[str]:
    """Return the names of libraries that are asked for and not found."""
    return set(re.findall(r"(\S+) => not found", "".join(printed("ldd", so) for so in libraries)))


def wanted(libraries: list[Path]) -> dict[str, set[str]]:
    """Return the functions asked for, by the version that they are asked for in, or ''."""
    functions = defaultdict(set)
    for so in libraries:
        listed = printed("nm", "-D", "--undefined-only", so)
        for function, version in re.findall(r" U (\w+)(?:@(\S+))?$", listed, re.M):
            if version or re.match(VENDOR, function):
                functions[version].add(function)
    return functions


def stand_in(library: Path, functions: set[str], versioned: bool) -> None:
    """Build a library whose functions return 100: no device."""
    source = "".join(f"int {function}(void) {{ return 100; }}\n" for function in sorted(functions))
    command = ["gcc", "-shared", "-w", "-x", "c", "-", f"-Wl,-soname,{library.name}"]
    with NamedTemporaryFile("w", suffix=".map") as script:
        script.write(f"{library.name} {{ global: *; }};")
        script.flush()
        command += [f"-Wl,--version-script,{script.name}"] * versioned
        subprocess.run([*command, "-o", library], input=source, text=True, check=True)


def main() -> None:
    folder = Path(str(distribution("torch").locate_file("torch/lib")))
    libraries = sorted(folder.glob("*.so*"))
    functions = wanted(libraries)
    plain = functions.pop("", set())
    for name in sorted(missing(libraries)):
        stand_in(folder / name, functions.get(name, plain), name in functions)
    (metadata,) = folder.parents[1].glob("torch-*.dist-info/METADATA")
    kept = re.sub(r"^Requires-Dist: (nvidia|triton|cuda).*\n", "", metadata.read_text(), flags=re.M)
    metadata.write_text(kept)


if __name__ == "__main__":
    main()
