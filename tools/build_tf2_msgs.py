"""Build tf2_msgs/TFMessage into this virtual environment with the generators of ROS's wheels.

/tf needs this one message, and the wheels leave it out. Its text is one line; the generators,
compilers' flags and type supports are those of the other message packages. Where ROS itself is
installed the message is there already and nothing is built.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PREFIX = Path(sys.prefix)
PACKAGE_XML = """\
<?xml version="1.0"?>
<package format="3">
  <name>tf2_msgs</name>
  <version>0.36.0</version>
  <description>The message of /tf.</description>
  <maintainer email="maintainers@example.org">the dlcv maintainers</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <depend>geometry_msgs</depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
CMAKE = """\
cmake_minimum_required(VERSION 3.16)
project(tf2_msgs)
find_package(ament_cmake REQUIRED)
find_package(geometry_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
rosidl_generate_interfaces(${PROJECT_NAME} msg/TFMessage.msg DEPENDENCIES geometry_msgs)
ament_package()
"""
MESSAGE = 'geometry_msgs/TransformStamped[] transforms\n'


def localise_exports() -> None:
    """Point the wheels' cmake exports at this Python: they name the one they were built with."""
    here = f'{sysconfig.get_path("include")};{_numpy_include()}'
    for path in PREFIX.glob('share/*/cmake/*rosidl_generator_pyExport.cmake'):
        text = path.read_text()
        fixed = re.sub(r'(?:;?/opt/python/[^;"]+)+', f';{here}', text)
        if fixed != text:
            path.write_text(fixed.replace('";', '"'))


def _numpy_include() -> str:
    import numpy as np

    return np.get_include()


def build(folder: Path) -> None:
    """Write the package, build it and install it into the environment."""
    (folder / 'msg').mkdir()
    (folder / 'package.xml').write_text(PACKAGE_XML)
    (folder / 'CMakeLists.txt').write_text(CMAKE)
    (folder / 'msg/TFMessage.msg').write_text(MESSAGE)
    env = dict(os.environ, AMENT_PREFIX_PATH=str(PREFIX), CMAKE_PREFIX_PATH=str(PREFIX))
    env['PATH'] = f'{PREFIX / "bin"}{os.pathsep}{env["PATH"]}'
    configure = [
        'cmake', '-S', str(folder), '-B', str(folder / 'build'), '-DCMAKE_BUILD_TYPE=Release',
        '-DBUILD_TESTING=OFF', f'-DCMAKE_INSTALL_PREFIX={PREFIX}',
        f'-DPython3_EXECUTABLE={sys.executable}', '-DPython3_FIND_VIRTUALENV=ONLY', '-Wno-dev',
    ]  # fmt: skip
    for command in (
        configure,
        ['cmake', '--build', str(folder / 'build'), '--parallel', str(os.cpu_count() or 1)],
        ['cmake', '--install', str(folder / 'build')],
    ):
        subprocess.run(command, env=env, check=True)


def main() -> int:
    """Build the message unless it is there; return an exit code."""
    if importlib.util.find_spec('tf2_msgs'):
        return 0
    localise_exports()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
    check = 'from tf2_msgs.msg import TFMessage; TFMessage()'
    return subprocess.run([sys.executable, '-c', check], check=False).returncode


if __name__ == '__main__':
    sys.exit(main())
