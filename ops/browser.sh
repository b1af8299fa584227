#!/bin/sh
# Make sure that the browser tests have a Chromium; never fails, because those tests skip without one.
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing chromium for the browser tests (apt-get)"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } >/dev/null 2>&1 && exit 0
    echo "browser tests will skip: apt-get could not install chromium (no network?)" >&2
    exit 0
fi
echo "browser tests will skip: there is no Chromium, and only root can install it (Debian: apt-get install chromium)" >&2
