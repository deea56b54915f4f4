//! `ocf:quorate:clustercheck`, called as a cluster calls it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

struct Agent {
    scratch: PathBuf,
    port: u16,
}

impl Agent {
    fn new() -> Self {
        let scratch = std::env::temp_dir().join(format!("quorate-agent-{}", std::process::id()));
        std::fs::create_dir_all(&scratch).unwrap();
        std::fs::write(
            scratch.join("my.cnf"),
            "[client]\nuser=x\nsocket=/nonexistent\n",
        )
        .unwrap();
        // Free a moment ago: nothing else asks for it within the test.
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        Self { scratch, port }
    }

    fn call(&self, action: &str, conf: &Path) -> Option<i32> {
        let agent = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/ocf/clustercheck");
        Command::new(agent)
            .arg(action)
            .env("HA_RSCTMP", &self.scratch)
            .env("OCF_RESKEY_binary", env!("CARGO_BIN_EXE_quorate"))
            .env("OCF_RESKEY_port", self.port.to_string())
            .env("OCF_RESKEY_ipv4", "127.0.0.1")
            .env("OCF_RESKEY_conf", conf)
            .status()
            .unwrap()
            .code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.call("stop", &self.scratch.join("my.cnf"));
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

#[test]
fn the_health_check_runs_as_an_ocf_agent() {
    let agent = Agent::new();
    let conf = agent.scratch.join("my.cnf");
    assert_eq!(agent.call("monitor", &conf), Some(7), "not running");
    assert_eq!(agent.call("start", Path::new("/nonexistent")), Some(5));
    assert_eq!(agent.call("start", &conf), Some(0));
    assert_eq!(agent.call("start", &conf), Some(0), "it runs already");
    assert_eq!(agent.call("monitor", &conf), Some(0));
    let mut stream = TcpStream::connect(("127.0.0.1", agent.port)).unwrap();
    stream.write_all(b"OPTIONS / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "no database: {answer}");
    assert_eq!(agent.call("stop", &conf), Some(0));
    assert_eq!(agent.call("stop", &conf), Some(0), "it is stopped already");
    assert_eq!(agent.call("monitor", &conf), Some(7));
    assert_eq!(agent.call("bogus", &conf), Some(3));
}
