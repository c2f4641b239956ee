//! The command line. Long options are spelled as Prometheus' own programs spell theirs.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::config::sharding::Shard;
use crate::document::parse_duration;
use crate::logging::{LogFormat, LogLevel};
use crate::web::listeners::Listen;

/// The port, next after the highest claimed in the list of Prometheus' default ports.
const LISTEN_ADDRESS: &str = ":10058";

const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("CAMPAIGN_EXPORTER_REVISION"),
    ", rustc ",
    env!("CAMPAIGN_EXPORTER_RUSTC_VERSION"),
    ")"
);

/// Prometheus exporter for SMS and WhatsApp marketing campaigns.
///
/// Without a command it reads every configured account on an interval and serves the campaigns'
/// counts and rates as metrics.
#[derive(Debug, Parser)]
#[command(name = "campaign_exporter", version = LONG_VERSION)]
pub struct Cli {
    /// What all commands share.
    #[command(flatten)]
    pub options: Options,
    /// What to do instead of running the daemon.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The options.
#[derive(Args, Debug)]
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

    /// Check the configuration file, and that of the web server, and exit.
    #[arg(
        long = "config.check",
        env = "CAMPAIGN_EXPORTER_CONFIG_CHECK",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    pub config_check: bool,

    /// Address to listen on; without a host, all addresses. Can be given several times; in the
    /// environment, with commas between them.
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

    /// Listen on the sockets that systemd passes instead.
    #[arg(
        long = "web.systemd-socket",
        env = "CAMPAIGN_EXPORTER_WEB_SYSTEMD_SOCKET",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
        global = true
    )]
    pub systemd_socket: bool,

    /// File with TLS, users, headers and a rate limit of the web server, in the format of Prometheus'
    /// exporter toolkit [default: plain HTTP for everybody]
    #[arg(
        long = "web.config.file",
        env = "CAMPAIGN_EXPORTER_WEB_CONFIG_FILE",
        value_name = "PATH",
        global = true
    )]
    pub web_config_file: Option<PathBuf>,

    /// Path of the metrics.
    #[arg(
        long = "web.telemetry-path",
        env = "CAMPAIGN_EXPORTER_WEB_TELEMETRY_PATH",
        default_value = "/metrics",
        value_name = "PATH",
        value_parser = telemetry_path,
        global = true
    )]
    pub telemetry_path: String,

    /// Allow POST /-/reload.
    #[arg(
        long = "web.enable-lifecycle",
        env = "CAMPAIGN_EXPORTER_WEB_ENABLE_LIFECYCLE",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
        global = true
    )]
    pub lifecycle: bool,

    /// Folder for tokens and data that have to outlive the process [default: systemd's
    /// $STATE_DIRECTORY, else none]
    #[arg(
        long = "storage.path",
        env = "CAMPAIGN_EXPORTER_STORAGE_PATH",
        value_name = "PATH",
        global = true
    )]
    pub storage_path: Option<PathBuf>,

    /// Read only the accounts of one of N exporters with the same configuration: I counts from 0;
    /// auto/N takes the number at the end of the host's name
    #[arg(
        long = "shard",
        env = "CAMPAIGN_EXPORTER_SHARD",
        value_name = "I/N|auto/N",
        global = true
    )]
    pub shard: Option<Shard>,

    /// What is logged.
    #[arg(
        long = "log.level",
        env = "CAMPAIGN_EXPORTER_LOG_LEVEL",
        default_value = "info",
        ignore_case = true,
        value_name = "LEVEL",
        global = true
    )]
    pub log_level: LogLevel,

    /// How log lines are written.
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

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve live metrics of all providers, simulated in this process: no account is needed.
    Demo {
        /// Makes the same campaigns for the same number.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How often the accounts are read.
        #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = duration)]
        poll_interval: Duration,
    },
    /// Let the exporter read an account of Constant Contact: prints an address and a code, waits
    /// for a person to consent there, and stores the tokens.
    Authorize {
        /// The account's name in the configuration.
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Poll every account once and print the metrics.
    Poll {
        /// Only this account.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
    },
}

impl Options {
    /// What is listened on.
    pub fn listen(&self) -> Listen {
        if self.systemd_socket {
            Listen::Systemd
        } else {
            Listen::Addresses(self.listen_addresses.clone())
        }
    }

    /// The file of the web server's protection; an empty path is none, as in Prometheus' programs.
    pub fn web_config(&self) -> Option<PathBuf> {
        let given = self.web_config_file.clone();
        given.filter(|path| !path.as_os_str().is_empty())
    }

    /// Where tokens and data can be kept.
    pub fn storage(&self) -> Option<PathBuf> {
        let given = self.storage_path.clone();
        given
            .filter(|path| !path.as_os_str().is_empty())
            .or_else(|| {
                // systemd separates several folders by colons
                let folders = std::env::var("STATE_DIRECTORY").ok()?;
                let first = folders.split(':').next()?;
                (!first.is_empty()).then(|| PathBuf::from(first))
            })
    }
}

fn listen_address(text: &str) -> Result<String, String> {
    let valid = text
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if valid {
        Ok(text.to_owned())
    } else {
        Err("write HOST:PORT, [IPV6]:PORT or :PORT".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write for example 5s or 2m".to_owned())
}

fn telemetry_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("must begin with a slash".to_owned());
    }
    if text.starts_with("/-/") || ["/config", "/sd", "/status"].contains(&text) {
        return Err("is the path of another endpoint".to_owned());
    }
    // compared with what clients send, where everything else is escaped
    if !text
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || "/-._~".contains(char))
    {
        return Err("may hold letters, digits and / - . _ ~ only".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_and_the_port_are_documented() {
        let (readme, flags) = (
            include_str!("../README.md"),
            include_str!("../docs/flags.md"),
        );
        for argument in Cli::command().get_arguments() {
            // the others are clap's own and those of commands
            let is_ours = |long: &&str| long.contains('.') || *long == "shard";
            if let Some(long) = argument.get_long().filter(is_ours) {
                let listed = ["`", " "]
                    .iter()
                    .any(|end| flags.contains(&format!("`--{long}{end}")));
                assert!(listed, "--{long}");
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
        for bad in ["", "localhost", ":x", ":65536", "10058"] {
            assert!(listen_address(bad).is_err(), "{bad}");
        }
        for good in ["/metrics", "/", "/a/b-c_d.e~"] {
            assert!(telemetry_path(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "metrics",
            "/-/healthy",
            "/config",
            "/status",
            "/sd",
            "/m?x",
            "/a b",
            "/é",
        ] {
            assert!(telemetry_path(bad).is_err(), "{bad}");
        }
    }
}
