# Installed by `alongside init`; taken out by `alongside init --remove`.
# Sets `former` to the hook that git would run if alongside were not here. Who wrote core.hooksPath
# last is asked of git when a configuration has changed since it was last asked: husky writes it at
# every `npm install`.
place=${0%/*}
common=${place%/alongside/hooks}
known=$common/alongside/former # whose home, and the folder

is_known() { # what the environment configures is in no file
    [ -z "$GIT_CONFIG_GLOBAL$GIT_CONFIG_SYSTEM$GIT_CONFIG_COUNT$GIT_CONFIG_PARAMETERS" ] || return
    for file in "$common/config" "$HOME/.gitconfig" "${XDG_CONFIG_HOME:-$HOME/.config}/git/config" \
        /etc/gitconfig; do
        if [ -e "$file" ] && ! [ "$known" -nt "$file" ]; then return 1; fi
    done
    { read -r home && read -r folder; } <"$known" && [ "$home" = "$HOME" ]
}

ask() {
    folder=$common/hooks
    mark=$known.$$
    { : >"$mark"; } 2>/dev/null # its time is that of the question
    while read -r path; do
        [ -z "$path" ] || [ "$path" = "$place" ] || folder=$path
    done <<CONFIGURED
$(git config --type=path --get-all core.hooksPath)
CONFIGURED
    if [ -e "$mark" ]; then
        printf '%s\n%s\n' "$HOME" "$folder" >"$mark.new" && touch -r "$mark" "$mark.new" &&
            mv -f "$mark.new" "$known"
        rm -f "$mark" "$mark.new"
    fi 2>/dev/null
}

is_known 2>/dev/null || ask
former=$folder/${0##*/}
# alongside's own are in git's folder, too.
if [ "$former" -ef "$common/hooks/${0##*/}" ]; then
    case ${0##*/} in reference-transaction | post-receive) former=$former.former ;; esac
fi
if [ -x "$0.former" ]; then former=$0.former; fi # a manager's, which git sent here
