"""Install dlcv as the ament_python package dlcv_bringup, or with pip."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'dlcv_bringup'
NODES = sorted(path.stem for path in Path('src/dlcv/ros/nodes').glob('[!_]*.py'))
JAZZY = (  # the wheels of ROS 2 Jazzy; where ROS is installed these are there already
    'ros-rclpy[fastrtps]==7.1.6',
    'ros-diagnostic-msgs==5.3.6',
    'ros-geometry-msgs==5.3.6',
    'ros-lifecycle-msgs==2.0.3',
    'ros-nav-msgs==5.3.6',
    'ros-rosgraph-msgs==2.0.3',
    'ros-sensor-msgs==5.3.6',
    'ros-std-srvs==5.3.6',
    'ros-stereo-msgs==5.3.6',
    'ros-visualization-msgs==5.3.6',
)
# what pip installs is a wheel, which gets its own `dlcv` from the entry point
WHEEL = bool({'bdist_wheel', 'dist_info', 'editable_wheel'} & set(sys.argv))
TEST = ('hypothesis', 'pytest<8.4', 'pytest-timeout')


def share(folder: str, *patterns: str) -> tuple[str, list[str]]:
    """Name the files of ``folder`` for ament's share tree."""
    files = sorted(str(path) for pattern in patterns for path in Path(folder).glob(pattern))
    return f'share/{NAME}/{folder}', files


setup(
    name=NAME,
    version='0.1.0',
    description='Learned visual odometry, depth, flow, features and relocalization for ROS 2',
    license='Apache-2.0',
    maintainer='the dlcv maintainers',
    maintainer_email='maintainers@example.org',
    python_requires='>=3.10',
    package_dir={'': 'src'},
    packages=find_packages('src'),
    package_data={
        'dlcv': [
            'py.typed',
            '**/*.css',
            '**/*.html',
            '**/*.jpg',
            '**/*.js',
            '**/*.md',
            '**/*.safetensors',
        ]
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        share('launch', '*.launch.py'),
        share('config', '*.yaml', '*.xml', '*.rviz', '*.json'),
        share('config/train', '*.yaml'),
        *([] if WHEEL else [('bin', ['tools/dlcv'])]),
    ],
    install_requires=[
        'numpy>=1.24',
        'opencv-python-headless>=4.8',
        'PyYAML>=6',
        'rich>=13',
        'safetensors>=0.4',
        'scipy>=1.10',
        'torch>=2.4',
    ],
    extras_require={
        'ros': list(JAZZY),
        'bags': ['rosbags>=0.11.9'],
        'train': ['lightning-fabric>=2.4', 'tensorboard'],
        'eval': ['rosbags>=0.11.9', 'jinja2', 'matplotlib'],
        'openvino': ['openvino>=2025.0'],
        'onnxruntime': ['onnx', 'onnxruntime>=1.18'],
        'tensorrt': ['onnx', 'tensorrt>=10'],
        'ray': ['ray>=2.40,<3'],
        'dev': [*TEST, 'import-linter', 'mypy<2', 'pre-commit', 'ruff', 'types-PyYAML'],
        'test': list(TEST),  # colcon test looks for this very name
    },
    zip_safe=False,
    entry_points={
        'console_scripts': [
            'dlcv = dlcv.cli.main:main',
            *(f'{node}_node = dlcv.ros.nodes.{node}:main' for node in NODES),
        ],
    },
)
