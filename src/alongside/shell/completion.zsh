#compdef alongside
# zsh completion of alongside; written by `alongside completion zsh`.

_alongside() {
    local found value remark
    local -a values shown open
    for found in "${(@f)$("${words[1]}" complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        value=${found%%$'\t'*}
        remark=${found#"$value"}
        remark=${remark#$'\t'}
        case $value in
        '') ;;
        :files) _files && return ;;
        :folders) _files -/ && return ;;
        *@) open+=("$value") ;;
        *)
            values+=("$value")
            shown+=("$value${remark:+  -- $remark}")
            ;;
        esac
    done
    # -V: newest first, as they come.
    (( $#open )) && compadd -V services -S '' -- "${open[@]}"
    (( $#values )) && compadd -V alongside -l -d shown -- "${values[@]}"
}

if [ "$funcstack[1]" = _alongside ]; then
    _alongside "$@"
else
    compdef _alongside alongside
fi
