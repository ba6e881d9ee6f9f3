#!/bin/sh
# Installs edge-ae, the daemon and where wanted recorder and live page, on Raspberry Pi OS, Debian or Ubuntu, and takes it away again.
#
# Its law: what it makes is listed once, in the paths below; installing twice changes nothing but the program's
# version; settings, models and state are the owner's and outlive every upgrade. The program is made beside the old one
# and takes its place whole: whatever goes wrong, the old one stays and works.
set -eu
umask 022 # the daemon's own user must be able to read the program, whatever root's habit is

usage() {
    cat <<'HELP'
usage: install.sh [install|uninstall] [options]

  install              (the default) program, unit and sample settings; an upgrade keeps settings, models and state
  uninstall            stop the services and remove everything, alerts, models and recordings too

  --record             install the recorder as a service, too, and have it started with the machine in place of the daemon:
                       readings for the first model are kept in /var/lib/edge-ae-record
  --web                install the live page as a service, too, with its library: http://127.0.0.1:8182/, see docs/live-page.md
                       (with --wheels: those that deploy/wheels.sh --extra web fetched)
  --learn              install the trainer and its timer, too, for streams with model = "auto": see docs/learning.md
                       (with --wheels: those that deploy/wheels.sh fetched from a checkout)
  --from PATH          the package: a checkout or a wheel            (default: that of --wheels, else the checkout this script is in)
  --wheels DIR         take all packages from DIR, for a device without a network
                       (made on any machine with a network by deploy/wheels.sh, for the device's processor and Python)
  --skip-packages      all but the Python packages, for an image whose packages come in another way
  --password-file FILE put the MQTT password where the unit finds it, readable by root alone
  --keep-settings      with uninstall: leave /etc/edge-ae and the password
  --root DIR           put everything below DIR and call no systemctl: a trial, or an image being built
  --help               this text

environment: PYTHON    the interpreter to build on                   (default: python3, 3.11 or newer)

example: sudo deploy/install.sh
         sudo deploy/install.sh --record
         sudo deploy/install.sh --web
         sudo deploy/install.sh --learn
         sudo deploy/install.sh uninstall --keep-settings
         deploy/install.sh --root /tmp/trial && /tmp/trial/opt/edge-ae/bin/edge-ae --help
HELP
}

ROOM_MB=300 # the program takes 200, and pip unpacks what it fetches

say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
wrong_usage() { printf 'install.sh: %s (see --help)\n' "$*" >&2; exit 2; }

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
action=install from='' wheels='' root='' password_file='' packages=yes keep_settings=no record=no web=no learn=no
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
        --web) web=yes ;;
        --learn) learn=yes ;;
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
    [ ! -e /usr/lib/edge-ae ] || die "Debian's package edge-ae is installed here: sudo apt-get remove edge-ae, then install again"
fi

program=$root/opt/edge-ae
next=$program.next     # the program while it is made
former=$program.former # the old one while the new one takes its place
settings=$root/etc/edge-ae
system=$root/etc/systemd/system
units='edge-ae.service edge-ae@.service' # in every installation; @: for several daemons, each with settings of its own
record_unit=edge-ae-record.service
web_unit=edge-ae-web.service
learn_units='edge-ae-learn.timer edge-ae-learn.service edge-ae-learn@.timer edge-ae-learn@.service'
password=$root/etc/credstore/edge-ae.mqtt-password
state="$root/var/lib/edge-ae $root/var/lib/private/edge-ae $root/var/lib/edge-ae-nodes $root/var/lib/private/edge-ae-nodes"
booted=/run/systemd/system # is there where systemd runs, and not where an image is built (sd_booted(3))
recordings="$root/var/lib/edge-ae-record $root/var/lib/private/edge-ae-record"

# The interpreter is asked, not the kernel: Raspberry Pi OS may run 32-bit programs on a 64-bit kernel.
check_machine() {
    command -v "$python" >/dev/null 2>&1 || die "there is no $python: apt-get install python3 python3-venv"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$("$python" --version) is too old: Python 3.11 or newer is needed (Debian 12, Ubuntu 24.04)"
    "$python" -c 'import struct, sys; sys.exit(struct.calcsize("P") != 8)' ||
        die "this is a 32-bit system, for which there is no onnxruntime: install the 64-bit Raspberry Pi OS"
    processor=$("$python" -c 'import platform; print(platform.machine())')
    case $processor in
        aarch64 | x86_64) ;;
        *) die "there is no onnxruntime for $processor: edge-ae runs on 64-bit ARM (aarch64) and x86_64" ;;
    esac
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "$python cannot make virtual environments: apt-get install python3-venv"
}

