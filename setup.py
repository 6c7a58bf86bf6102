"""The native kernel. How it is built depends on the Python that it is built for.

Wheels of the stable ABI serve every Python from 3.11 on. Free-threaded Python has no
stable ABI: the kernel is built for the one version, and says that it needs no GIL.
"""

import sysconfig

from setuptools import Extension, setup

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
HEADERS = ["bytes", "index", "loops", "numbers", "paths", "shapes"]
HEADERS += ["path_avx2", "path_neon", "path_scalar", "path_sse2"]

kernel = Extension(
    "pretrained_embed.kernel._kernel",
    ["pretrained_embed/kernel/_kernel.c"],
    depends=[f"pretrained_embed/kernel/_{name}.h" for name in HEADERS],
    define_macros=[] if FREE_THREADED else [("Py_LIMITED_API", "0x030B0000")],
    py_limited_api=not FREE_THREADED,
    # without a C compiler the package installs, and kernel/_reference.py does the work
    optional=True,
)

setup(
    ext_modules=[kernel],
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
