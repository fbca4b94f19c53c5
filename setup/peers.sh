#!/usr/bin/env bash
# What `make bench-peers` compares with, beside Spark and Keras (setup/spark.sh 4, setup/keras.sh): Daft, Ray Data,
# OpenCV, scikit-learn, and matplotlib for the figures, in an environment of their own: .venv-peers (1.4 GB, a minute
# and a half). Does nothing where it stands already.
source "$(dirname "$0")/common.sh"
install_packages setup/apt-packages-peers.txt
install_wheels .venv-peers setup/requirements-peers.lock
