# How each server is installed, set up for CTS tokens and started. For a server NAME:
#   install_NAME            what the machine lacks of it
#   setup_NAME DIR PORT     an instance in DIR with the CTS schema, container and indexes; LDAPS on PORT + 2
#   start_NAME DIR PORT     sets $pid; the caller waits for the port
#   pid_NAME PID            the server's process once it answers, where it is not PID itself
#   version_NAME, durability_NAME
# All are worked as the root DN (root_dn NAME) with the password in $password_file, so that access control costs none of
# them anything; the suffix is $suffix.

suffix=dc=cts,dc=example,dc=com
root_dn() {
    case $1 in
        # Its root DN must be below the suffix.
        slapd*) echo "cn=Directory Manager,$suffix" ;;
        *) echo "cn=Directory Manager" ;;
    esac
}
indexed() {
    sed -n 's/^ds-cfg-attribute: //p' "$root/ldif/cts-indices.ldif" "$root/ldif/cts-add-multivalue-indices.ldif"
}
schema_files=("$root/ldif/cts-add-schema.ldif" "$root/ldif/cts-add-multivalue.ldif")

packages() {
    dpkg -s "$@" >/dev/null 2>&1 && return
    local sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >&2
}

# The suffix entry and the container, as LDIF that every server takes.
entries() {
    printf 'dn: %s\nobjectClass: top\nobjectClass: domain\ndc: cts\n\n' "$suffix"
    container
}
container() {
    sed '/^#/d; /^changetype:/d' "$root/ldif/cts-container.ldif"
}
modify() { # PORT, then arguments of ldapmodify
    local port=$1
    shift
    ldapmodify -x -H "ldap://127.0.0.1:$port" -D "cn=Directory Manager" -y "$password_file" "$@" >/dev/null
}

# --- ctsd: every write on disk before it is acknowledged

install_ctsd() { :; }
setup_ctsd() {
    "$ctsd" setup --cli --instance "$1" --rootUserDN "cn=Directory Manager" --rootUserPasswordFile "$password_file" \
        --baseDN "$suffix" --profile am-cts --ldapPort "$2" --adminConnectorPort $(($2 + 1)) --ldapsPort $(($2 + 2)) --generateSelfSignedCertificate \
        --doNotStart --no-prompt >&2
}
start_ctsd() {
    "$ctsd" serve --instance "$1" >"$1.out" 2>&1 &
    pid=$!
}
version_ctsd() { "$ctsd" --version; }
durability_ctsd() { echo "on disk before each answer"; }

# --- OpenLDAP, back-mdb: as it is, and with dbnosync

