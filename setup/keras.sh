#!/usr/bin/env bash
# Keras and TensorFlow for tests/keras, in an environment of their own: .venv-keras (1.7 GB, about a minute).
# Does nothing where it stands already.
source "$(dirname "$0")/common.sh"
install_wheels .venv-keras setup/requirements-keras.lock
