"""Compiles the kernels of `ops/` when the package is installed; everything else is in pyproject.toml."""

import runpy
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent


class BuildKernels(build_ext):
    """Puts the kernels where the package will be: beside its sources when they are used in place."""

    def run(self) -> None:
        """Build what can be built."""
        # By its path: importing the package would import torch, which is not there yet.
        build = runpy.run_path(str(ROOT / "ops" / "build.py"), run_name="ops.build")["build"]
        in_place = self.inplace or self.editable_mode
        build((ROOT if in_place else Path(self.build_lib)) / "ops" / "compiled")

    def get_outputs(self) -> list[str]:
        """Nothing that setuptools has to look after."""
        return []

    def get_output_mapping(self) -> dict[str, str]:
        """As `get_outputs`."""
        return {}


# Named so that setuptools knows that the package is not the same on every platform.
setup(ext_modules=[Extension("ops.compiled", sources=[])], cmdclass={"build_ext": BuildKernels})