install_slapd() { packages slapd ldap-utils openssl; }
setup_slapd() { # DIR PORT line...
    local dir=$1
    shift 2
    mkdir -p "$dir/db"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
        -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
    awk -v form=slapd -f "$here/schema.awk" "${schema_files[@]}" >"$dir/cts.schema"
    {
        printf 'include /etc/ldap/schema/%s.schema\n' core cosine inetorgperson
        echo "include $dir/cts.schema"
        echo "pidfile $dir/slapd.pid"
        echo "modulepath /usr/lib/ldap"
        echo "moduleload back_mdb"
        echo "TLSCertificateFile $dir/cert.pem"
        echo "TLSCertificateKeyFile $dir/key.pem"
        echo "loglevel 0"
        echo "sizelimit unlimited"
        echo "database mdb"
        echo "maxsize 34359738368"
        echo "suffix $suffix"
        echo "rootdn \"$(root_dn slapd)\""
        echo "rootpw $(slappasswd -T "$password_file")"
        echo "directory $dir/db"
        [ $# -eq 0 ] || printf '%s\n' "$@"
        echo "index objectClass,coreTokenType eq"
        indexed | grep -v '^etag$' | sed 's/.*/index & eq/'
    } >"$dir/slapd.conf"
    entries | slapadd -q -f "$dir/slapd.conf" >&2
}
start_slapd() {
    slapd -d 0 -f "$1/slapd.conf" -h "ldap://127.0.0.1:$2 ldaps://127.0.0.1:$(($2 + 2))" >"$1.out" 2>&1 &
    pid=$!
}
version_slapd() { slapd -VV 2>&1 | sed -n 's/.*\(OpenLDAP: slapd [0-9.]*[^ ]*\).*/\1/p'; }

install_slapd_nosync() { install_slapd; }
setup_slapd_nosync() { setup_slapd "$1" "$2" dbnosync "checkpoint 0 1"; }
start_slapd_nosync() { start_slapd "$@"; }
version_slapd_nosync() { version_slapd; }
durability_slapd_nosync() { echo "none (dbnosync, a sync each minute)"; }

install_slapd_durable() { install_slapd; }
setup_slapd_durable() { setup_slapd "$1" "$2"; }
start_slapd_durable() { start_slapd "$@"; }
version_slapd_durable() { version_slapd; }
durability_slapd_durable() { echo "on disk before each answer (default)"; }

# --- 389 Directory Server: its log synced at commit (default)

install_ds389() {
    packages 389-ds-base ldap-utils
    # Its tools ask systemd to start an instance, unless they are told here that there is none.
    [ -d /run/systemd/system ] || sed -i 's/^with_systemd *=.*/with_systemd = 0/' /usr/share/dirsrv/inf/defaults.inf
}
ds389_instance() { echo "ctsbench$1"; }
setup_ds389() {
    local name
    name=$(ds389_instance "$2")
    [ ! -d "/etc/dirsrv/slapd-$name" ] || dsctl "$name" remove --do-it >&2
    mkdir -p "$1"
    cat >"$1/setup.inf" <<TEXT
[general]
full_machine_name = localhost
start = False
strict_host_checking = False
systemd = False
[slapd]
instance_name = $name
port = $2
secure_port = $(($2 + 2))
self_sign_cert = True
root_dn = cn=Directory Manager
root_password = $(cat "$password_file")
db_dir = $1/db
ldif_dir = $1/ldif
backup_dir = $1/bak
[backend-userroot]
suffix = $suffix
create_suffix_entry = True
TEXT
    dscreate from-file "$1/setup.inf" >&2
    echo "$name" >"$1/name"
    start_ds389 "$1" "$2"
    wait_port "$2"
    {
        printf 'dn: cn=schema\nchangetype: modify\nadd: attributeTypes\n'
        awk -v form=ldif -f "$here/schema.awk" "${schema_files[@]}" | sed '/^objectClasses/i -\nadd: objectClasses'
    } | modify "$2"
    local attribute
    for attribute in coreTokenType $(indexed | grep -v '^etag$'); do
        printf 'dn: cn=%s,cn=index,cn=userRoot,cn=ldbm database,cn=plugins,cn=config\n' "$attribute"
        printf 'objectClass: top\nobjectClass: nsIndex\ncn: %s\nnsSystemIndex: false\nnsIndexType: eq\n\n' "$attribute"
    done | modify "$2" -a
    container | modify "$2" -a
    kill "$pid"
    wait "$pid" || true
}
start_ds389() {
    local name
    name=$(cat "$1/name")
    rm -f "/run/dirsrv/slapd-$name.pid"
    ns-slapd -D "/etc/dirsrv/slapd-$name" -i "/run/dirsrv/slapd-$name.pid" -d 0 >"$1.out" 2>&1 &
    pid=$!
}
remove_ds389() { [ ! -f "$1/name" ] || dsctl "$(cat "$1/name")" remove --do-it >&2 || true; }
version_ds389() { ns-slapd -v 2>&1 | sed -n 's/^\(389-Directory[^ ]*\).*/\1/p'; }
durability_ds389() { echo "log on disk before each answer (default)"; }

# --- OpenDJ: default commits, which are not synced

opendj_version=5.0.3
install_opendj() {
    command -v java >/dev/null && command -v mvn >/dev/null && command -v unzip >/dev/null ||
        packages default-jre-headless maven unzip
    local zip=$store/opendj-server-legacy-$opendj_version.zip
    [ -f "$zip" ] || mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        -Dartifact=org.openidentityplatform.opendj:opendj-server-legacy:$opendj_version:zip -DoutputDirectory="$store" >&2
    [ -d "$store/opendj" ] || unzip -q -d "$store" "$zip"
}
setup_opendj() {
    cp -a "$store/opendj" "$1"
    (
        cd "$1"
        export OPENDJ_JAVA_ARGS="-Xms512m -Xmx512m"
        ./setup --cli --no-prompt --acceptLicense --doNotStart --rootUserDN "cn=Directory Manager" \
            --rootUserPasswordFile "$password_file" --hostname localhost --ldapPort "$2" \
            --adminConnectorPort $(($2 + 1)) --ldapsPort $(($2 + 2)) --generateSelfSignedCertificate \
            --baseDN "$suffix" --backendType je --addBaseEntry
    ) >&2
    start_opendj "$1" "$2"
    wait_port "$2"
    local file
    for file in cts-add-schema cts-add-multivalue cts-indices cts-add-multivalue-indices cts-container; do
        modify "$2" -f "$root/ldif/$file.ldif"
    done
    kill "$(pid_opendj "$pid")"
    wait "$pid" || true
    # Indexes made on a backend that holds only the container are complete once they are rebuilt.
    (cd "$1" && OPENDJ_JAVA_ARGS="-Xmx512m" bin/rebuild-index --baseDN "$suffix" --rebuildAll --offline) >/dev/null 2>&1
}
start_opendj() {
    OPENDJ_JAVA_ARGS="-server -Xms2g -Xmx2g" "$1/bin/start-ds" --nodetach >"$1.out" 2>&1 &
    pid=$!
}
# The tool's shell first runs a check in a virtual machine of its own, then the server's.
pid_opendj() { pgrep -P "$1" java || echo "$1"; }
version_opendj() { echo "OpenDJ $opendj_version, $(java -version 2>&1 | head -1)"; }
durability_opendj() { echo "none of the disk: a commit is with the kernel (default)"; }
