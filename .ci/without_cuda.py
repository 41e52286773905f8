"""Let PyTorch from PyPI be imported without CUDA's gigabytes, which no test on a CPU calls.

    python -m pip install --no-deps torch==2.6.0
    python .ci/without_cuda.py

Libraries that it is linked with and that are not there are replaced by ones of the same names whose
functions fail, and its requirements of them are struck out. It needs a C compiler and binutils.
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


def versions(libraries: list[Path]) -> dict[str, set[str]]:
    """Return the versions of functions asked for, by the library that should have them."""
    found = defaultdict(set)
    for so in libraries:
        listed = printed("objdump", "-p", so)
        for name, lines in re.findall(r"required from (\S+):\n((?: +0x.*\n)*)", listed):
            found[name].update(re.findall(r"(\S+)\n", lines))
    return found


def wanted(libraries: list[Path]) -> dict[str, set[str]]:
    """Return the functions asked for, by the version that they are asked for in, or ''."""
    functions = defaultdict(set)
    for so in libraries:
        listed = printed("nm", "-D", "--undefined-only", so)
        for function, version in re.findall(r" U (\w+)(?:@(\S+))?$", listed, re.M):
            if version or re.match(VENDOR, function):
                functions[version].add(function)
    return functions


def stand_in(library: Path, functions: dict[str, set[str]]) -> None:
    """Build a library whose functions, by version, return 100: no device."""
    names = sorted(set().union(*functions.values()))
    source = "".join(f"int {function}(void) {{ return 100; }}\n" for function in names)
    command = ["gcc", "-shared", "-w", "-x", "c", "-", f"-Wl,-soname,{library.name}"]
    with NamedTemporaryFile("w", suffix=".map") as script:
        for version in filter(None, functions):
            own = "".join(f"{name}; " for name in functions[version])
            script.write(f"{version} {{ {own}}};\n")
        script.flush()
        command += [f"-Wl,--version-script,{script.name}"] * ("" not in functions)
        subprocess.run([*command, "-o", library], input=source, text=True, check=True)


def main() -> None:
    folder = Path(str(distribution("torch").locate_file("torch/lib")))
    libraries = sorted(folder.glob("*.so*"))
    functions, asked = wanted(libraries), versions(libraries)
    for name in sorted(missing(libraries)):
        stand_in(folder / name, {version: functions[version] for version in asked[name] or {""}})
    (metadata,) = folder.parents[1].glob("torch-*.dist-info/METADATA")
    kept = re.sub(r"^Requires-Dist: (nvidia|triton|cuda).*\n", "", metadata.read_text(), flags=re.M)
    metadata.write_text(kept)


if __name__ == "__main__":
    main()
