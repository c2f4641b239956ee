function __fish_campaign_exporter_needs_command
    for word in (commandline -opc)[2..]
        if contains -- $word demo authorize backfill completions cost definition init poll report
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
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l config.check -d 'Check the configuration file, the secrets that it names, and the web configuration file, then exit'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l probe -d 'With --config.check, also ask the provider of each account for its recent campaigns; exit code 1 if one cannot be read'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -s V -l version -d 'Print version'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "demo" -d 'Serve live metrics of providers, simulated in this process; needs no account'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "authorize" -d 'Authorize the exporter to read an account with OAuth: print a URL and a code, wait for a user to grant access there, and store the tokens'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "backfill" -d 'Write the campaigns of the past as OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics`: poll every account once, and write one sample of each series, at the time when receipts should have arrived'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "cost" -d 'Print what a configuration costs: series, bytes of a scrape, samples and requests a day, by account and for each profile of metrics. Makes no requests'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "definition" -d 'Check, try, list and show definitions of providers'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "init" -d 'Print a commented configuration for an account at each of the providers. Standard error says what to do next'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "poll" -d 'Poll every account once and print the metrics'
complete -c campaign_exporter -n "__fish_campaign_exporter_needs_command" -f -a "report" -d 'Report on the campaigns of a period and compare it with the one before: poll every account once, reading both periods, or use what a running exporter has stored'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l provider -d 'Provider to simulate. Can be repeated. By default: constant_contact, cinnox, smsup' -r -f -a "constant_contact\t''
cinnox\t''
smsup\t''
activecampaign\t''
brevo_sms\t''
brevo_whatsapp\t''
getresponse\t''
kapso\t''
klaviyo\t''
listmonk\t''
meta_whatsapp\t''
mobizon\t''
onesignal\t''
simpletexting\t''
smsfactor\t''
textmagic\t''"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l seed -d 'Seed of the simulated campaigns; the same seed gives the same campaigns' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l poll-interval -d 'Interval between polls of an account' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand authorize" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l period -d 'How far to read back. Providers can keep less' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l output -d 'File to write instead of standard output' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l account -d 'Backfill only this account' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l job -d 'Label `job` of the series' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l instance -d 'Label `instance` of the series, which tells them from those that are scraped' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand backfill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l campaigns -d 'Campaigns of each account, at most `max_campaigns`, spread evenly over the lookback [default: those in --storage.path]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l scrape-interval -d 'How often Prometheus scrapes the exporter' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l format -d 'Format of the output' -r -f -a "text\t'Tables'
json\t'JSON'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l account -d 'Only this account' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand cost" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -f -a "check" -d 'Check definitions and report every problem'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -f -a "try" -d 'Read saved answers as a poll would, without network, and print the campaigns and metrics'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -f -a "list" -d 'List the built-in definitions'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and not __fish_seen_subcommand_from check try list show" -f -a "show" -d 'Print a built-in definition'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l set -d 'Value of a setting of the account. Can be repeated' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from try" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand definition; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l definition -d 'File of a definition, for an account at a provider of your own. Can be repeated' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l account -d 'Poll only this account' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand poll" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l period -d 'Length of the period' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l format -d 'Format of the report' -r -f -a "html\t'A page of its own'
csv\t'All campaigns, for spreadsheets'
md\t'Markdown'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l output -d 'File to write instead of standard output' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l account -d 'Report only on this account' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l config.file -d 'Configuration file' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l web.listen-address -d 'Address to listen on; all addresses if the host is omitted. Can be repeated; separate several addresses in the environment variable with commas' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l web.config.file -d 'Web configuration file for TLS, basic authentication, response headers and a rate limit, in the format of Prometheus\' exporter toolkit [default: plain HTTP without authentication]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l web.external-url -d 'URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix; /sd uses it for clients that come through the proxy' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l web.route-prefix -d 'Path below which to serve all endpoints, / for none [default: the path of --web.external-url]' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l web.telemetry-path -d 'Path under which to expose metrics, below the prefix' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l storage.path -d 'Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd; otherwise none]' -r -F
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l shard -d 'Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N takes I from the number at the end of the host name' -r
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l log.level -d 'Minimum log level' -r -f -a "debug\t'Everything, including each successful poll'
info\t'Changes'
warn\t'Problems that need attention'
error\t'Errors that end the program or fail a command'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l log.format -d 'Format of log lines' -r -f -a "logfmt\t'`key=value` pairs'
json\t'One JSON object per line'"
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l stored -d 'Use the campaigns in --storage.path, unless they are stale, and make no requests. They reach back as far as the lookback'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l web.systemd-socket -d 'Listen on sockets passed by systemd instead of --web.listen-address'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l web.enable-lifecycle -d 'Enable POST /-/reload'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -l web.disable-request-durations -d 'Leave out the histogram of the durations of requests, 12 of the about 40 series of an account'
complete -c campaign_exporter -n "__fish_campaign_exporter_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
