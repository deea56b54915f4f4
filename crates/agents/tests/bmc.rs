//! Fencing over IPMI against a simulated management controller on loopback, with the two kinds of agent.

mod common;

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Bench;
use quorate_core::event::{AgentCall, AgentResult, Outcome};

/// A controller whose power state is a file.
struct Bmc {
    child: Child,
    port: u16,
}

impl Drop for Bmc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bmc {
    /// `None`, loudly, where a package is missing.
    fn start(bench: &Bench, chassis: &str) -> Option<Self> {
        for (path, package) in [
            ("/usr/bin/ipmi_sim", "openipmi"),
            ("/usr/bin/ipmitool", "ipmitool"),
            ("/usr/sbin/fence_ipmilan", "fence-agents"),
            ("/usr/lib/stonith/plugins/external/ipmi", "cluster-glue"),
        ] {
            if !Path::new(path).exists() {
                eprintln!("SKIPPED: {path} is not there (package {package})");
                return None;
            }
        }
        let free = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its number").port();
        drop(free);
        let script = bench.path("chassis");
        fs::write(
            &script,
            chassis.replace("POWER", &bench.path("power").to_string_lossy()),
        )
        .expect("script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("chmod");
        fs::write(bench.path("power"), "1").expect("power");
        fs::create_dir_all(bench.path("state")).expect("state");
        let lan = format!(
            "name \"bmc\"\nset_working_mc 0x20\n  startlan 1\n    addr 127.0.0.1 {port}\n    priv_limit admin\n\
             allowed_auths_callback none md2 md5 straight\n    allowed_auths_user none md2 md5 straight\n\
             allowed_auths_operator none md2 md5 straight\n    allowed_auths_admin none md2 md5 straight\n\
             guid a123456789abcdefa123456789000001\n  endlan\n  chassis_control \"{} x\"\n\
             user 1 true \"\" \"none\" user 10 none md2 md5 straight\n\
             user 2 true \"admin\" \"secret\" admin 10 none md2 md5 straight\n",
            script.display()
        );
        fs::write(bench.path("lan.conf"), lan).expect("lan.conf");
        let emulator = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
                        sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n";
        fs::write(bench.path("emu"), emulator).expect("emu");
        let child = Command::new("/usr/bin/ipmi_sim")
            .arg("-n")
            .arg("-c")
            .arg(bench.path("lan.conf"))
            .arg("-f")
            .arg(bench.path("emu"))
            .arg("-s")
            .arg(bench.path("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ipmi_sim");
        wait_until_bound(port);
        Some(Self { child, port })
    }
}

/// The controller says nothing when it is ready; the kernel's table of sockets does.
fn wait_until_bound(port: u16) {
    let began = Instant::now();
    let address = format!(":{port:04X} ");
    while !fs::read_to_string("/proc/net/udp")
        .expect("/proc/net/udp")
        .contains(&address)
    {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "ipmi_sim does not listen"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

const HONEST: &str = "#!/bin/sh\nshift\nop=$1; shift\nwhile test $# -gt 0; do\n  case $op-$1 in\n\
    get-power) echo power:$(cat POWER);;\n    get-*) echo $1:0;;\n\
    set-power) echo $2 > POWER; shift;;\n    set-reset) echo 1 > POWER; shift;;\n    set-*) shift;;\n  esac\n  shift\ndone\n";

/// Says yes to everything and powers nothing off.
const LIAR: &str = "#!/bin/sh\nshift\nop=$1; shift\nwhile test $# -gt 0; do\n  case $op-$1 in\n\
    get-power) echo power:1;;\n    get-*) echo $1:0;;\n    set-*) shift;;\n  esac\n  shift\ndone\n";

fn call(agent: &str, action: &str, parameters: Vec<(String, String)>) -> AgentCall {
    AgentCall {
        resource: "fence-n1".into(),
        instance: "fence-n1".into(),
        class: "stonith".into(),
        agent: agent.into(),
        action: action.into(),
        parameters,
        target: (action != "monitor").then(|| "n1".into()),
        timeout_ms: 60_000,
        ..AgentCall::default()
    }
}

fn fence_ipmilan(bmc: &Bmc, password: &str) -> Vec<(String, String)> {
    let port = bmc.port.to_string();
    [
        ("ip", "127.0.0.1"),
        ("ipport", &port),
        ("username", "admin"),
        ("password", password),
        ("lanplus", "1"),
        ("cipher", "3"),
        ("power_wait", "0"),
    ]
    .iter()
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect()
}

async fn run(
    bench: &Bench,
    agent: &str,
    action: &str,
    parameters: Vec<(String, String)>,
) -> AgentResult {
    bench.run_call(call(agent, action, parameters)).await
}

#[tokio::test]
async fn fence_ipmilan_powers_off_and_reads_back() {
    let bench = Bench::real("ipmilan");
    let Some(bmc) = Bmc::start(&bench, HONEST) else {
        return;
    };
    let parameters = fence_ipmilan(&bmc, "secret");
    for (action, code) in [
        ("monitor", 0),
        ("power-status", 0),
        ("off", 0),
        ("power-status", 2),
        ("on", 0),
    ] {
        let result = run(&bench, "fence_ipmilan", action, parameters.clone()).await;
        assert_eq!(
            result.outcome,
            Outcome::Exited(code),
            "{action}: {result:?}"
        );
    }
    let wrong = run(&bench, "fence_ipmilan", "off", fence_ipmilan(&bmc, "wrong")).await;
    assert_eq!(wrong.outcome, Outcome::Exited(1), "{wrong:?}");
    assert!(
        wrong.exit_reason.contains("off n1 with fence-n1 failed"),
        "{}",
        wrong.exit_reason
    );
    assert!(
        !wrong.exit_reason.contains("wrong\""),
        "{}",
        wrong.exit_reason
    );
}

#[tokio::test]
async fn external_ipmi_powers_off_and_the_state_is_read_from_the_controller() {
    let bench = Bench::real("extipmi");
    let Some(bmc) = Bmc::start(&bench, HONEST) else {
        return;
    };
    // The plugin has no parameter for the port; its own for the tool's path stands in.
    let tool = bench.path("ipmitool");
    fs::write(
        &tool,
        format!(
            "#!/bin/sh\nexec /usr/bin/ipmitool -p {} -C 3 \"$@\"\n",
            bmc.port
        ),
    )
    .expect("script");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("chmod");
    let parameters: Vec<(String, String)> = [
        ("hostname", "n1"),
        ("ipaddr", "127.0.0.1"),
        ("userid", "admin"),
        ("passwd", "secret"),
        ("interface", "lanplus"),
        ("ipmitool", &tool.to_string_lossy()),
    ]
    .iter()
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect();
    for (action, code) in [
        ("monitor", 0),
        ("power-status", 0),
        ("off", 0),
        ("monitor", 0),
        ("power-status", 2),
    ] {
        let result = run(&bench, "external/ipmi", action, parameters.clone()).await;
        assert_eq!(
            result.outcome,
            Outcome::Exited(code),
            "{action}: {result:?}"
        );
    }
    // What it logs is its reason: without it an operator would only learn that it failed.
    let mut wrong = parameters.clone();
    wrong[3].1 = "wrong".into();
    let refused = run(&bench, "external/ipmi", "monitor", wrong).await;
    assert_eq!(refused.outcome, Outcome::Exited(1), "{refused:?}");
    assert!(
        refused.exit_reason.contains("Unable to establish"),
        "{refused:?}"
    );
    let listed = run(&bench, "external/ipmi", "list", parameters).await;
    assert_eq!(listed.output.trim(), "n1");
}

#[tokio::test]
async fn a_controller_that_lies_is_found_out() {
    let bench = Bench::real("liar");
    let Some(bmc) = Bmc::start(&bench, LIAR) else {
        return;
    };
    let mut parameters = fence_ipmilan(&bmc, "secret");
    parameters.push(("power_timeout".into(), "1".into()));
    let off = run(&bench, "fence_ipmilan", "off", parameters.clone()).await;
    assert_eq!(off.outcome, Outcome::Exited(1), "{off:?}");
    let state = run(&bench, "fence_ipmilan", "power-status", parameters).await;
    assert_eq!(state.outcome, Outcome::Exited(0), "still on: {state:?}");
}
