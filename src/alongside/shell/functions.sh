# The article's functions, on top of alongside. In .bashrc or .zshrc:
#
#     eval "$(alongside shell-init)"
#
# A container of alongside's is switched as a version. Any other, started by hand with published
# ports, has its ports assigned, as the article does it: in one transaction, for this very
# container, and for UDP flows as well.

container-activate() {
    if [ -z "$1" ]; then
        _alongside_usage container-activate '<svc name>' container-name-1.0.0
        return 1
    fi
    if _alongside_has "$1"; then
        alongside activate "$1"
        return
    fi
    (
        set -f
        set --
        while read -r published target; do
            [ -z "$published" ] || set -- "$@" "${target%/*}:$published/${target#*/}"
        done <<EOF
$_alongside_ports
EOF
        if [ $# = 0 ]; then
            echo "$_alongside_name publishes no port, so there is none to assign." >&2
            exit 1
        fi
        exec alongside port assign "$@"
    )
}

container-deactivate() {
    if [ -z "$1" ]; then
        _alongside_usage container-deactivate '<svc name>' container-name-1.0.0
        return 1
    fi
    if _alongside_has "$1"; then
        alongside deactivate "$1"
        return
    fi
    (
        set -f
        set --
        assigned=$(alongside port list) || exit
        while read -r published target; do
            # Only what leads to this container: another may have the port by now.
            while read -r port reaches; do
                if [ "$port $reaches" = "$target $published" ]; then set -- "$@" "$port"; fi
            done <<EOF
$assigned
EOF
        done <<EOF
$_alongside_ports
EOF
        if [ $# = 0 ]; then
            echo "No port is assigned to $_alongside_name; nothing was changed."
            exit 0
        fi
        exec alongside port unassign "$@"
    )
}

iptables-assign-port() {
    if [ -z "$2" ]; then
        echo "Usage: iptables-assign-port <src port> <dst port> <port type>"
        echo " e.g.: iptables-assign-port 80 50080 tcp"
        return 1
    fi
    alongside port assign "$1:$2/${3:-tcp}"
}

iptables-unassign-port() {
    if [ -z "$2" ]; then
        echo "Usage: iptables-unassign-port <src port> <port type>"
        echo " e.g.: iptables-unassign-port 80 tcp"
        return 1
    fi
    alongside port unassign "$1/$2"
}

iptables-list-assigned-ports() {
    alongside port list
}

# Whether the name is alongside's to switch. If not, _alongside_ports has what the container of
# exactly that name publishes: `49153 53/udp`, a line a port.
_alongside_has() {
    _alongside_name=$1
    _alongside_ports=$(docker container inspect --format '{{if not (index .Config.Labels "alongside.ordinal")}}{{range $port, $to := .NetworkSettings.Ports}}{{range $to}}{{.HostPort}} {{$port}}
{{end}}{{end}}-{{end}}' "$1" 2>/dev/null) || return 0
    case $_alongside_ports in
    *-) _alongside_ports=$(printf '%s\n' "${_alongside_ports%-}" | sort -u) ;;
    *) return 0 ;;
    esac
    return 1
}

_alongside_usage() {
    echo "Usage: $1 $2"
    echo " e.g.: $1 $3"
    echo
    echo "Services:"
    docker ps --format '{{.Names}}'
}
