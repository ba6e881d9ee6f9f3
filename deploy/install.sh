#!/bin/sh
# Installs edge-ae, the daemon and where wanted the recorder, on Raspberry Pi OS, Debian or Ubuntu, and takes it away again.
#
# Its law: what it makes is listed once, in the paths below; installing twice changes nothing but the program's
# version; settings, models and state are the owner's and outlive every upgrade.
set -eu
umask 022 # the daemon's own user must be able to read the program, whatever root's habit is

usage() {
    cat <<'HELP'
usage: install.sh [install|uninstall] [options]

  install              (the default) program, unit and sample settings; an upgrade keeps settings, models and state
  uninstall            stop the services and remove everything, alerts, models and recordings too

  --record             install the recorder as a service, too, and have it started with the machine in place of the daemon:
                       readings for the first model are kept in /var/lib/edge-ae-record
  --from PATH          the package: a checkout or a wheel            (default: the checkout this script is in)
  --wheels DIR         take all packages from DIR, for a device without a network
                       (made elsewhere, with --from the wheel: pip download -d DIR edge_ae-*.whl)
  --skip-packages      all but the Python packages, for an image whose packages come in another way
  --password-file FILE put the MQTT password where the unit finds it, readable by root alone
  --keep-settings      with uninstall: leave /etc/edge-ae and the password
  --root DIR           put everything below DIR and call no systemctl: a trial, or an image being built
  --help               this text

environment: PYTHON    the interpreter to build on                   (default: python3, 3.11 or newer)

example: sudo deploy/install.sh
         sudo deploy/install.sh --record
         sudo deploy/install.sh uninstall --keep-settings
         deploy/install.sh --root /tmp/trial && /tmp/trial/opt/edge-ae/bin/edge-ae --help
HELP
}

say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
wrong_usage() { printf 'install.sh: %s (see --help)\n' "$*" >&2; exit 2; }

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
action=install from=$here wheels='' root='' password_file='' packages=yes keep_settings=no record=no
python=${PYTHON:-python3}

while [ $# -gt 0 ]; do
    case $1 in
        install | uninstall) action=$1 ;;
        --from | --wheels | --root | --password-file)
            [ $# -ge 2 ] || wrong_usage "$1 needs a value"
            case $1 in
                --from) from=$2 ;;
                --wheels) wheels=$2 ;;
                --root) root=$2 ;;
                --password-file) password_file=$2 ;;
            esac
            shift ;;
        --record) record=yes ;;
        --skip-packages) packages=no ;;
        --keep-settings) keep_settings=yes ;;
        --help | -h) usage; exit 0 ;;
        *) wrong_usage "unknown argument $1" ;;
    esac
    shift
done

if [ -n "$root" ]; then
    mkdir -p -- "$root"
    root=$(CDPATH='' cd -- "$root" && pwd)
    [ "$root" != / ] || wrong_usage "--root / is the machine itself: leave the option out"
    trial=yes
else
    trial=no
    [ "$(id -u)" -eq 0 ] || die "needs root for /opt and /etc: run it with sudo, or try it with --root DIR"
fi

program=$root/opt/edge-ae
settings=$root/etc/edge-ae
unit=$root/etc/systemd/system/edge-ae.service
record_unit=$root/etc/systemd/system/edge-ae-record.service
password=$root/etc/credstore/edge-ae.mqtt-password
state="$root/var/lib/edge-ae $root/var/lib/private/edge-ae"
recordings="$root/var/lib/edge-ae-record $root/var/lib/private/edge-ae-record"

# The interpreter is asked, not the kernel: Raspberry Pi OS may run 32-bit programs on a 64-bit kernel.
check_machine() {
    command -v "$python" >/dev/null 2>&1 || die "there is no $python: apt-get install python3 python3-venv"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$("$python" --version) is too old: Python 3.11 or newer is needed (Debian 12, Ubuntu 24.04)"
    "$python" -c 'import struct, sys; sys.exit(struct.calcsize("P") != 8)' ||
        die "this is a 32-bit system, for which there is no onnxruntime: install the 64-bit Raspberry Pi OS"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "$python cannot make virtual environments: apt-get install python3-venv"
}

check_input() {
    [ -z "$password_file" ] || [ -r "$password_file" ] || die "cannot read the password file $password_file"
    [ "$packages" = yes ] || return 0
    [ -f "$from" ] || [ -f "$from/pyproject.toml" ] || die "$from is neither a wheel nor a checkout of edge-ae"
    [ -z "$wheels" ] || [ -d "$wheels" ] || die "there is no folder $wheels with wheels"
}

