#!/usr/bin/env bash
# Exercises every endpoint of a running reference API:  ./test-api.sh [URL]
#
# One line per check, "pass" or "FAIL" with what was expected and what came, and a summary; exit
# status 1 if anything failed. Needs bash and curl. Every run makes users of its own, so it can be
# repeated on the same database.

set -euo pipefail

readonly url=${1:-http://127.0.0.1:8080}
readonly base=${url%/}
readonly run=$$-$RANDOM$RANDOM$RANDOM
readonly crlf=$'\r\n'
readonly json='Content-Type: application/json'
passed=0
failed=0

# ---- how to ask --------------------------------------------------------------------------------

# ask METHOD PATH [CURL-OPTION...]: sets status, head (status line and fields) and body.
ask() {
    local method=$1 path=$2 reply code=0
    shift 2
    asked="$method $path"
    if [[ $method == HEAD ]]; then
        set -- --head "$@"
    else
        set -- --include --request "$method" "$@"
    fi
    reply=$(curl --silent --show-error --max-time 10 --path-as-is "$@" "$base$path" 2>&1) || code=$?
    if ((code)); then
        status="none, curl ended with $code: $reply" head='' body=''
        return
    fi
    understand "$reply"
}

understand() {
    local reply=$1
    while [[ $reply == HTTP/1.1\ 1* ]]; do
        reply=${reply#*"$crlf$crlf"}
    done
    head=${reply%%"$crlf$crlf"*}
    body=${reply#"$head"}
    body=${body#"$crlf$crlf"}
    status=${head#* }
    status=${status:0:3}
}

# field NAME: prints the value of a field of the last answer.
field() {
    local line
    shopt -s nocasematch
    while IFS= read -r line; do
        line=${line%$'\r'}
        if [[ ${line%%:*} == "$1" && $line == *:* ]]; then
            line=${line#*:}
            printf '%s' "${line# }"
            break
        fi
    done <<<"$head"
    shopt -u nocasematch
}

head_as_for_any() {
    local line
    while IFS= read -r line; do
        [[ $line == [Dd]ate:* || $line == [Xx]-[Rr]equest-[Ii][Dd]:* ]] || printf '%s\n' "${line%$'\r'}"
    done <<<"$head"
}

# raw BYTES: sends them on a connection of their own; prints all that comes until the server closes it.
raw() {
    local reply=''
    exec 3<>"/dev/tcp/$host/$port"
    printf '%s' "$1" >&3
    IFS= read -r -d '' -t 10 -u 3 reply || true
    exec 3>&-
    printf '%s' "$reply"
}

# ---- how to judge ------------------------------------------------------------------------------

# is WHAT EXPECTED GOT
is() {
    if [[ $3 == "$2" ]]; then
        passed=$((passed + 1))
        printf 'pass  %s\n' "$1"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n      expected: %s\n      got:      %s\n' "$1" "$2" "$3"
    fi
}

# matches WHAT PATTERN GOT
matches() {
    if [[ $3 =~ $2 ]]; then
        is "$1" "$3" "$3"
    else
        is "$1" "something like $2" "$3"
    fi
}

status_is() {
    is "$asked$1: status $2" "$2" "$status"
}

# problem_is WHY STATUS: the last answer is a problem of RFC 9457 with all its members.
problem_is() {
    local instance=${asked#* }
    status_is "$1" "$2"
    is "$asked$1: media type" application/problem+json "$(field content-type)"
    matches "$asked$1: member status" "\"status\": ?$2[,}]" "$body"
    matches "$asked$1: member title" '"title": ?"[^"]+"' "$body"
    matches "$asked$1: member detail" '"detail": ?"[^"]+"' "$body"
    matches "$asked$1: member instance" "\"instance\": ?\"$instance\"" "$body"
}

# ---- health ------------------------------------------------------------------------------------

health() {
    ask GET /healthz
    status_is '' 200
    is 'GET /healthz: body' ok "$body"
    matches 'GET /healthz: media type' '^text/plain' "$(field content-type)"
    is 'GET /healthz: Server' highperf "$(field server)"
    matches 'GET /healthz: Date' '^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT$' "$(field date)"

    ask GET /readyz
    status_is '' 200
    is 'GET /readyz: body' ready "$body"
}

# ---- users -------------------------------------------------------------------------------------

create_and_read() {
    local email=ada-$run@example.com location created
    ask POST /users --header "$json" --data "{\"name\": \"  Ada \", \"email\": \"$email\"}"
    status_is '' 201
    created=$body
    location=$(field location)
    is 'POST /users: media type' application/json "$(field content-type)"
    matches 'POST /users: Location' '^/users/[1-9][0-9]*$' "$location"
    is 'POST /users: body' "{\"id\":${location#/users/},\"name\":\"Ada\",\"email\":\"$email\"}" "$created"
    is 'POST /users: Server' highperf "$(field server)"

    ask GET "$location"
    status_is '' 200
    is "GET $location: media type" application/json "$(field content-type)"
    is "GET $location: body" "$created" "$body"

    ask POST /users --header "$json" --data "{\"name\": \"Eve\", \"email\": \"$email\"}"
    problem_is ' with a taken e-mail address' 409
    ask POST /users --header "$json" --data "{\"name\": \"Eve\", \"email\": \"ADA${email#ada}\"}"
    status_is ' with a taken e-mail address in capitals' 409

    head_as_get "$location"
    head_as_get /healthz
}

create_in_other_ways() {
    ask POST /users --header "$json" --header 'Transfer-Encoding: chunked' \
        --data "{\"name\": \"Bob\", \"email\": \"bob-$run@example.com\"}"
    status_is ' chunked' 201
    ask POST /users --header "$json" --header 'Expect: 100-continue' \
        --data "{\"name\": \"Cy\", \"email\": \"cy-$run@example.com\"}"
    status_is ' with Expect: 100-continue' 201
    ask POST /users --header 'Content-Type: application/vnd.example+json; charset=utf-8' \
        --data "{\"name\": \"Dora\", \"email\": \"dora-$run@example.com\"}"
    status_is ' as +json' 201
}

refused_users() {
    local valid="{\"name\": \"Eve\", \"email\": \"eve-$run@example.com\"}"
    ask POST /users --header "$json" --data '{"name": "Eve", '
    problem_is ' with broken JSON' 400
    ask POST /users --header "$json"
    status_is ' without a body' 400
    ask POST /users --header 'Content-Type: text/plain' --data "$valid"
    problem_is ' as text/plain' 415
    ask POST /users --header "$json" --data '{"name": " ", "email": "eve"}'
    problem_is ' with wrong values' 422
    matches 'POST /users with wrong values: pointer to the name' '"pointer": ?"#/name"' "$body"
    matches 'POST /users with wrong values: pointer to the e-mail address' '"pointer": ?"#/email"' "$body"
    ask POST /users --header "$json" --data '{"name": 1, "email": "eve@example.com"}'
    problem_is ' with a wrong type' 422
    matches 'POST /users with a wrong type: pointer' '"pointer": ?"#/name"' "$body"
    ask POST /users --header "$json" --data '{"name": "Eve"}'
    status_is ' without an e-mail address' 422
    ask POST /users --header "$json" --data "${valid%\}}, \"admin\": true}"
    status_is ' with an unknown field' 422
    ask POST /users --header "$json" --data "$(printf '{"name": "%070000d"}' 0)"
    status_is ' above 64 KiB' 413
}

refused_ids() {
    local id
    ask GET /users/9223372036854775807
    problem_is '' 404
    for id in 0 01 -1 +1 1.0 ada; do
        ask GET "/users/$id"
        status_is '' 422
    done
    ask GET /users/9223372036854775808
    problem_is '' 422
}

# ---- methods and paths -------------------------------------------------------------------------

head_as_get() {
    local get
    ask GET "$1"
    get=$(head_as_for_any)
    ask HEAD "$1"
    is "HEAD $1: the fields of GET" "$get" "$(head_as_for_any)"
}

methods() {
    ask OPTIONS /users/1
    status_is '' 204
    is 'OPTIONS /users/1: Allow' 'GET, HEAD, OPTIONS' "$(field allow)"
    is 'OPTIONS /users/1: body' '' "$body"
    ask OPTIONS /users
    status_is '' 204
    matches 'OPTIONS /users: Allow' 'POST' "$(field allow)"
    ask DELETE /users/1
    problem_is '' 405
    is 'DELETE /users/1: Allow' 'GET, HEAD, OPTIONS' "$(field allow)"
    ask GET /users
    status_is '' 405
    matches 'GET /users: Allow' 'POST' "$(field allow)"
    ask BREW /users/1
    status_is '' 405
    ask GET /nowhere
    problem_is '' 404
    ask GET /users/1/friends
    status_is '' 404
}

# ---- files -------------------------------------------------------------------------------------

files() {
    local page tag path
    ask GET /files/index.html
    status_is ' (is FILES_ROOT a directory with an index.html?)' 200
    page=$body
    tag=$(field etag)
    matches 'GET /files/index.html: media type' '^text/html; charset=utf-8$' "$(field content-type)"
    matches 'GET /files/index.html: ETag' '^"[0-9a-f]+-[0-9a-f]+"$' "$tag"
    matches 'GET /files/index.html: Last-Modified' ' GMT$' "$(field last-modified)"
    is 'GET /files/index.html: Accept-Ranges' bytes "$(field accept-ranges)"
    matches 'GET /files/index.html: Content-Length' '^[1-9][0-9]*$' "$(field content-length)"
    head_as_get /files/index.html

    ask GET /files/
    status_is '' 200
    is 'GET /files/: the index' "$page" "$body"

    ask GET /files/index.html --header "If-None-Match: $tag"
    status_is ' with its ETag in If-None-Match' 304
    is 'GET /files/index.html with its ETag in If-None-Match: body' '' "$body"
    ask GET /files/index.html --header 'If-Match: "another"'
    problem_is ' with another ETag in If-Match' 412
    ask GET /files/index.html --header 'Range: bytes=0-3'
    status_is ' with Range: bytes=0-3' 206
    is 'GET /files/index.html with Range: bytes=0-3: body' "${page:0:4}" "$body"
    matches 'GET /files/index.html with Range: bytes=0-3: Content-Range' '^bytes 0-3/[0-9]+$' "$(field content-range)"
    ask GET /files/index.html --header 'Range: bytes=0-0,2-2'
    status_is ' with two ranges' 206
    matches 'GET /files/index.html with two ranges: media type' '^multipart/byteranges; boundary=' "$(field content-type)"
    ask GET /files/index.html --header 'Range: bytes=99999999999-'
    problem_is ' with a range behind its end' 416
    ask GET /files/index.html --header 'Range: lines=1-2'
    status_is ' with a Range of another unit' 200

    ask GET /files/none
    problem_is '' 404
    for path in ../README.md %2e%2e/README.md ..%2fREADME.md '..%5cREADME.md' .git/config %2Fetc/passwd; do
        ask GET "/files/$path"
        status_is '' 404
    done
    ask POST /files/index.html --data x
    problem_is '' 405
    is 'POST /files/index.html: Allow' 'GET, HEAD, OPTIONS' "$(field allow)"
}

metrics() {
    ask GET /metrics
    status_is '' 200
    is 'GET /metrics: Content-Type' 'text/plain; version=0.0.4; charset=utf-8' "$(field content-type)"
    matches 'GET /metrics: requests of the checks before' \
        'http_server_request_duration_seconds_count\{http_request_method="POST",http_route="/users",' "$body"
}

# ---- connections -------------------------------------------------------------------------------

connections() {
    local opened
    opened=$(curl --silent --max-time 10 --output /dev/null --output /dev/null --write-out '%{num_connects} ' \
        "$base/healthz" "$base/readyz") || true
    is 'two requests: connections opened by each' '1 0 ' "$opened"
    ask GET /healthz --http1.0
    status_is ' by HTTP/1.0' 200
    ask GET /healthz --header 'Connection: close'
    is 'GET /healthz with Connection: close: Connection' close "$(field connection)"
}

raw_requests() {
    local reply
    reply=$(raw "GET /healthz HTTP/1.1${crlf}Host: a$crlf${crlf}GET /readyz HTTP/1.1${crlf}Host: a${crlf}Connection: close$crlf$crlf")
    matches 'two requests at once: two answers in order' \
        "^HTTP/1.1 200 OK.*${crlf}${crlf}okHTTP/1.1 200 OK.*${crlf}${crlf}ready$" "$reply"
    reply=$(raw "HEAD /healthz HTTP/1.1${crlf}Host: a${crlf}Connection: close$crlf$crlf"; printf .)
    is 'HEAD /healthz: no body' "$crlf$crlf." "${reply#"${reply%%"$crlf$crlf"*}"}"

    asked='GET /healthz'
    understand "$(raw "GET /healthz HTTP/1.1$crlf$crlf")"
    status_is ' without Host' 400
    is 'GET /healthz without Host: media type' application/problem+json "$(field content-type)"
    understand "$(raw "GET /healthz HTTP/1.1${crlf}Host : a$crlf$crlf")"
    status_is ' with a space before the colon' 400
    understand "$(raw "GET /healthz HTTP/2.7${crlf}Host: a$crlf$crlf")"
    status_is ' by HTTP/2.7' 505
}

# ---- all of it ---------------------------------------------------------------------------------

if ! curl --silent --max-time 10 --output /dev/null "$base/healthz"; then
    printf 'No server answers at %s: start one with "make serve", or give its URL.\n' "$base" >&2
    exit 1
fi

health
create_and_read
create_in_other_ways
refused_users
refused_ids
methods
files
metrics
connections
if [[ $base =~ ^http://(\[([^]]+)\]|([^/:]+))(:([0-9]+))?$ ]]; then
    host=${BASH_REMATCH[2]:-${BASH_REMATCH[3]}}
    port=${BASH_REMATCH[5]:-80}
    raw_requests
fi

printf '%d checks: %d passed, %d failed\n' $((passed + failed)) "$passed" "$failed"
((failed == 0))
