# Sourced by the other scripts: the root of the project, and the cache outside of it that lets a new clone start warm.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export IMAGESEARCH_CACHE=${IMAGESEARCH_CACHE:-$HOME/.cache/imagesearch}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$IMAGESEARCH_CACHE/target}
export PATH=$IMAGESEARCH_CACHE/bin:$PATH
