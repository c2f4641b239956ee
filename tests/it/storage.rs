//! The storage folder belongs to the exporter's user, who is not trusted by root, and its file system
//! may lack what others have.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use tokio::process::Command;

use crate::support::apis::with_statuses;
use crate::support::daemon::{Daemon, Setup, account, config, poll_once, program, simulate, value};
use crate::support::tokens::{Home, renewed, simulator_with_authorization};

/// The exporter's user.
const USER: u32 = 12_345;

/// Gives a folder to the exporter's user. Only root can.
fn give_away(folder: &Path, mode: u32) -> bool {
    fs::create_dir(folder).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
    chown(folder, Some(USER), Some(USER)).is_ok()
}

#[tokio::test]
async fn root_neither_gives_away_nor_creates_what_a_planted_file_links_to() {
    let simulator = simulator_with_authorization(|_| {}).await;
    for plant in ["symbolic link", "dangling link", "hard link"] {
        let home = Home::new();
        let is_root = give_away(&home.store(), 0o700);
        let secret = home.secret("refresh_token", "one", "any-refresh-token");
        let (victim, absent) = (home.path("victim"), home.path("absent"));
        fs::write(&victim, "root's").unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o600)).unwrap();
        let lock = home.kept("one", &simulator).with_added_extension("lock");
        match plant {
            "symbolic link" => symlink(&victim, &lock),
            "dangling link" => symlink(&absent, &lock),
            _ => fs::hard_link(&victim, &lock),
        }
        .unwrap();
        let (status, _, log) = home.poll(&config(&[renewed("one", &simulator, &[&secret])])).await;
        assert_eq!(status.code(), Some(1), "{plant}: {log}");
        assert!(
            log.contains("lock is not a regular file with a single link: remove it"),
            "{plant}: {log}"
        );
        let metadata = fs::metadata(&victim).unwrap();
        assert_eq!(metadata.uid() == 0, is_root, "{plant}");
        assert_eq!(metadata.mode() & 0o777, 0o600, "{plant}");
        assert_eq!(fs::read(&victim).unwrap(), b"root's", "{plant}");
        assert!(!absent.exists(), "{plant}");
    }
}

#[tokio::test]
async fn commands_of_root_refuse_a_folder_that_everyone_may_write_to() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    // a group may write, as on volumes of Kubernetes
    for (mode, code) in [(0o777, 1), (0o1777, 1), (0o2770, 0), (0o700, 0)] {
        let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
        if !give_away(&setup.storage(), mode) {
            return;
        }
        let storage = setup.storage().display().to_string();
        let (status, _, log) = poll_once(&setup, &["--storage.path", &storage]).await;
        assert_eq!(status.code(), Some(code), "{mode:o}: {log}");
        let refused = log.contains(&format!("root does not use {storage}"));
        assert_eq!(refused, code == 1, "{mode:o}: {log}");
    }
}

/// Runs a program as root of its own namespace.
fn namespace() -> Command {
    let mut command = Command::new("unshare");
    command.env_clear().kill_on_drop(true).args(["--user", "--map-root-user", "--mount"]);
    command
}

#[tokio::test]
async fn a_start_without_inodes_left_polls_all_the_same() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    fs::create_dir(setup.storage()).unwrap();
    let storage = setup.storage().display().to_string();
    let mount = format!("mount -t tmpfs -o nr_inodes=2 none {storage} && touch {storage}/lock");
    let has_namespaces = namespace().args(["sh", "-c", &mount]).status().await;
    if !has_namespaces.is_ok_and(|status| status.success()) {
        return;
    }
    let mut command = namespace();
    command.args(["sh", "-c", &format!("{mount} && exec \"$0\" \"$@\"")]);
    command.arg(program().as_std().get_program());
    command.arg("--config.file").arg(setup.config_file());
    command.args(["--storage.path", &storage]);
    let daemon = Daemon::start_command(command, setup, &[]).await;
    let metrics = daemon.until_up(1).await;
    assert_eq!(value(&metrics, "campaign_account_last_poll_stored"), Some(0.0));
    assert!(daemon.log().contains("the storage folder is full"), "{}", daemon.log());
}

#[tokio::test]
async fn a_folder_whose_owner_has_no_id_here_is_used_with_one_warning() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let has_namespaces = namespace().arg("true").status().await;
    if !has_namespaces.is_ok_and(|status| status.success()) || !give_away(&setup.storage(), 0o777) {
        return;
    }
    fs::set_permissions(setup.folder(), Permissions::from_mode(0o755)).unwrap();
    let mut command = namespace();
    command.arg(program().as_std().get_program());
    command.arg("--config.file").arg(setup.config_file());
    command.arg("--storage.path").arg(setup.storage());
    let daemon = Daemon::start_command(command, setup, &[]).await;
    let polled = |metrics: &str| value(metrics, "campaign_account_up") == Some(1.0);
    daemon.scrape_until(polled).await;
    let log = daemon.log();
    let about = "the storage folder does not support everything";
    let warnings: Vec<_> = log.lines().filter(|line| line.contains(about)).collect();
    let [warning] = warnings.as_slice() else { panic!("{log}") };
    assert!(warning.contains("files keep root as owner"), "{warning}");
    assert!(fs::read_dir(daemon.setup.storage()).unwrap().count() > 1);
}
