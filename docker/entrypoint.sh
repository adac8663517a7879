#!/bin/sh
# Run a command with ROS and dlcv set up.
set -e
. /opt/ros/jazzy/setup.sh
. /ws/install/setup.sh
exec "$@"
