"""The dependencies audited: `make audit-dependencies`, which CI runs.

Belongs here: what is installed against what is pinned, licences, withdrawn releases, known vulnerabilities, and for each
check that could not be made here the sentence that says so. Does not: the versions themselves (`constraints.txt`).
"""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
OURS = "phorest-ghl"
_TOOLS = frozenset({"pip", "setuptools", "wheel"})
"""What makes an environment: it is there before the constraints are read."""
_FREE = re.compile(
    r"\b(MIT|Apache|BSD|0BSD|ISC|ISCL|PSF|Python Software Foundation|MPL|Mozilla|LGPL|Lesser General Public|Unlicense|Zlib"
    r"|CC0)",
    re.IGNORECASE,
)
"""Licences under which a library may be used by a product of any licence, unchanged."""
_TIMEOUT_S = 300


def canonical(name: str) -> str:
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(text: str) -> Mapping[str, str]:
    """The constraints: version by canonical name. Raises ValueError for a line that pins nothing exactly."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        wanted = line.partition("#")[0].partition(";")[0].strip()
        if not wanted:
            continue
        name, equals, version = wanted.partition("==")
        if not equals or "*" in version:
            raise ValueError(f"constraints.txt pins nothing exactly in the line {line!r}.")
        found[canonical(name.strip())] = version.strip()
    return found


def ours(installed: Iterable[Distribution]) -> list[Distribution]:
    """What is installed because we, our tests or our benchmarks need it, directly or not; somebody's own tools are not."""
    by_name = {canonical(one.metadata["Name"]): one for one in installed}
    found, ahead = set[str](), [OURS]
    while ahead:
        name = ahead.pop()
        if name in by_name and name not in found:
            found.add(name)
            ahead += [canonical(re.split(r"[^\w.-]", wanted, maxsplit=1)[0]) for wanted in by_name[name].requires or ()]
    return [by_name[name] for name in sorted(found - {OURS})]


def licence(one: Distribution) -> str:
    """What a distribution says of its licence, wherever it says it."""
    metadata = one.metadata
    classified = [value for value in metadata.get_all("Classifier") or [] if value.startswith("License ::")]
    written = [value[:100] for value in metadata.get_all("License") or []]
    said = (*(metadata.get_all("License-Expression") or []), *classified, *written)
    return "; ".join(value for value in said if value)


def disagreements(installed: Iterable[Distribution], versions: Mapping[str, str]) -> list[str]:
    """What is installed and is not what the constraints say, came from elsewhere, or is under a licence nobody looked at."""
    found: list[str] = []
    for one in installed:
        name = canonical(one.metadata["Name"])
        if name in _TOOLS:
            continue
        wanted = versions.get(name)
        if wanted is None:
            found.append(f"{name} {one.version} is installed and not pinned; add it to constraints.txt.")
        elif wanted != one.version:
            found.append(f"{name} {one.version} is installed, constraints.txt says {wanted}; run make setup.")
        if one.read_text("direct_url.json") is not None:
            found.append(f"{name} was installed from an address or a folder and not from the index.")
        if not _FREE.search(licence(one)):
            found.append(f"{name} is under {licence(one) or 'no stated licence'}; look at it before it stays.")
    return sorted(found)


def withdrawn() -> tuple[list[str], str | None]:
    """Pinned releases that their authors have withdrawn, and why the index could not be asked, if so."""
    if importlib.util.find_spec("pip") is None:
        return [], "this environment has no pip"
    asked = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--disable-pip-version-check"]
    done = _run("pip", *asked, "--requirement", str(CONSTRAINTS))
    found = re.findall(r"yanked version: '([\w.-]+)' candidate \(version ([^ )]+)", done.stderr)
    if done.returncode and not found:
        return [], "the package index did not answer for every pinned release"
    return [f"{name} {version} was withdrawn by its authors; pin another release." for name, version in found], None


def vulnerable() -> tuple[list[str], str | None]:
    """Pinned releases with known vulnerabilities, and why that could not be looked up, if so."""
    if importlib.util.find_spec("pip_audit") is None:
        return [], "pip-audit is not installed; `pip install pip-audit` where its advisory database can be reached"
    done = _run(
        "pip_audit", "--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip", "--progress-spinner", "off"
    )
    rows = [line for line in done.stdout.splitlines() if re.match(r"[\w.-]+ +\d\S* +(?:PYSEC|GHSA|CVE)-", line)]
    if done.returncode and not rows:
        return [], "pip-audit could not reach its advisory database"
    return [f"{' '.join(row.split()[:3])}: known vulnerability; pin a release without it." for row in rows], None


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )


def main() -> int:
    """Audit; 1 where something is wrong. What could not be looked up is said and is no failure."""
    problems = disagreements(ours(distributions()), pinned(CONSTRAINTS.read_text(encoding="utf-8")))
    for what, look in (("withdrawn releases", withdrawn), ("known vulnerabilities", vulnerable)):
        found, skipped = look()
        problems += found
        if skipped:
            sys.stdout.write(f"Not checked: {what}, for {skipped}.\n")
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    sys.stdout.write(f"Dependencies: {len(problems)} to look at.\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
