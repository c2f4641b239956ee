function __fish_campaign_exporter_needs_command
    for word in (commandline -opc)[2..]
        if contains -- $word demo authorize poll
            echo $word
            return 1
        end
    end
    return 0
end

function __fish_campaign_exporter_using_subcommand
    set -l cmd (__fish_campaign_exporter_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.listen-address -d 'Address to listen on; without a host, all addresses. Can be given several times; in the environment, with commas between them' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.config.file -d 'File with TLS, users, headers and a rate limit of the web server, in the format of Prometheus\' exporter toolkit [default: plain HTTP for everybody]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.telemetry-path -d 'Path of the metrics' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l storage.path -d 'Folder for tokens and data that have to outlive the process [default: systemd\'s $STATE_DIRECTORY, else none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l shard -d 'Read only the accounts of one of N exporters with the same configuration: I counts from 0; auto/N takes the number at the end of the host\'s name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l log.level -d 'What is logged' -r -f -a "debug\t'Everything, each good poll included'
info\t'What changes'
warn\t'What needs a look'
error\t'What ends the program, or keeps it from doing as it was told'"
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l log.format -d 'How log lines are written' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object a line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l config.check -d 'Check the configuration file, and that of the web server, and exit'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.systemd-socket -d 'Listen on the sockets that systemd passes instead'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.enable-lifecycle -d 'Allow POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -s V -l version -d 'Print version'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "demo" -d 'Serve live metrics of all providers, simulated in this process: no account is needed'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "authorize" -d 'Let the exporter read an account of Constant Contact: prints an address and a code, waits for a person to consent there, and stores the tokens'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "poll" -d 'Poll every account once and print the metrics'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l seed -d 'Makes the same campaigns for the same number' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l poll-interval -d 'How often the accounts are read' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.listen-address -d 'Address to listen on; without a host, all addresses. Can be given several times; in the environment, with commas between them' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.config.file -d 'File with TLS, users, headers and a rate limit of the web server, in the format of Prometheus\' exporter toolkit [default: plain HTTP for everybody]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.telemetry-path -d 'Path of the metrics' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l storage.path -d 'Folder for tokens and data that have to outlive the process [default: systemd\'s $STATE_DIRECTORY, else none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l shard -d 'Read only the accounts of one of N exporters with the same configuration: I counts from 0; auto/N takes the number at the end of the host\'s name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l log.level -d 'What is logged' -r -f -a "debug\t'Everything, each good poll included'
info\t'What changes'
warn\t'What needs a look'
error\t'What ends the program, or keeps it from doing as it was told'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l log.format -d 'How log lines are written' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object a line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.systemd-socket -d 'Listen on the sockets that systemd passes instead'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.enable-lifecycle -d 'Allow POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.listen-address -d 'Address to listen on; without a host, all addresses. Can be given several times; in the environment, with commas between them' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.config.file -d 'File with TLS, users, headers and a rate limit of the web server, in the format of Prometheus\' exporter toolkit [default: plain HTTP for everybody]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.telemetry-path -d 'Path of the metrics' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l storage.path -d 'Folder for tokens and data that have to outlive the process [default: systemd\'s $STATE_DIRECTORY, else none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l shard -d 'Read only the accounts of one of N exporters with the same configuration: I counts from 0; auto/N takes the number at the end of the host\'s name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l log.level -d 'What is logged' -r -f -a "debug\t'Everything, each good poll included'
info\t'What changes'
warn\t'What needs a look'
error\t'What ends the program, or keeps it from doing as it was told'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l log.format -d 'How log lines are written' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object a line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.systemd-socket -d 'Listen on the sockets that systemd passes instead'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.enable-lifecycle -d 'Allow POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l account -d 'Only this account' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.listen-address -d 'Address to listen on; without a host, all addresses. Can be given several times; in the environment, with commas between them' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.config.file -d 'File with TLS, users, headers and a rate limit of the web server, in the format of Prometheus\' exporter toolkit [default: plain HTTP for everybody]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.telemetry-path -d 'Path of the metrics' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l storage.path -d 'Folder for tokens and data that have to outlive the process [default: systemd\'s $STATE_DIRECTORY, else none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l shard -d 'Read only the accounts of one of N exporters with the same configuration: I counts from 0; auto/N takes the number at the end of the host\'s name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l log.level -d 'What is logged' -r -f -a "debug\t'Everything, each good poll included'
info\t'What changes'
warn\t'What needs a look'
error\t'What ends the program, or keeps it from doing as it was told'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l log.format -d 'How log lines are written' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object a line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.systemd-socket -d 'Listen on the sockets that systemd passes instead'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.enable-lifecycle -d 'Allow POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -s h -l help -d 'Print help (see more with \'--help\')'