check_input() {
    [ -z "$password_file" ] || [ -r "$password_file" ] || die "cannot read the password file $password_file"
    [ "$packages" = yes ] || return 0
    [ -z "$wheels" ] || [ -d "$wheels" ] || die "there is no folder $wheels with wheels"
    [ -n "$from" ] || from=$(wheel_in "$wheels")
    [ -f "$from" ] || [ -f "$from/pyproject.toml" ] || die "$from is neither a wheel nor a checkout of edge-ae"
}

# The one wheel of ours in a folder; where there is none, or a choice, the checkout.
wheel_in() {
    set -- "$1"/edge_ae-*.whl
    if [ $# -eq 1 ] && [ -f "$1" ]; then printf '%s\n' "$1"; else printf '%s\n' "$here"; fi
}

# Nothing stands where the program goes, or what this script made, or half of it.
made_here() {
    [ -e "$program" ] || [ -L "$program" ] || return 0
    [ -d "$program" ] && [ ! -L "$program" ] || return 1
    [ -e "$program/pyvenv.cfg" ] || [ -z "$(find "$program" -mindepth 1 -maxdepth 1 ! -name source)" ]
}

check_place() {
    # A power cut between the two renames of take_place leaves the old program beside its place.
    [ -e "$program" ] || [ ! -d "$former" ] || mv -- "$former" "$program"
    made_here || die "$program holds what this installer did not make: move it away, then install again"
}

check_room() {
    needed=$ROOM_MB
    [ ! -d "$program" ] || needed=$((needed + $(du -sm -- "$program" | cut -f1)))
    place=$program
    while [ ! -d "$place" ]; do place=$(dirname -- "$place"); done
    free=$(df -Pk -- "$place" | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free" -ge "$needed" ] ||
        die "$place has $free MB left, and $needed are needed while the program is made: make room, then install again"
}

# TLS finds every certificate of a package registry not yet valid.
check_clock() {
    [ -n "$wheels" ] || [ "$(date +%Y)" -ge 2025 ] ||
        die "the clock says $(date +%Y-%m-%d): set it (timedatectl set-ntp true), for no server is trusted before its certificate begins"
}

install_packages() {
    check_place
    rm -rf -- "$next" "$former" # of an installation that was cut off: it would take the room of this one
    check_room
    check_clock
    trap 'rm -rf -- "$next"' EXIT
    trap 'exit 130' INT TERM HUP
    begin_program
    package=$from
    if [ -d "$from" ]; then # a copy, because setuptools leaves files where it builds
        package=$next/source # pip writes down where it was
        rm -rf -- "$package"
        mkdir -p -- "$package"
        for part in pyproject.toml README.md LICENSE edge_ae train; do
            [ ! -e "$from/$part" ] || cp -R -- "$from/$part" "$package/"
        done
    fi
    if has_web; then package="${package}[web]"; fi
    if has_learn; then pip_install "$package" "$(trainer)"; else pip_install "$package"; fi
    rm -rf -- "$next/source"
    slim_program
    "$next/bin/edge-ae" --help >/dev/null || die "the new program does not start on this machine, see above; $(what_stays)"
    take_place
}

# The trainer goes where the program comes from: in the copy of a checkout, or a wheel beside the wheel.
trainer() {
    if [ -d "$next/source" ]; then printf '%s\n' "$next/source/train"; else echo "$(dirname -- "$from")"/edge_ae_train-*.whl; fi
}

# A copy of the old program, which pip then upgrades, where that one is whole and of this Python; else a new environment.
begin_program() {
    same='import sys; from pip import __version__; sys.exit(sys.version_info[:2] != tuple(map(int, sys.argv[1].split("."))))'
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if "$program/bin/python" -IBc "$same" "$version" 2>/dev/null; then
        cp -a --reflink=auto -- "$program" "$next"
        rename_in "$next" "$program" "$next"
        # pip takes a wheel of the version that is there for installed already, whatever is in it.
        "$next/bin/python" -m pip --quiet uninstall --yes edge-ae edge-ae-train >/dev/null 2>&1 || true
    else
        mkdir -p -- "$(dirname -- "$next")"
        "$python" -m venv --prompt edge-ae "$next" || die "$python could not make a virtual environment in $next, see above"
        # Python 3.11 brings it, for packages that are built where they are used; none is here. Later ones do not.
        "$next/bin/python" -Im pip --quiet uninstall --yes setuptools >/dev/null 2>&1 || true
    fi
}

# The libraries' tests and pip itself run seldom or never here, and compiled they are a tenth of the program.
slim_program() {
    find "$next/lib" \( -path '*/tests/*' -o -path '*/site-packages/pip/*' \) -name '*.pyc' -delete
}

# With SOURCE_DATE_EPOCH compiled files carry a hash of their source and not the hour of the installation.
pip_install() {
    set -- --quiet --disable-pip-version-check --no-cache-dir --retries 2 "$@"
    [ -z "$wheels" ] || set -- --no-index --find-links "$wheels" "$@"
    said=$(SOURCE_DATE_EPOCH=315532800 "$next/bin/python" -m pip install "$@" 2>&1) ||
        die "$(why_pip_failed "$said"); $(what_stays)"
}

# pip's pages in one sentence: what is wrong, and what to do. The pages themselves where nothing here knows them.
why_pip_failed() {
    case $1 in
        *'No space left'*) say "there is no room left in $(dirname -- "$program") or ${TMPDIR:-/tmp}: make room, then install again" ;;
        *'not yet valid'* | *'has expired'*) say "the clock of this machine or the registry's certificate is wrong: see date" ;;
        *'Name or service not known'* | *'name resolution'* | *'Network is unreachable'* | *'NewConnectionError'* | *'No route to host'* | *'timed out'*)
            say "no package registry can be reached: connect this machine to a network, or bring the packages with --wheels" ;;
        *'No matching distribution'*)
            name=$(printf '%s\n' "$1" | sed -n 's/.*No matching distribution found for \([^ ]*\).*/\1/p' | head -n 1)
            say "${wheels:-the package registry} lacks $name for this machine: deploy/wheels.sh --arch $processor --python $version fetches them all" ;;
        *)
            printf '%s\n' "$1" >&2
            say "pip could not install $from, see above" ;;
    esac
}

