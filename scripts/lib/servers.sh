# A PostgreSQL and a Redis for one run of the tests. Sourced, not run.
#
#   install_servers   makes sure that the programs are installed, and those that the browser tests start by themselves
#   start_postgres    sets TEST_POSTGRES_URL; its arguments are passed on to the server
#   start_redis       sets TEST_REDIS_URL
#   stop_servers      stops, by process id, what the two started, and removes the directory
#   find_program      prints the path of the program: TARGET, else the first of the given profiles that was built
#
# Never touches a server that it has not started.

SERVERS_DIR=''
SERVER_PIDS=()
# PostgreSQL refuses to run as root; in that case this user runs the servers.
SERVER_USER=''
# The command that cleans up what an interrupted installation would leave behind.
TAKE_BACK=()

fail() {
    printf 'scripts/test: %s\n' "$*" >&2
    exit 1
}

find_program() {
    local candidate profile
    candidate=${TARGET:-}
    for profile in "$@"; do
        [[ -n $candidate && -x $candidate ]] && break
        candidate=${CARGO_TARGET_DIR:-target}/$profile/auth-service
    done
    [[ -x $candidate ]] || fail "the service is not built: cargo build, or say where it is with TARGET"
    printf '%s\n' "$candidate"
}

# The directory of initdb and postgres, the newest first; nothing if there is none.
postgres_bin() {
    local candidates=() folder
    command -v pg_config >/dev/null && candidates+=("$(pg_config --bindir)")
    while IFS= read -r folder; do candidates+=("$folder"); done \
        < <(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -rV)
    command -v postgres >/dev/null && candidates+=("$(dirname "$(command -v postgres)")")
    for folder in "${candidates[@]}"; do
        if [[ -x $folder/initdb && -x $folder/postgres ]]; then
            printf '%s\n' "$folder"
            return
        fi
    done
}

