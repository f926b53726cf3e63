#!/usr/bin/env bash
# Fetch the front-end files that pages need (widgets and math), so that the site asks nothing of other hosts; and beside
# the tests, what they need: axe looks for what keeps readers out, typescript and prettier read the book's JavaScript.
set -euo pipefail
cd "$(dirname "$0")"
command -v npm >/dev/null || { echo "npm is needed. On Debian and Ubuntu: apt-get install npm" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for package in @jupyter-widgets/html-manager@1.0.15 requirejs@2.3.8 mathjax@3.2.2 anywidget@0.11.0 axe-core@4.14.1 \
  typescript@5.9.3 prettier@3.10.1; do
  archive=$(cd "$scratch" && npm pack --silent "$package")
  tar -xzf "$scratch/$archive" -C "$scratch"
  mv "$scratch/package" "$scratch/$(basename "${package%@*}")"
done
new=$scratch/offline
mkdir -p "$new/html-manager" "$new/mathjax/output/chtml/fonts"
cp _ext/widgets-local.js "$scratch/requirejs/require.js" "$new"
cp "$scratch"/html-manager/dist/{embed-amd.js,*.woff2} "$new/html-manager"
cp "$scratch/mathjax/es5/tex-mml-chtml.js" "$new/mathjax"
cp "$scratch/anywidget/dist/index.js" "$new/anywidget.js"
cp -r "$scratch/mathjax/es5/output/chtml/fonts/woff-v2" "$new/mathjax/output/chtml/fonts"
rm -rf _static/offline
mkdir -p _static
mv "$new" _static/offline
touch _static/offline
rm -rf ../tests/npm
mkdir ../tests/npm
mv "$scratch"/{axe-core,typescript,prettier} ../tests/npm
