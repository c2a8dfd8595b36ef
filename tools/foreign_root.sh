#!/bin/sh
# Makes a folder with a Python for another architecture, with numpy and llvmlite, of Debian's packages
# and of wheels. Nothing is installed into the system, and no root is needed.
#
#   tools/foreign_root.sh FOLDER [DEBIAN_ARCHITECTURE] [WHEEL_ARCHITECTURE]
#   tools/foreign_root.sh build/arm64 arm64 aarch64
#   python tools/compare_machines.py build/arm64
set -eu
root=$(mkdir -p "$1" && cd "$1" && pwd)
debian=${2:-arm64}
wheels=${3:-aarch64}
python=${PYTHON:-python3}

apt="$root/apt"
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/packages" "$root/site"
touch "$apt/state/status"
options="-q -o APT::Architecture=$debian -o APT::Architectures=$debian -o Dir::State=$apt/state \
  -o Dir::State::status=$apt/state/status -o Dir::Cache=$apt/cache"
# shellcheck disable=SC2086
apt-get $options update
cd "$apt/packages"
# shellcheck disable=SC2086
apt-get $options download python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 \
  libcrypt1 libgcc-s1 libstdc++6 zlib1g libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 \
  libuuid1
for package in *.deb; do dpkg -x "$package" "$root"; done

version() { "$python" -c "from importlib.metadata import version; print(version('$1'))"; }
tags=$(for tag in manylinux_2_28 manylinux_2_27 manylinux2014 manylinux_2_17; do
  printf -- '--platform %s_%s ' "$tag" "$wheels"; done)
# shellcheck disable=SC2086
"$python" -m pip install --quiet --no-deps --only-binary=:all: $tags --python-version 3.11 \
  --target "$root/site" --upgrade "numpy==$(version numpy)" "llvmlite==$(version llvmlite)"
rm -rf "$apt"
echo "a Python for $debian is in $root"
