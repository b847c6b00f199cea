# The baseline: the functions of the article that the project grew from, their text unchanged.
# `sudo` is given as a function, and bench/bin has one for xargs: root needs none, and the real
# one would only be slower.

sudo() { "$@"; }

# Clients before Docker 23 take --format json for a text.
docker() {
    local arguments=() argument
    for argument in "$@"; do
        [ "$argument" = json ] && argument='{{json .}}'
        arguments+=("$argument")
    done
    command docker "${arguments[@]}"
}

function iptables-assign-port() {(
    set -e

    local srcPort=$1
    local dstPort=$2
    local portType=$3

    if [ -z $dstPort ]; then
        echo "Usage: $FUNCNAME <src port> <dst port> <port type>"
        echo " e.g.: $FUNCNAME 80 50080 tcp"
        return 1
    fi

    iptables-unassign-port $srcPort $portType
    local comment="redirect:port:$portType:$srcPort"
    local redirect="-t nat -p $portType --dport $srcPort -j REDIRECT --to-port $dstPort -m comment --comment $comment"
    local accept="-A INPUT -p $portType -j ACCEPT -m comment --comment $comment --dport"

    sudo /sbin/iptables $accept $srcPort
    sudo /sbin/iptables $accept $dstPort
    sudo /sbin/iptables -A PREROUTING $redirect
    sudo /sbin/iptables -A OUTPUT -o lo $redirect
)}

function iptables-unassign-port() {(
    set -e

    local srcPort=$1
    local portType=$2

    if [ -z $portType ]; then
        echo "Usage: $FUNCNAME <src port> <port type>"
        echo " e.g.: $FUNCNAME 80 tcp"
        return 1
    fi

    comment="redirect:port:$portType:$srcPort"

    sudo /sbin/iptables-save | while read line; do
        if [[ $line =~ ^\*(.*) ]]; then
            table=${BASH_REMATCH[1]}
            continue
        fi

        command=$(echo "$line" | grep -- "$comment" | sed 's/^-A/-D/g')

        [ -n "$command" ] || continue

        echo $command | xargs sudo /sbin/iptables -t $table
    done
)}

function iptables-list-assigned-ports() {

    comment="redirect:port:$srcPort"

    sudo /sbin/iptables-save | grep "$comment"
}

function container-activate() {(
    set -e

    local svcName=$1

    if [ -z $svcName ]; then
        echo "Usage: $FUNCNAME <svc name>"
        echo " e.g.: $FUNCNAME container-name-1.0.0"
        echo
        echo "Services:"
        docker ps --format json|jq -r .Names
        return 1
    fi

    while read dst src type; do
        iptables-assign-port $src $dst $type
    done < <(docker ps -f name=$svcName --format json|jq -r .Ports|sed 's/, /\n/g' | sed 's/^.*://g' | sed 's/->/ /g' | sed 's#/# #g')
)}

function container-deactivate() {(
    set -e

    local svcName=$1

    if [ -z $svcName ]; then
        echo "Usage: $FUNCNAME <svc name>"
        echo " e.g.: $FUNCNAME container-name-1.0.0"
        echo
        echo "Services:"
        docker ps --format json|jq -r .Names
        return 1
    fi

    while read dst src type; do
        iptables-unassign-port $src $type
    done < <(docker ps -f name=$svcName --format json|jq -r .Ports|sed 's/, /\n/g' | sed 's/^.*://g' | sed 's/->/ /g' | sed 's#/# #g')
)}
