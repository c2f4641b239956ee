//! The command line. Long options follow the naming of Prometheus' own programs.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, PossibleValuesParser};
use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, ArgGroup, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use reqwest::Url;

use crate::commands::cost::{CostFormat, MAX_CAMPAIGNS};
use crate::commands::report::ReportFormat;
use crate::config::MAX_DURATION;
use crate::config::sharding::Shard;
use crate::document::parse_duration;
use crate::logging::{LogFormat, LogLevel};
use crate::provider;
use crate::provider::definition::built_in::BUILT_IN;
use crate::web::endpoints;
use crate::web::listeners::Listen;
use crate::web::routes::{self, Routes};

/// Default listen address. The port follows the highest one in Prometheus' list of default ports.
const LISTEN_ADDRESS: &str = ":10058";

const MORE_OPTIONS: &str = "campaign_exporter --help lists the options of all commands.";

const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("CAMPAIGN_EXPORTER_REVISION"),
    ", rustc ",
    env!("CAMPAIGN_EXPORTER_RUSTC_VERSION"),
    ")"
);

/// Prometheus exporter for messaging campaigns.
///
/// Without a command, it polls every configured account at an interval and serves the counts and
/// rates of its campaigns as metrics.
#[derive(Debug, Parser)]
#[command(name = "campaign_exporter", version = LONG_VERSION)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub options: Options,
    /// Command to run instead of the daemon.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of all commands.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of all commands")]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub struct Options {
    /// Configuration file.
    #[arg(
        long = "config.file",
        env = "CAMPAIGN_EXPORTER_CONFIG_FILE",
        default_value = "campaign_exporter.yml",
        value_name = "PATH",
        global = true
    )]
    pub config_file: PathBuf,

    /// Check the configuration file, the secrets that it names, and the web configuration file, then
    /// exit.
    #[arg(
        long = "config.check",
        env = "CAMPAIGN_EXPORTER_CONFIG_CHECK",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    pub config_check: bool,

    /// With --config.check, also ask the provider of each account for its recent campaigns; exit code 1
    /// if one cannot be read.
    #[arg(long, requires = "config_check")]
    pub probe: bool,

    /// Address to listen on; all addresses if the host is omitted. Can be repeated; separate several
    /// addresses in the environment variable with commas.
    #[arg(
        long = "web.listen-address",
        env = "CAMPAIGN_EXPORTER_WEB_LISTEN_ADDRESS",
        default_value = LISTEN_ADDRESS,
        value_name = "[HOST]:PORT",
        value_parser = listen_address,
        value_delimiter = ',',
        action = ArgAction::Append,
        global = true
    )]
    pub listen_addresses: Vec<String>,

    /// Listen on sockets passed by systemd instead of --web.listen-address.
    #[arg(
        long = "web.systemd-socket",
        env = "CAMPAIGN_EXPORTER_WEB_SYSTEMD_SOCKET",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
        global = true
    )]
    pub systemd_socket: bool,

    /// Web configuration file for TLS, basic authentication, response headers and a rate limit, in the
    /// format of Prometheus' exporter toolkit [default: plain HTTP without authentication]
    #[arg(
        long = "web.config.file",
        env = "CAMPAIGN_EXPORTER_WEB_CONFIG_FILE",
        value_name = "PATH",
        global = true
    )]
    pub web_config_file: Option<PathBuf>,

    /// URL at which a reverse proxy shows the exporter. Its path is the default of --web.route-prefix;
    /// /sd uses it for clients that come through the proxy.
    #[arg(
        long = "web.external-url",
        env = "CAMPAIGN_EXPORTER_WEB_EXTERNAL_URL",
        value_name = "URL",
        value_parser = routes::external_url,
        global = true
    )]
    pub external_url: Option<Url>,

    /// Path below which to serve all endpoints, / for none [default: the path of --web.external-url]
    #[arg(
        long = "web.route-prefix",
        env = "CAMPAIGN_EXPORTER_WEB_ROUTE_PREFIX",
        value_name = "PATH",
        value_parser = path,
        global = true
    )]
    pub route_prefix: Option<String>,

    /// Path under which to expose metrics, below the prefix.
    #[arg(
        long = "web.telemetry-path",
        env = "CAMPAIGN_EXPORTER_WEB_TELEMETRY_PATH",
        default_value = "/metrics",
        value_name = "PATH",
        value_parser = telemetry_path,
        global = true
    )]
    pub telemetry_path: String,

    /// Enable POST /-/reload.
    #[arg(
        long = "web.enable-lifecycle",
        env = "CAMPAIGN_EXPORTER_WEB_ENABLE_LIFECYCLE",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
        global = true
    )]
    pub lifecycle: bool,

    /// Leave out the histogram of the durations of requests, 12 of the about 40 series of an account
    #[arg(
        long = "web.disable-request-durations",
        env = "CAMPAIGN_EXPORTER_WEB_DISABLE_REQUEST_DURATIONS",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
        global = true
    )]
    pub disable_request_durations: bool,

    /// Directory for tokens and data that survive restarts [default: $STATE_DIRECTORY, set by systemd;
    /// otherwise none]
    #[arg(
        long = "storage.path",
        env = "CAMPAIGN_EXPORTER_STORAGE_PATH",
        value_name = "PATH",
        global = true
    )]
    pub storage_path: Option<PathBuf>,

    /// Read only the accounts of shard I (0 to N-1) of N exporters that share a configuration; auto/N
    /// takes I from the number at the end of the host name
    #[arg(
        long = "shard",
        env = "CAMPAIGN_EXPORTER_SHARD",
        value_name = "I/N|auto/N",
        global = true
    )]
    pub shard: Option<Shard>,

    /// Minimum log level.
    #[arg(
        long = "log.level",
        env = "CAMPAIGN_EXPORTER_LOG_LEVEL",
        default_value = "info",
        ignore_case = true,
        value_name = "LEVEL",
        global = true
    )]
    pub log_level: LogLevel,

    /// Format of log lines.
    #[arg(
        long = "log.format",
        env = "CAMPAIGN_EXPORTER_LOG_FORMAT",
        default_value = "logfmt",
        ignore_case = true,
        value_name = "FORMAT",
        global = true
    )]
    pub log_format: LogFormat,
}

