# fish completion of alongside; written by `alongside completion fish`.

function __alongside_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --current-token --cut-at-cursor)
    for found in ($words[1] complete -- $words[2..] $current 2>/dev/null)
        switch $found
            case :files
                __fish_complete_path $current
            case :folders
                __fish_complete_directories $current
            case '*'
                printf '%s\n' $found
        end
    end
end

# --keep-order: newest first, as they come.
complete --command alongside --no-files --keep-order --arguments '(__alongside_complete)'
