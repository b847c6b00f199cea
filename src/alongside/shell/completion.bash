# bash completion of alongside; written by `alongside completion bash`.

_alongside_complete() {
    # bash ends words at @ and : as well (COMP_WORDBREAKS), so dns@1.3.0 would be three: what no
    # blank parts is put together again, up to the cursor.
    local line=${COMP_LINE:0:COMP_POINT} apart word found value number last=-1
    local -a words=()
    for ((number = 0; number <= COMP_CWORD; number++)); do
        apart=${line%%[![:blank:]]*}
        line=${line#"$apart"}
        word=${COMP_WORDS[number]}
        ((number < COMP_CWORD)) || word=$line
        if [ "$last" -lt 0 ] || [ -n "$apart" ]; then
            words[++last]=$word
        else
            words[last]+=$word
        fi
        line=${line#"$word"}
    done
    words[last]=${words[last]#[\"\']}

    # Only what stands after the last of these is the word to bash: the answer begins there, and
    # with the @ itself (rl_special_prefixes).
    local kept=${words[last]%"${words[last]##*[$COMP_WORDBREAKS]}"}
    kept=${kept%@}
    COMPREPLY=()
    while IFS= read -r found; do
        value=${found%%$'\t'*}
        case $value in
        :files) compopt -o default ;;
        :folders) compopt -o dirnames ;;
        *)
            COMPREPLY+=("${value#"$kept"}")
            case $value in *@) compopt -o nospace ;; esac
            ;;
        esac
    done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
}

# nosort: newest first, as they come (bash 4.4).
complete -o nosort -F _alongside_complete alongside 2>/dev/null ||
    complete -F _alongside_complete alongside