install_servers() {
    local missing=()
    [[ -n $(postgres_bin) ]] || missing+=(postgresql)
    command -v redis-server >/dev/null || missing+=(redis-server)
    command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer ]] || missing+=(pgbouncer)
    [[ -x /usr/sbin/exim4 ]] || missing+=(exim4-daemon-light)
    command -v caddy >/dev/null || missing+=(caddy)
    [[ -n ${CHROMIUM:-} ]] || command -v chromium >/dev/null || missing+=(chromium)
    command -v npm >/dev/null || missing+=(nodejs npm)
    if ((${#missing[@]} > 0)); then
        install_with_apt "${missing[@]}"
    fi
    [[ -n $(postgres_bin) ]] || fail 'PostgreSQL is needed (initdb and postgres), and it could not be installed'
    command -v redis-server >/dev/null || fail 'Redis is needed (redis-server), and it could not be installed'
    node --eval 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' ||
        fail "Node 20 or newer is needed, this is $(node --version)"
}

install_with_apt() {
    local as_root=()
    command -v apt-get >/dev/null ||
        fail "needed and missing: $*. There is no apt-get here: install them in this system's way"
    if ((EUID != 0)); then
        command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
            fail "needed and missing: $*. Run as root: apt-get install $*"
        as_root=(sudo -n)
    fi
    printf 'installing %s\n' "$*"
    # Debian starts a server as soon as it is installed, unless this file forbids it (101).
    local policy=/usr/sbin/policy-rc.d status=0
    if [[ ! -e $policy ]]; then
        TAKE_BACK=("${as_root[@]}" rm -f "$policy")
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
    fi
    {
        "${as_root[@]}" apt-get update -qq &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get install -qq -y --no-install-recommends "$@"
    } || status=$?
    take_back
    ((status == 0)) || fail "apt-get could not install: $*"
}

# Removes what was put into the system only for the duration of the installation.
take_back() {
    if ((${#TAKE_BACK[@]} > 0)); then "${TAKE_BACK[@]}"; fi
    TAKE_BACK=()
}

# Runs a command in place of this shell, as the servers' user.
as_server_user() {
    if [[ -z $SERVER_USER ]]; then
        exec "$@"
    fi
    exec setpriv --reuid="$SERVER_USER" --regid="$(id -g "$SERVER_USER")" --clear-groups \
        env HOME="$SERVERS_DIR" "$@"
}

# Creates the directory once, owned by the user who runs the servers.
prepare_folder() {
    [[ -z $SERVERS_DIR ]] || return 0
    SERVERS_DIR=$(mktemp -d "${TMPDIR:-/tmp}/auth-service-test.XXXXXX")
    if ((EUID == 0)); then
        command -v setpriv >/dev/null || fail 'as root, setpriv (package util-linux) is needed to start PostgreSQL'
        SERVER_USER=nobody
        if id -u postgres >/dev/null 2>&1; then SERVER_USER=postgres; fi
        chown "$SERVER_USER" "$SERVERS_DIR"
    fi
}

# Below the range of ephemeral ports, so that few others are in use there.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((15000 + RANDOM % 15000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return
        fi
    done
    fail 'no free port found'
}

# start_server NAME READY COMMAND...: starts it on a free port (@PORT@ stands for it), waits until READY succeeds, sets PORT.
# A port can be taken between choosing and binding it; then another is tried.
start_server() {
    local name=$1 ready=$2 log="$SERVERS_DIR/$1.log" pid
    shift 2
    for _ in {1..5}; do
        PORT=$(free_port)
        (as_server_user "${@//@PORT@/$PORT}") >"$log" 2>&1 </dev/null &
        pid=$!
        for _ in {1..300}; do
            if ! kill -0 "$pid" 2>/dev/null; then continue 2; fi
            if "$ready" "$PORT"; then
                SERVER_PIDS+=("$pid")
                printf '%s on port %s\n' "$name" "$PORT"
                return
            fi
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
    done
    cat "$log" >&2
    fail "$name did not start"
}

postgres_ready() {
    "$(postgres_bin)/pg_isready" -q -h 127.0.0.1 -p "$1"
}

redis_ready() {
    local answer=''
    { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
    printf 'PING\r\n' >&3
    read -r -t 1 answer <&3 || true
    exec 3>&-
    [[ $answer == +PONG* ]]
}

start_postgres() {
    local bin data
    prepare_folder
    bin=$(postgres_bin)
    data="$SERVERS_DIR/postgres"
    (as_server_user "$bin/initdb" -D "$data" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync) \
        >"$SERVERS_DIR/initdb.log" 2>&1 || {
        cat "$SERVERS_DIR/initdb.log" >&2
        fail 'PostgreSQL could not make its data folder'
    }
    # Nothing here has to survive a power cut; killing the service is not a power cut.
    start_server PostgreSQL postgres_ready "$bin/postgres" -D "$data" -p @PORT@ \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories="$SERVERS_DIR" \
        -c max_connections=500 -c shared_buffers=64MB \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off "$@"
    # For psql, which is on the path on Debian but may not be elsewhere.
    PATH="$PATH:$bin"
    export TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$PORT/postgres"
}

start_redis() {
    prepare_folder
    start_server Redis redis_ready redis-server --port @PORT@ --bind 127.0.0.1 \
        --save '' --appendonly no --dir "$SERVERS_DIR"
    export TEST_REDIS_URL="redis://127.0.0.1:$PORT"
}

stop_servers() {
    local pid
    take_back
    for pid in "${SERVER_PIDS[@]}"; do
        # For PostgreSQL this signal means: shut down now, without waiting for clients. For Redis:
        # shut down.
        kill -INT "$pid" 2>/dev/null || true
    done
    for pid in "${SERVER_PIDS[@]}"; do
        for _ in {1..100}; do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
    done
    SERVER_PIDS=()
    if [[ -n $SERVERS_DIR && -z ${TEST_KEEP:-} ]]; then
        rm -rf "$SERVERS_DIR"
    elif [[ -n $SERVERS_DIR ]]; then
        printf 'kept: %s\n' "$SERVERS_DIR"
    fi
}
