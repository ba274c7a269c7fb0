#!/bin/sh
# packages.sh [FURTHER ...]: installs the Debian packages that some tests use, where this is Debian and root.
# Never fails: those tests skip, with the reason.
wanted="chromium dataset-fashion-mnist munge shellcheck slurm-wlm $*"
command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || exit 0
missing=""
for package in $wanted; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "Some tests will skip without:$missing (apt-get install, as root)"
    exit 0
fi
echo "Installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update >/dev/null 2>&1
for package in $missing; do # one by one: a package that is not to be had costs itself only
    timeout 600 apt-get -qq install -y --no-install-recommends "$package" >/dev/null 2>&1 </dev/null ||
        echo "Could not install $package; its tests will skip"
done
exit 0
