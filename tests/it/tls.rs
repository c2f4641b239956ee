//! Providers over HTTPS: an untrusted certificate fails only its account, and no token is sent.

use campaign_simulator::{Campaign, Counts, Simulator};
use chrono::{TimeDelta, Utc};

use crate::support::apis::{Api, with_authorization, with_channels, with_statuses};
use crate::support::daemon::{Daemon, Setup, account, config, poll_once, sample, simulate};
use crate::support::faults::Exported;
use crate::support::tls::{Authority, Certificate, TlsProxy, authority_file};

async fn provider(api: Api) -> Simulator {
    let counts = Counts { recipients: 100, sends: 100, deliveries: 90, ..Counts::default() };
    let sent_at = Utc::now() - TimeDelta::days(1);
    simulate(api, vec![Campaign::sms("7", "Spring", sent_at, counts)]).await
}

/// Returns the YAML of an account at a simulator behind a TLS proxy.
fn account_over(name: &str, proxy: &TlsProxy, simulator: &Simulator) -> String {
    account(name, simulator, &[]).replace(&simulator.base_url(), &proxy.base_url())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_certificate_fails_only_its_account() {
    let cases = [
        ("good-shoes", with_authorization(), Certificate::Good),
        ("good-shirts", with_channels(), Certificate::Good),
        ("good-hats", with_statuses(), Certificate::Good),
        ("expired", with_authorization(), Certificate::Expired),
        ("other-name", with_channels(), Certificate::OtherName),
        ("stranger", with_statuses(), Certificate::Stranger),
    ];
    let mut servers = Vec::new();
    let mut accounts = Vec::new();
    for (name, api, certificate) in cases {
        let simulator = provider(api).await;
        let proxy = TlsProxy::start(&simulator, certificate).await;
        accounts.push(account_over(name, &proxy, &simulator));
        servers.push((simulator, proxy));
    }
    let plain = provider(with_channels()).await;
    accounts.push(account("good-plain", &plain, &[]));

    let setup = Setup::new(&config(&accounts));
    let mut command = setup.command();
    command.env("SSL_CERT_FILE", authority_file(setup.folder()));
    let daemon = Daemon::start_command(command, setup, &[]).await;

    let mut names = cases.map(|(name, ..)| name).to_vec();
    names.push("good-plain");
    let metrics = daemon
        .scrape_until(|metrics| {
            names.iter().all(|name| {
                let good = name.starts_with("good");
                let result = if good { "success" } else { "failure" };
                Exported::of(metrics, name).polls(result) >= 2.0
            })
        })
        .await;
    for name in names {
        let good = name.starts_with("good");
        let account = Exported::of(&metrics, name);
        assert_eq!(account.is_up(), good, "{name}");
        let deliveries = account.value("campaign_deliveries");
        assert_eq!(deliveries, good.then_some(90.0), "{name}");
        assert_eq!(account.errors("tls"), account.polls("failure"), "{name}");
    }
    for ((name, _, certificate), (simulator, _)) in cases.iter().zip(&servers) {
        let asked = !simulator.requests().is_empty();
        assert_eq!(asked, *certificate == Certificate::Good, "{name}");
    }
}

#[tokio::test]
async fn a_certificate_authority_is_trusted_only_if_configured() {
    let simulator = provider(with_statuses()).await;
    let proxy = TlsProxy::start(&simulator, Certificate::Good).await;
    let yaml = account_over("shoes", &proxy, &simulator);
    let setup = Setup::new(&config(&[yaml]));
    let (status, metrics, log) = poll_once(&setup, &[]).await;
    assert!(!status.success());
    assert_eq!(sample(&metrics, "campaign_account_up", &[]), Some(0.0));
    assert!(log.contains("reason=tls"), "{log}");
    assert!(simulator.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_rotated_certificates_which_may_be_of_the_server_itself() {
    let mut servers = Vec::new();
    let mut accounts = Vec::new();
    for (name, certificate) in [("good", Certificate::Good), ("own", Certificate::OwnAuthority)] {
        let simulator = provider(with_statuses()).await;
        let proxy = TlsProxy::start(&simulator, certificate).await;
        accounts.push(account_over(name, &proxy, &simulator));
        servers.push((simulator, proxy));
    }
    let setup = Setup::new(&config(&accounts));
    let file = authority_file(setup.folder());
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, Authority::new().pem).unwrap();
    let mut command = setup.command();
    command.env("SSL_CERT_FILE", &file);
    let mut daemon = Daemon::start_command(command, setup, &[]).await;
    let failed = |metrics: &str| {
        let mut accounts = ["good", "own"].map(|name| Exported::of(metrics, name)).into_iter();
        accounts.all(|account| account.polls("failure") > 0.0)
    };
    daemon.scrape_until(failed).await;

    // a bundle without certificates keeps the previous one
    std::fs::write(&file, "").unwrap();
    daemon.signal("HUP").await;
    daemon.wait_for_log("no CA certificates in SSL_CERT_FILE=").await;

    std::fs::write(&file, format!("{good}{}", servers[1].1.pem)).unwrap();
    daemon.signal("HUP").await;
    daemon.until_up(2).await;
}