impl Cli {
    /// Reads the arguments of this process.
    pub fn from_arguments() -> Result<Self, clap::Error> {
        Self::from_arg_matches(&parser().try_get_matches().map_err(advised)?)
    }
}

/// The error with advice for a provider that `init` does not know.
fn advised(mut error: clap::Error) -> clap::Error {
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    if argument.is_some_and(|argument| argument == "[PROVIDER]...") {
        let tip = "for a provider of your own, use --definition FILE".into();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// The parser of the command line. The help of a command leaves the options of all commands to that of
/// the program.
fn parser() -> clap::Command {
    fn own_help(command: clap::Command) -> clap::Command {
        command.mut_subcommands(|command| {
            let command = command.mut_args(|argument| {
                let is_global = argument.is_global_set();
                argument.hide_short_help(is_global).hide_long_help(is_global)
            });
            own_help(command.after_help(MORE_OPTIONS))
        })
    }
    let mut command = Cli::command();
    command.build();
    own_help(command)
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[cfg(feature = "demo")]
    /// Serve live metrics of providers, simulated in this process; needs no account.
    Demo {
        /// Provider to simulate.
        #[arg(
            long = "provider",
            help = format!(
                "Provider to simulate. Can be repeated. By default: {}",
                provider::native().names().join(", ")
            ),
            value_name = "PROVIDER",
            value_delimiter = ',',
            value_parser = providers()
        )]
        providers: Vec<String>,
        /// Seed of the simulated campaigns; the same seed gives the same campaigns.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Interval between polls of an account.
        #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = duration)]
        poll_interval: Duration,
    },
    /// Authorize the exporter to read an account with OAuth: print a URL and a code, wait for a user
    /// to grant access there, and store the tokens.
    Authorize {
        /// Name of the account in the configuration.
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Write the campaigns of the past as OpenMetrics with timestamps, for `promtool tsdb
    /// create-blocks-from openmetrics`: poll every account once, and write one sample of each series, at
    /// the time when receipts should have arrived.
    Backfill {
        /// How far to read back. Providers can keep less.
        #[arg(long, default_value = "180d", value_name = "DURATION", value_parser = period)]
        period: Duration,
        /// File to write instead of standard output.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Backfill only this account.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Label `job` of the series.
        #[arg(long, default_value = "campaign_exporter", value_name = "JOB")]
        job: String,
        /// Label `instance` of the series, which tells them from those that are scraped.
        #[arg(long, default_value = "backfill", value_name = "INSTANCE")]
        instance: String,
    },
    /// Print the completion script of a shell.
    Completions {
        /// Shell that loads the script.
        shell: Shell,
    },
    /// Print what a configuration costs: series, bytes of a scrape, samples and requests a day, by account
    /// and for each profile of metrics. Makes no requests.
    Cost {
        /// Campaigns of each account, at most `max_campaigns`, spread evenly over the lookback [default:
        /// those in --storage.path]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_CAMPAIGNS))]
        campaigns: Option<u64>,
        /// How often Prometheus scrapes the exporter.
        #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = interval)]
        scrape_interval: Duration,
        /// Format of the output.
        #[arg(long, default_value = "text", value_name = "FORMAT")]
        format: CostFormat,
        /// Only this account.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
    },
    /// Check, try, list and show definitions of providers.
    Definition {
        /// What to do.
        #[command(subcommand)]
        command: DefinitionCommand,
    },
    /// Print a commented configuration for an account at each of the providers. Standard error says
    /// what to do next.
    #[command(group(ArgGroup::new("accounts").required(true).multiple(true)))]
    Init {
        /// Providers of the accounts.
        #[arg(
            value_name = "PROVIDER",
            group = "accounts",
            value_parser = providers()
        )]
        providers: Vec<String>,
        /// File of a definition, for an account at a provider of your own. Can be repeated.
        #[arg(long = "definition", value_name = "FILE", group = "accounts")]
        definitions: Vec<PathBuf>,
    },
    /// Poll every account once and print the metrics.
    Poll {
        /// Poll only this account.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
    },
    /// Report on the campaigns of a period and compare it with the one before: poll every account once,
    /// reading both periods, or use what a running exporter has stored.
    Report {
        /// Length of the period.
        #[arg(long, default_value = "30d", value_name = "DURATION", value_parser = period)]
        period: Duration,
        /// Format of the report.
        #[arg(long, default_value = "html", value_name = "FORMAT")]
        format: ReportFormat,
        /// File to write instead of standard output.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Report only on this account.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Use the campaigns in --storage.path, unless they are stale, and make no requests. They
        /// reach back as far as the lookback.
        #[arg(long)]
        stored: bool,
    },
}

