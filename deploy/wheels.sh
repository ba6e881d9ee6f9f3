#!/bin/sh
# Fetches all wheels that a device without a network needs, on any machine that has one: for the device's processor and
# Python, not for those of the machine it runs on.
set -eu

usage() {
    cat <<'HELP'
usage: wheels.sh --arch ARCH --python X.Y [options]

  --arch ARCH          the device's processor: aarch64 (what uname -m says on a Raspberry Pi or Jetson) or x86_64
  --python X.Y         the device's Python: 3.11 on Debian 12, 3.12 on Ubuntu 24.04, 3.13 on Debian 13
  --out DIR            where they go                                (default: wheels-ARCH-X.Y)
  --from PATH          the package: a checkout or a wheel           (default: the checkout this script is in)
  --extra A,B          and what these extras need: signed, metrics, ...
  --help               this text

environment: PYTHON    an interpreter with pip, of any version      (default: python3)

example: deploy/wheels.sh --arch aarch64 --python 3.11
         then, on the device: sudo deploy/install.sh --wheels wheels-aarch64-3.11
HELP
}

say() { printf '%s\n' "$*"; }
die() { printf 'wheels.sh: %s\n' "$*" >&2; exit 1; }
wrong_usage() { printf 'wheels.sh: %s (see --help)\n' "$*" >&2; exit 2; }

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
arch='' version='' out='' from=$here extras=''
python=${PYTHON:-python3}

while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --arch | --python | --out | --from | --extra) [ $# -ge 2 ] || wrong_usage "$1 needs a value" ;;
        *) wrong_usage "unknown argument $1" ;;
    esac
    case $1 in
        --arch) arch=$2 ;;
        --python) version=$2 ;;
        --out) out=$2 ;;
        --from) from=$2 ;;
        --extra) extras="[$2]" ;;
    esac
    shift 2
done

case $arch in
    aarch64 | x86_64) ;;
    '') wrong_usage "--arch is missing: uname -m says it on the device" ;;
    *) die "there is no onnxruntime for $arch: edge-ae runs on aarch64 and x86_64" ;;
esac
case $version in
    3.1[1-9]) ;;
    '') wrong_usage "--python is missing: python3 --version says it on the device" ;;
    *) die "--python $version: 3.11 or newer is needed, without its third number" ;;
esac
[ -f "$from" ] || [ -f "$from/pyproject.toml" ] || die "$from is neither a wheel nor a checkout of edge-ae"
"$python" -m pip --version >/dev/null 2>&1 || die "$python has no pip: apt-get install python3-pip, or name another with PYTHON"
out=${out:-wheels-$arch-$version}

# pip takes what a machine of another kind can run only by name, and each glibc has one. The oldest that we say we
# run on has 2.36; a newer one on the device takes these as well.
platforms() {
    glibc=17
    while [ "$glibc" -le 36 ]; do
        printf -- '--platform manylinux_2_%s_%s ' "$glibc" "$arch"
        glibc=$((glibc + 1))
    done
    printf -- '--platform manylinux2014_%s --platform linux_%s' "$arch" "$arch"
}

pip() { "$python" -m pip --disable-pip-version-check "$@"; }

mkdir -p -- "$out"
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT TERM HUP

if [ -d "$from" ]; then # a copy, because setuptools leaves files where it builds
    mkdir -- "$work/source"
    for part in pyproject.toml README.md LICENSE edge_ae train; do
        [ ! -e "$from/$part" ] || cp -R -- "$from/$part" "$work/source/"
    done
    pip wheel --quiet --no-deps --wheel-dir "$work" "$work/source" || die "pip could not build $from, see above"
else
    cp -- "$from" "$work/"
fi
[ ! -d "$work/source/train" ] || pip wheel --quiet --no-deps --wheel-dir "$out" "$work/source/train" || die "pip could not build the trainer, see above"
from=$(echo "$work"/edge_ae-*.whl)
rm -f -- "$out"/edge_ae-*.whl # of an earlier run: the installer takes the only one

# shellcheck disable=SC2046 # words on purpose
pip download --quiet --dest "$out" --find-links "$out" --only-binary :all: --implementation cp --python-version "$version" \
    $(platforms) "$from$extras" || die "pip could not fetch all packages for $arch and Python $version, see above"
# The proof, by the same resolver without a registry: all is there.
# shellcheck disable=SC2046 # words on purpose
pip install --quiet --dry-run --no-index --find-links "$out" --target "$work/none" --only-binary :all: --implementation cp \
    --python-version "$version" $(platforms) "$out/$(basename -- "$from")$extras" || die "$out is not complete, see above"
say "$(find "$out" -name '*.whl' | wc -l) wheels, $(du -sm -- "$out" | cut -f1) MB, for $arch and Python $version in $out. On the device:"
say "  sudo deploy/install.sh --wheels $out"
