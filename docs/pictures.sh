#!/bin/sh
# Makes docs/chat.svg and docs/page.png from the real program: a terminal, and Chromium at a demo's page.
set -eu
cd "$(dirname "$0")/.."
RINGTALK_BROWSER_REQUIRED=1 cargo test --test browser -- --ignored picture::