/// What to do with definitions.
#[derive(Debug, Subcommand)]
pub enum DefinitionCommand {
    /// Check definitions and report every problem.
    Check {
        /// Files of definitions.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Read saved answers as a poll would, without network, and print the campaigns and metrics.
    Try {
        /// File of a definition, or the name of a built-in one.
        #[arg(value_name = "FILE|NAME")]
        definition: PathBuf,
        /// Files with the answers, in the order of the requests: their bodies, or all that `curl -i`
        /// prints. Without any, the requests are printed that the first answers are for.
        #[arg(value_name = "ANSWER")]
        answers: Vec<PathBuf>,
        /// Value of a setting of the account. Can be repeated.
        #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
        settings: Vec<(String, String)>,
    },
    /// List the built-in definitions.
    List,
    /// Print a built-in definition.
    Show {
        /// The name of the provider.
        #[arg(value_parser = definitions())]
        name: String,
    },
}

impl Options {
    /// Returns the sockets to listen on.
    pub fn listen(&self) -> Listen {
        if self.systemd_socket {
            Listen::Systemd
        } else {
            Listen::Addresses(self.listen_addresses.clone())
        }
    }

    /// Returns the paths of the endpoints.
    pub fn routes(&self) -> Routes {
        let external = self.external_url.as_ref().map(Url::path);
        let prefix = self.route_prefix.as_deref().or(external);
        Routes {
            telemetry_path: self.telemetry_path.clone(),
            prefix: routes::prefix(prefix.unwrap_or_default()),
            external_url: self.external_url.clone(),
        }
    }

    /// Returns the web configuration file. An empty path means none, as in Prometheus' programs.
    pub fn web_config(&self) -> Option<PathBuf> {
        let given = self.web_config_file.clone();
        given.filter(|path| !path.as_os_str().is_empty())
    }

