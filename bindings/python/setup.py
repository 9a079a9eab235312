# SPDX-License-Identifier: MIT
"""The part of the build that pyproject.toml cannot say: declarations from the headers, and the C library."""
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ffi_build import library, make  # noqa: E402

HERE = Path(__file__).resolve().parent
ABI = "cp310"


class BuildPy(build_py):
    """Adds the modules that are generated."""

    def run(self):
        super().run()
        folder = HERE / "src" / "smtpfilter" if self.editable_mode else Path(self.build_lib, "smtpfilter")
        make.python_files(library.find(), folder)


class BuildExt(build_ext):
    """Writes the C of the extension, and compiles the library's sources beside it where there are some."""

    def build_extension(self, ext):
        found = library.find()
        generated = make.c_file(found, Path(self.build_temp, "_ffi.c"))
        hosts = library.host_options()
        ext.sources = [str(generated), os.path.relpath(HERE / "glue.c"), os.path.relpath(hosts)]
        ext.extra_compile_args = [*found.cflags, f"-I{HERE}", f"-I{hosts.parent}"]
        ext.extra_link_args = list(found.libs)
        if found.sources:
            ext.extra_objects = self.objects(found)
        super().build_extension(ext)

    def objects(self, found):
        def compile_one(source):
            folder = os.path.join(self.build_temp, "lib", source.parent.name)
            flags = ["-std=c11", "-fvisibility=hidden", "-w", *found.cflags]
            return self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)[0]

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(pool.map(compile_one, found.sources))


class Sdist(sdist):
    """Carries the C library's sources, so that a wheel can be built anywhere."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        top = library.tree()
        if top:
            for part in ("include", "src"):
                shutil.copytree(top / part, Path(base_dir, "csrc", part), dirs_exist_ok=True)
            shutil.copyfile(top / "LICENSE", Path(base_dir, "csrc", "LICENSE"))
            rows = library.host_options()
            Path(base_dir, "csrc", "examples", "common").mkdir(parents=True, exist_ok=True)
            for path in (rows, rows.with_suffix(".h")):
                shutil.copyfile(path, Path(base_dir, "csrc", "examples", "common", path.name))


setup(
    ext_modules=[Extension("smtpfilter._ffi", sources=[], py_limited_api=True)],
    cmdclass={"build_py": BuildPy, "build_ext": BuildExt, "sdist": Sdist},
    options={"bdist_wheel": {"py_limited_api": ABI}},
)