install_packages() {
    package=$from
    if [ -d "$from" ]; then # a copy, because setuptools leaves files where it builds
        package=$program/source # pip writes down where it was
        trap 'rm -rf -- "$package"' EXIT
        rm -rf -- "$package"
        mkdir -p -- "$package"
        for part in pyproject.toml README.md LICENSE edge_ae train; do
            [ ! -e "$from/$part" ] || cp -R -- "$from/$part" "$package/"
        done
    fi
    [ -x "$program/bin/python" ] || "$python" -m venv "$program"
    set -- --quiet --disable-pip-version-check --no-cache-dir
    [ -z "$wheels" ] || set -- "$@" --no-index --find-links "$wheels"
    # With SOURCE_DATE_EPOCH compiled files carry a hash of their source and not the hour of the installation.
    SOURCE_DATE_EPOCH=315532800 "$program/bin/python" -m pip install "$@" "$package" || die "pip could not install $from, see above"
    "$program/bin/edge-ae" --help >/dev/null || die "the installed program does not start on this machine, see above"
}

install_files() {
    install -d -m 755 -- "$settings" "$settings/models" "$(dirname -- "$unit")"
    [ -e "$settings/edge-ae.toml" ] || install -m 644 -- "$here/deploy/edge-ae.toml" "$settings/edge-ae.toml"
    install -m 644 -- "$here/systemd/edge-ae.service" "$unit"
    # An upgrade of a machine that has the recorder needs no --record.
    if [ "$record" = yes ] || [ -e "$record_unit" ]; then
        install -m 644 -- "$here/systemd/edge-ae-record.service" "$record_unit"
    fi
    [ -n "$password_file" ] || return 0
    [ -d "$(dirname -- "$password")" ] || install -d -m 700 -- "$(dirname -- "$password")"
    install -m 600 -- "$password_file" "$password"
}

start() {
    systemctl daemon-reload
    # Without a model the daemon could only fail: it is enabled once there is one.
    service=edge-ae
    [ "$record" = no ] || service=edge-ae-record
    systemctl enable --quiet "$service.service"
    systemctl try-restart edge-ae.service
    [ ! -e "$record_unit" ] || systemctl try-restart edge-ae-record.service
    systemctl is-active --quiet "$service.service" || next_steps
}

next_steps() {
    given=''
    [ "$record" = yes ] || given="STATE_DIRECTORY=$root/var/lib/edge-ae"
    [ ! -e "$password" ] || given="$given EDGE_AE_MQTT__PASSWORD_FILE=$password"
    given=${given# }
    [ "$trial" = yes ] || given="sudo $given"
    given=${given% }
    check="${given:+$given }$program/bin/edge-ae check --config $settings/edge-ae.toml"
    say "Installed. Next:"
    if [ "$record" = yes ]; then
        say "  1. say in $settings/edge-ae.toml where the broker is and which topics to record; take the model out, there is none yet"
        say "  2. $check --listen 30"
        [ "$trial" = yes ] || say "  3. sudo systemctl start edge-ae-record; what it records, journalctl -fu edge-ae-record shows"
        [ "$trial" = yes ] || say "  4. with a model of the recordings in $settings/models: sudo systemctl enable --now edge-ae"
        return 0
    fi
    say "  1. put a model into $settings/models            (edge-ae-train fit makes one)"
    say "  2. say in $settings/edge-ae.toml where the broker is and which topics to watch"
    say "  3. $check"
    [ "$trial" = yes ] || say "  4. sudo systemctl start edge-ae"
}

uninstall() {
    for installed in "$unit" "$record_unit"; do
        if [ "$trial" = no ] && [ -e "$installed" ]; then
            systemctl disable --quiet --now "$(basename -- "$installed")" || true
        fi
    done
    # shellcheck disable=SC2086 # two words each on purpose: the state and where DynamicUser keeps it
    rm -rf -- "$program" "$unit" "$unit.d" "$record_unit" "$record_unit.d" ${state} ${recordings}
    [ "$keep_settings" = yes ] || rm -rf -- "$settings" "$password"
    if [ "$trial" = yes ]; then
        for parent in opt etc/systemd/system etc/credstore var/lib/private var/lib; do
            (cd -- "$root" && rmdir -p -- "$parent" 2>/dev/null) || true
        done
    else
        systemctl daemon-reload
    fi
    say "Removed."
}

[ "$action" = install ] || [ "$record" = no ] || wrong_usage "--record belongs to install"
[ "$action" = uninstall ] || [ "$keep_settings" = no ] || wrong_usage "--keep-settings belongs to uninstall"
if [ "$action" = uninstall ]; then
    uninstall
    exit 0
fi
check_input
check_machine
[ "$packages" = no ] || install_packages
install_files
if [ "$trial" = yes ]; then next_steps; else start; fi