    /// Returns the directory for tokens and data.
    pub fn storage(&self) -> Option<PathBuf> {
        let given = self.storage_path.clone();
        given.filter(|path| !path.as_os_str().is_empty()).or_else(|| {
            // systemd separates several directories by colons
            let directories = std::env::var("STATE_DIRECTORY").ok()?;
            let first = directories.split(':').next()?;
            (!first.is_empty()).then(|| PathBuf::from(first))
        })
    }
}

fn providers() -> PossibleValuesParser {
    let kinds = provider::built_in();
    kinds.names().into_iter().map(str::to_owned).collect::<Vec<_>>().into()
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn definitions() -> PossibleValuesParser {
    let names = BUILT_IN.iter().map(|definition| definition.name);
    names.collect::<Vec<_>>().into()
}

fn listen_address(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    if port.parse::<u16>().is_ok() && (is_bracketed || !host.contains([':', '/'])) {
        Ok(text.to_owned())
    } else {
        Err("expected HOST:PORT, [IPV6]:PORT or :PORT".to_owned())
    }
}

#[cfg(feature = "demo")]
fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a duration such as 5s or 2m".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).filter(|it| it.as_secs() > 0);
    interval.ok_or_else(|| "expected a duration of at least 1s, such as 30s or 1m".to_owned())
}

fn period(text: &str) -> Result<Duration, String> {
    let period = parse_duration(text).filter(|it| !it.is_zero() && *it <= MAX_DURATION);
    period.ok_or_else(|| "expected a duration such as 7d or 30d, at most 3650d".to_owned())
}

fn telemetry_path(text: &str) -> Result<String, String> {
    if endpoints::is_taken(text) {
        return Err("already the path of another endpoint".to_owned());
    }
    path(text)
}

fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("must start with a slash".to_owned());
    }
    // clients escape all other characters, so such a path would never match
    if !text.chars().all(|char| char.is_ascii_alphanumeric() || "/-._~".contains(char)) {
        return Err("may only contain letters, digits and / - . _ ~".to_owned());
    }
    // clients resolve these before they send them
    let mut segments = text.split('/').skip(1);
    if segments.any(|segment| matches!(segment, "." | "..")) || text.contains("//") {
        return Err("must not contain //, /./ or /../".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_a_command_has_its_own_options() {
        let mut shown = Vec::new();
        for arguments in [&["--help"][..], &["poll", "--help"], &["definition", "try", "-h"]] {
            let arguments = ["campaign_exporter"].iter().chain(arguments);
            let help = parser().try_get_matches_from(arguments).unwrap_err().to_string();
            shown.push(["--log.level", "--account", "--set"].map(|flag| help.contains(flag)));
        }
        assert_eq!(shown, [[true, false, false], [false, true, false], [false, false, true]]);
        let given = ["campaign_exporter", "definition", "list", "--log.level=warn"];
        assert!(parser().try_get_matches_from(given).is_ok());
    }

    #[test]
    fn init_says_what_to_do_with_an_own_definition() {
        let given = ["campaign_exporter", "init", "parakeet"];
        let error = advised(parser().try_get_matches_from(given).unwrap_err()).to_string();
        assert!(error.contains("for a provider of your own, use --definition FILE"), "{error}");
    }

    #[test]
    fn every_flag_and_the_port_are_documented() {
        let readme = include_str!("../README.md");
        let flags = include_str!("../docs/flags.md");
        for argument in Cli::command().get_arguments() {
            // the others are clap's own and those of commands
            let is_ours = |long: &&str| long.contains('.') || *long == "shard";
            if let Some(long) = argument.get_long().filter(is_ours) {
                let listed = |end| flags.contains(&format!("`--{long}{end}"));
                assert!(listed('`') || listed(' '), "--{long}");
                let variable = long.to_uppercase().replace(['.', '-'], "_");
                let variable = format!("CAMPAIGN_EXPORTER_{variable}");
                assert_eq!(argument.get_env(), Some(variable.as_ref()), "--{long}");
            }
        }
        assert!(readme.contains(&format!("localhost{LISTEN_ADDRESS}")));
    }

    #[test]
    fn addresses_and_paths_are_checked() {
        for good in [":10058", "localhost:0", "[::1]:80", "0.0.0.0:9"] {
            assert!(listen_address(good).is_ok(), "{good}");
        }
        for bad in ["", "localhost", ":x", ":65536", "10058", "::1:80", "http://x:1", "//x:1"] {
            assert!(listen_address(bad).is_err(), "{bad}");
        }
        for good in ["/metrics", "/", "/a/b-c_d.e~"] {
            assert!(telemetry_path(good).is_ok(), "{good}");
        }
        let bad = "|metrics|/-/healthy|/config|/status|/sd|/m?x|/m#x|/a b|/é|/..|/a/../b|//|/a//b|/./|/a/.";
        for bad in bad.split('|') {
            assert!(telemetry_path(bad).is_err(), "{bad}");
        }
    }
}
