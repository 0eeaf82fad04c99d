"""Builds the real collector of builder.yaml once, keeps it outside the repository, and prints the binary's path.

    python tests/collector/build.py            build, or reuse what an equal recipe built before
    python tests/collector/build.py --cached   only look; exit status 1 when there is none

The builder's own `go mod tidy` also resolves modules that only foreign tests or other systems need, and some of those
are not to be had. So the builder writes the sources, this file writes go.mod, and `go build` resolves what it needs.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RECIPE = Path(__file__).with_name("builder.yaml")
BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.165.0"
GENERATED_NEEDS = (
    "go.opentelemetry.io/collector/otelcol v0.160.0",
    "go.opentelemetry.io/collector/confmap v1.66.0",
    "go.opentelemetry.io/collector/component v1.66.0",
)
"""What the generated main.go imports beside the components."""
GO_VERSION = "1.25.0"
MODULE = "hosts-mcp.test/collector"
BINARY = "otelcol-hosts-mcp"


class CannotBuild(Exception):
    """Why there is no collector, in words for a skip message."""


def cache_directory() -> Path:
    """Where the binary of this recipe is, or will be: named by the recipe and by these steps."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(RECIPE.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    return base / "hosts-mcp" / "collector" / digest


def cached() -> Path | None:
    """The binary, if this recipe was built on this machine."""
    binary = cache_directory() / BINARY
    return binary if os.access(binary, os.X_OK) else None


def build() -> Path:
    """The binary, built if need be (about five minutes on two cores). Raises CannotBuild."""
    if found := cached():
        return found
    go = shutil.which("go")
    if go is None:
        raise CannotBuild("Go is not on this machine: install it (https://go.dev/dl/) and run `make collector`.")
    target = cache_directory()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="collector-", dir=target.parent) as room:
        work = Path(room)
        builder = _install_builder(go, work / "tools")
        _write_sources(builder, work / "src")
        _run([go, "build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-o", str(work / BINARY), "."], work / "src")
        target.mkdir(exist_ok=True)
        (work / BINARY).replace(target / BINARY)
    return target / BINARY


def _install_builder(go: str, directory: Path) -> Path:
    directory.mkdir()
    _run([go, "install", BUILDER], directory, GOBIN=str(directory))
    return directory / "builder"


def _write_sources(builder: Path, directory: Path) -> None:
    directory.mkdir()
    config = directory.parent / "builder.yaml"
    config.write_text(RECIPE.read_text().replace("dist:\n", f"dist:\n  module: {MODULE}\n  output_path: {directory}\n"))
    _run([str(builder), f"--config={config}", "--skip-compilation", "--skip-get-modules"], directory.parent)
    (directory / "go.mod").write_text(go_mod(RECIPE.read_text()))


def go_mod(recipe: str) -> str:
    """A go.mod that asks for exactly the recipe's modules."""
    modules = [*re.findall(r"gomod: (\S+ \S+)", recipe), *GENERATED_NEEDS]
    requires = "".join(f"\t{m}\n" for m in sorted(modules))
    return f"module {MODULE}\n\ngo {GO_VERSION}\n\nrequire (\n{requires})\n"


def _run(command: list[str], directory: Path, **environment: str) -> None:
    print("+", " ".join(Path(c).name if c.startswith("/") else c for c in command), file=sys.stderr)
    done = subprocess.run(command, cwd=directory, env=os.environ | environment, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise CannotBuild(f"`{Path(command[0]).name} {command[1]}` ended with status {done.returncode}:\n{last}")


def main(arguments: list[str]) -> int:
    try:
        binary = cached() if "--cached" in arguments else build()
    except CannotBuild as reason:
        print(f"No collector: {reason}", file=sys.stderr)
        return 1
    if binary is None:
        print("No collector built yet: run `make collector` (about five minutes, needs Go).", file=sys.stderr)
        return 1
    print(binary)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
