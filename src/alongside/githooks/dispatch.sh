#!/bin/sh
# Installed by `alongside init`; taken out by `alongside init --remove`.
# Runs the hook of this name that was here before, then the repository's own in .githooks/,
# then alongside's part of it. The first that fails decides.
@FORMER@
own=@OWN@
name=${0##*/}

run() { # script, then its arguments; standard input is $input where the hook has one
    [ -x "$1" ] || return 0
    if [ -n "$reads" ]; then printf '%s' "$input" | "$@"; else "$@"; fi
}

reads='' input=''
case $name in
pre-push | pre-receive | post-receive | post-rewrite | proc-receive)
    reads=yes
    input=$(cat; echo .)
    input=${input%.}
    ;;
esac

run "$former" "$@" || exit
if [ -n "$own" ] && ! [ "$own/$name" -ef "$former" ]; then
    run "$own/$name" "$@" || exit
fi

if [ "$name" = post-receive ]; then
    case $input in
    *" refs/tags/"*)
        if [ ! -x @PYTHON@ ]; then
            echo "alongside:" @PYTHON@ "is gone, so no tag is built. These hooks go with:" @GO@ >&2
            exit 0
        fi
        @SOCKET@
        printf '%s' "$input" | @ALONGSIDE@ hook post-receive
        ;;
    esac
fi
exit 0
