#!/bin/sh
# Installed by `alongside init`; taken out by `alongside init --remove`.
# Runs at every change of a ref, several times, so what is no tag leaves within the shell.
@FORMER@
own=@OWN@
state=$1
input='' tags=''

while read -r old new ref; do
    input="$input$old $new $ref
"
    case $ref in
    refs/tags/*) tags="$tags$old $new $ref
" ;;
    esac
done

if [ -x "$former" ]; then printf '%s' "$input" | "$former" "$@" || exit; fi

is_zero() {
    case $1 in *[!0]*) return 1 ;; esac
}

# Packing refs writes the packed ones, which looks just like making them, and prunes the loose
# ones, which looks just like deleting them.
packing() {
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$PPID/cmdline") in
    *" pack-refs "* | *" refs optimize "* | *" refs migrate "*) return 0 ;;
    esac
    return 1
}

# .githooks/reference-transaction-STATE-ACTION-TYPE ID OLD NEW, with ACTION new, moved or del.
scripts() {
    printf '%s' "$input" | while read -r old new ref; do
        case $ref in refs/*/*) ;; *) continue ;; esac
        rest=${ref#refs/}
        type=${rest%%/*} id=${rest#*/}
        if is_zero "$new"; then
            action=del
            if [ "$state" = committed ] && git rev-parse --verify --quiet "$ref" >/dev/null; then
                continue
            fi
        elif is_zero "$old"; then
            action=new
            # A writer that does not say what it expects sends zeros for a ref that is there.
            if [ "$state" = prepared ] && git rev-parse --verify --quiet "$ref" >/dev/null; then
                action=moved
            fi
        elif [ "$old" = "$new" ]; then
            continue
        else
            action=moved
        fi
        script="$own/reference-transaction-$state-$action-$type"
        if [ -x "$script" ]; then "$script" "$id" "$old" "$new" </dev/null || exit; fi
    done
}

if [ -n "$own" ]; then
    if [ -x "$own/reference-transaction" ]; then # as in the article, it runs such scripts itself
        if ! [ "$own/reference-transaction" -ef "$former" ]; then
            printf '%s' "$input" | "$own/reference-transaction" "$@" || exit
        fi
    else
        for script in "$own/reference-transaction-$state-"*; do
            if [ -e "$script" ] && ! packing; then scripts || exit; fi
            break
        done
    fi
fi

[ -n "$tags" ] || exit 0
case $state in
prepared)
    # Only a tag that moves, or one that cannot be an image tag, is alongside's business here.
    asked=''
    while read -r old new ref; do
        [ -n "$ref" ] || continue
        if is_zero "$new"; then continue; fi
        case $ref in *+*) asked=yes ;; esac
        if [ "$old" != "$new" ] && ! is_zero "$old"; then asked=yes; fi
    done <<EOF
$tags
EOF
    [ -n "$asked" ] || exit 0
    ;;
committed) ;;
*) exit 0 ;;
esac
if packing; then exit 0; fi
if [ ! -x @PYTHON@ ]; then
    [ "$state" = prepared ] ||
        echo "alongside:" @PYTHON@ "is gone, so no tag is built. These hooks go with:" @GO@ >&2
    exit 0
fi
@SOCKET@
printf '%s' "$tags" | @ALONGSIDE@ hook reference-transaction "$state" "$PPID"
