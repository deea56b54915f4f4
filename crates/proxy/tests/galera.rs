//! The check against a real MariaDB, with Galera (bootstrapped alone on loopback) and without.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use quorate_proxy::check::{Check, Settings};
use quorate_proxy::my_cnf::Client;
use quorate_proxy::verdict::{Policy, Verdict};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command as AsyncCommand};

const PROVIDER: &str = "/usr/lib/galera/libgalera_smm.so";

fn skipped() -> bool {
    let missing = [PROVIDER, "/usr/sbin/mariadbd"]
        .into_iter()
        .find(|path| !Path::new(path).exists());
    if let Some(path) = missing {
        eprintln!("SKIPPED: {path} is missing; install mariadb-server and galera-4");
    }
    missing.is_some()
}

/// A directory of the test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quorate-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("scratch directory");
        Self(path)
    }

    fn argument(&self, option: &str, file: &str) -> String {
        format!("--{option}={}", self.0.join(file).display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts a server and returns when its log says that it takes connections.
async fn start(scratch: &Scratch, extra: &[&str]) -> Child {
    let installed = Command::new("mariadb-install-db")
        .args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-use-native-aio=0",
        ])
        .args(["--user=root", &scratch.argument("datadir", "data")])
        .output()
        .expect("mariadb-install-db runs");
    assert!(
        installed.status.success(),
        "mariadb-install-db failed:\n{}\n{}",
        String::from_utf8_lossy(&installed.stdout),
        String::from_utf8_lossy(&installed.stderr)
    );
    let mut child = AsyncCommand::new("/usr/sbin/mariadbd")
        .args(["--no-defaults", "--user=root", "--skip-networking"])
        .args([
            "--innodb-buffer-pool-size=16M",
            "--innodb-use-native-aio=0",
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
        ])
        .args([
            scratch.argument("datadir", "data"),
            scratch.argument("socket", "socket"),
        ])
        .args([scratch.argument("pid-file", "pid")])
        .args(extra)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("mariadbd runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let ready = async {
        let mut seen = String::new();
        while let Some(line) = lines.next_line().await.expect("log") {
            if line.contains("ready for connections") {
                break;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        (lines, seen)
    };
    let (mut lines, seen) = tokio::time::timeout(Duration::from_secs(120), ready)
        .await
        .expect("mariadbd became ready");
    assert!(
        child.try_wait().expect("child").is_none(),
        "mariadbd ended:\n{seen}"
    );
    // The log goes on; nobody else reads it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    child
}

fn check(scratch: &Scratch, maintenance_file: Option<PathBuf>) -> Check {
    Check::new(Settings {
        client: Client {
            socket: Some(scratch.0.join("socket").display().to_string()),
            ..Client::default()
        },
        policy: Policy::default(),
        cache: Duration::ZERO,
        timeout: Duration::from_secs(10),
        maintenance_file,
    })
}

async fn run(scratch: &Scratch, statement: &str) {
    let options = mysql_async::OptsBuilder::default()
        .user(Some("root"))
        .socket(Some(scratch.0.join("socket").display().to_string()))
        .prefer_socket(false);
    let mut connection = mysql_async::Conn::new(options).await.expect("connected");
    connection.query_drop(statement).await.expect("done");
}

/// Asks until the answer is as wanted: a server syncs a moment after it takes connections.
async fn settles(check: &Check, serves: bool) -> Verdict {
    let asking = async {
        loop {
            let verdict = check.verdict().await;
            if verdict.serves == serves {
                return verdict;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .expect("the verdict settles")
}

#[tokio::test]
async fn a_galera_server_serves_until_it_is_desynced_or_dead() {
    if skipped() {
        return;
    }
    let scratch = Scratch::new("clustercheck-galera");
    let file = scratch.0.join("maintenance");
    let provider = format!("--wsrep-provider={PROVIDER}");
    let mut server = start(
        &scratch,
        &[
            "--wsrep-on=ON",
            "--wsrep-cluster-address=gcomm://",
            "--wsrep-node-address=127.0.0.1",
            "--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:14567",
            &provider,
        ],
    )
    .await;
    let check = check(&scratch, Some(file.clone()));
    assert_eq!(settles(&check, true).await.reason, "Galera node is synced.");

    std::fs::write(&file, "").expect("maintenance file");
    assert!(check.verdict().await.reason.starts_with("Maintenance: "));
    std::fs::remove_file(&file).expect("removed");

    run(&scratch, "SET GLOBAL wsrep_desync = ON").await;
    assert!(
        settles(&check, false)
            .await
            .reason
            .contains("wsrep_desync is ON")
    );
    run(&scratch, "SET GLOBAL wsrep_desync = OFF").await;
    settles(&check, true).await;

    server.kill().await.expect("killed");
    let dead = settles(&check, false).await;
    assert!(dead.reason.contains("cannot be asked"), "{}", dead.reason);
}

#[tokio::test]
async fn a_server_without_galera_does_not_serve() {
    if skipped() {
        return;
    }
    let scratch = Scratch::new("clustercheck-plain");
    let _server = start(&scratch, &[]).await;
    let verdict = check(&scratch, None).verdict().await;
    assert!(!verdict.serves);
    assert!(
        verdict.reason.contains("wsrep_on is OFF"),
        "{}",
        verdict.reason
    );
}