what_stays() {
    if [ -e "$program" ]; then say "the old program stays"; else say "nothing was installed"; fi
}

# Scripts and notes of an environment name the folder it was made in.
rename_in() { # FOLDER OLD NEW
    "$python" - "$@" <<'RENAME'
import sys
from pathlib import Path

folder, old, new = (word.encode() for word in sys.argv[1:])
environment = Path(sys.argv[1])
notes = environment.glob("lib/python*/site-packages/*.dist-info/direct_url.json")
for path in [*environment.glob("bin/*"), *notes, environment / "pyvenv.cfg"]:
    if path.is_file() and not path.is_symlink():
        text = path.read_bytes()
        if old in text:
            path.write_bytes(text.replace(old, new))
RENAME
}

take_place() {
    rename_in "$next" "$next" "$program"
    [ "$trial" = yes ] || sync # else a power cut could leave empty files behind the new name
    [ ! -e "$program" ] || mv -- "$program" "$former"
    mv -- "$next" "$program"
    rm -rf -- "$former"
}

install_files() {
    install -d -m 755 -- "$settings" "$settings/models" "$system"
    [ -e "$settings/edge-ae.toml" ] || install -m 644 -- "$here/deploy/edge-ae.toml" "$settings/edge-ae.toml"
    for unit in $units; do install_unit "$unit"; done
    # An upgrade of a machine that has the recorder needs no --record.
    if [ "$record" = yes ] || has "$record_unit"; then install_unit "$record_unit"; fi
    if has_web; then install_unit "$web_unit"; fi
    ! has_learn || for unit in $learn_units; do install_unit "$unit"; done
    [ -n "$password_file" ] || return 0
    [ -d "$(dirname -- "$password")" ] || install -d -m 700 -- "$(dirname -- "$password")"
    install -m 600 -- "$password_file" "$password"
}

has() { [ -e "$system/$1" ]; } # UNIT

