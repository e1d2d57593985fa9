# For the benches beside it, which source it: server and driver built for release, and one instance that ends with the bench.
# It goes by $server and $driver (built if empty), $directory (a fresh one if empty), and $keep (leave it there).
# shellcheck shell=bash

# Builds what is not given and makes $work and bench/results; what was begun is ended and removed when the shell ends.
prepare() {
    target=${CARGO_TARGET_DIR:-target}
    if [ -z "$server" ]; then
        cargo build --release --quiet --bin ctsd
        server=$target/release/ctsd
    fi
    if [ -z "$driver" ]; then
        driver=$(cargo bench --bench load --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
    fi
    mkdir -p "$target" bench/results
    work=${directory:-$(mktemp -d "$target/$1.XXXXXX")}
    mkdir -p "$work"
    instance=$work/instance
    pid=
    trap finish EXIT
}

finish() {
    stop
    [ -n "${keep:-}" ] || rm -rf "$work"
}

# Runs ctsd with these arguments on $instance and returns when it serves, $took seconds later.
start() {
    rm -f "$instance/locks/server.ready"
    local from=$EPOCHREALTIME
    "$server" "$@" --instance "$instance" --log warn >>"$work/server.out" 2>&1 &
    pid=$!
    until [ -e "$instance/locks/server.ready" ]; do
        kill -0 "$pid" 2>/dev/null || { cat "$work/server.out" >&2; exit 2; }
        sleep 0.02
    done
    took=$(python3 -c "print(f'{$EPOCHREALTIME - $from:.2f}')")
}

# A new instance at $port and the two behind it.
quickstart() {
    start quickstart --ldapPort "$port" --ldapsPort $((port + 1)) --adminConnectorPort $((port + 2))
}

# Ends the server in peace, if it runs.
stop() {
    if [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; then
        wait "$pid" || true
    fi
    pid=
}

# The driver, connected as OpenAM's account, for $limit seconds (3000) at the most.
drive() {
    timeout "${limit:-3000}" "$driver" --port "$port" --bind-dn uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com \
        --password-file "$instance/config/secrets/cts-account.password" --server-pid "$pid" "$@"
}