# Asked for, or there already.
has_web() { [ "$web" = yes ] || has "$web_unit"; }
has_learn() { [ "$learn" = yes ] || has edge-ae-learn.service; }

# A unit that was written by hand is kept beside ours; one of ours names this installer in its first line.
install_unit() { # UNIT
    set -- "$1" "$system/$1"
    [ ! -L "$2" ] || rm -f -- "$2" # masked, as Debian's package leaves it behind when it is removed
    if [ -e "$2" ] && ! head -n 1 -- "$2" | grep -q 'deploy/install.sh'; then
        cp -p -- "$2" "$2.yours"
        say "$2 was not made by this installer: it is kept as $2.yours"
    fi
    install -m 644 -- "$here/systemd/$1" "$2"
}

start() {
    has_systemctl || { next_steps; return 0; }
    service=edge-ae.service
    [ "$record" = no ] || service=$record_unit
    systemctl enable --quiet "$service"
    ! has_web || systemctl enable --quiet "$web_unit"
    ! has_learn || systemctl enable --quiet edge-ae-learn.timer
    [ -d "$booted" ] || { next_steps; return 0; }
    systemctl daemon-reload
    systemctl try-restart edge-ae.service 'edge-ae@*.service'
    ! has "$record_unit" || systemctl try-restart "$record_unit"
    ! has_web || systemctl restart "$web_unit" # it needs no model, and says on its page what it waits for
    ! has_learn || systemctl restart edge-ae-learn.timer # it starts nothing where no stream has model = "auto"
    systemctl is-active --quiet "$service" || next_steps
}

has_systemctl() { command -v systemctl >/dev/null 2>&1; }

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
        how_to_start 3 "record --config $settings/edge-ae.toml --out $root/var/lib/edge-ae-record" \
            "sudo systemctl start edge-ae-record; what it records, journalctl -fu edge-ae-record shows"
        ! has_systemctl || how_to_start 4 '' "with a model of the recordings in $settings/models: sudo systemctl enable --now edge-ae"
        return 0
    fi
    say "  1. put a model into $settings/models            (edge-ae-train fit makes one; none is needed with --learn and model = \"auto\")"
    say "  2. say in $settings/edge-ae.toml where the broker is and which topics to watch"
    say "  3. $check"
    how_to_start 4 "run --config $settings/edge-ae.toml" "sudo systemctl start edge-ae"
}

how_to_start() { # STEP COMMAND WITH-SYSTEMD
    [ "$trial" = no ] || return 0
    if has_systemctl; then
        say "  $1. $3"
    else
        say "  $1. there is no systemctl here: have what starts services here start ${given:+$given }$program/bin/edge-ae $2"
    fi
}

uninstall() {
    every="$units $record_unit $web_unit $learn_units"
    if [ "$trial" = no ] && has_systemctl; then
        for unit in $every; do
            case $unit in *@*) continue ;; esac
            ! has "$unit" || systemctl disable --quiet --now "$unit" || true
        done
        systemctl stop 'edge-ae@*.service' 'edge-ae-learn@*' || true
        rm -f -- "$system"/multi-user.target.wants/edge-ae@*.service "$system"/timers.target.wants/edge-ae-learn@*.timer
    fi
    for unit in $every; do rm -rf -- "${system:?}/$unit" "${system:?}/$unit.d"; done
    if made_here; then rm -rf -- "$program"; else say "$program holds what this installer did not make: it stays"; fi
    # shellcheck disable=SC2086 # two words each on purpose: the state and where DynamicUser keeps it
    rm -rf -- "$next" "$former" ${state} ${recordings}
    [ "$keep_settings" = yes ] || rm -rf -- "$settings" "$password"
    if [ "$trial" = yes ]; then
        for parent in opt etc/systemd/system etc/credstore var/lib/private var/lib; do
            (cd -- "$root" && rmdir -p -- "$parent" 2>/dev/null) || true
        done
    elif has_systemctl && [ -d "$booted" ]; then
        systemctl daemon-reload
    fi
    say "Removed."
}

[ "$action" = install ] || [ "$record" = no ] || wrong_usage "--record belongs to install"
[ "$action" = install ] || [ "$learn" = no ] || wrong_usage "--learn belongs to install"
[ "$action" = install ] || [ "$web" = no ] || wrong_usage "--web belongs to install"
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
